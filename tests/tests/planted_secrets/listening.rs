//! Asks or reads everything that could give a secret away.

use std::{fs, os::unix::fs::MetadataExt};

use mattervisor_tests::Site;

use super::planted::Planted;
/// Files that must hold a secret: readable for their owner alone, or root's and readable for a
/// service's group.
const HOLDERS: [&str; 11] = [
    "etc/mattervisor/mattervisor.toml",
    "etc/mattervisor/secrets.toml",
    "etc/mattervisor/ssl/",
    "etc/bot.env",
    "var/bot.conf",
    "run/mattervisor/redis-conf/redis.conf",
    "run/mattervisor/backup/configuration.json",
    "run/mattervisor/nginx-conf/tls/",
    "var/lib/mattervisor/plan",
    "var/lib/mattervisor/kept-plans.json",
    "var/lib/mattervisor/previous",
];

/// Notes every file under the root, except the files that must hold secrets: these must be private.
pub(super) fn search_files(site: &Site, planted: &mut Planted, running: bool) {
    let mut left = vec![site.root().to_owned()];
    let mut kept = 0;
    while let Some(dir) = left.pop() {
        for entry in fs::read_dir(&dir).unwrap().flatten() {
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            if kind.is_dir() {
                // The database's files are searched once, when the database is down.
                if running && path.ends_with("postgresql/data") {
                    continue;
                }
                left.push(path);
            } else if kind.is_file() {
                let below = path
                    .strip_prefix(site.root())
                    .unwrap()
                    .display()
                    .to_string();
                let Ok(content) = fs::read(&path) else {
                    continue;
                };
                if HOLDERS.iter().any(|holder| below.starts_with(holder)) {
                    let meta = fs::metadata(&path).unwrap();
                    let group = if meta.uid() == 0 { 0o040 } else { 0 };
                    let mode = meta.mode() & 0o077 & !group;
                    let text = String::from_utf8_lossy(&content);
                    let mut secrets = planted.secrets.iter();
                    let holds = secrets.any(|(_, secret)| text.contains(secret));
                    assert!(!holds || mode == 0, "{below} holds a secret: mode {mode:o}");
                    kept += usize::from(holds);
                } else {
                    planted.note(&below, content);
                }
            }
        }
    }
    assert!(kept >= 3, "the secrets are nowhere at all");
}

/// Notes the command lines of all processes of the root, and the environment of the supervisor
/// itself.
pub(super) fn search_processes(site: &Site, planted: &mut Planted) {
    for pid in site.processes() {
        let read = |file: &str| fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let line = read("cmdline");
        let name = String::from_utf8_lossy(&line).replace('\0', " ");
        if name.contains("mattervisord") {
            planted.note(&format!("the environment of {name}"), read("environ"));
        }
        planted.note(&format!("the command line of {pid}"), line);
    }
}

pub(super) fn ask_everything(site: &Site, planted: &mut Planted) {
    for words in [
        "status",
        "status --format json",
        "status --usage",
        "check-config",
        "check-config --format json",
        "show-config",
        "show-config --format json",
        "diff-config",
        "diff-config --format json",
        "reconfigure --dry-run",
        "reconfigure --dry-run --format json",
        "why mattermost",
        "why bot",
        "why bot --format json",
        "env mattermost",
        "env mattermost --format json",
        "env bot",
        "events",
        "events --format json",
        "events --changes",
        "events --changes --since 30d --format json",
        "logs",
        "logs --files",
        "logs --format json",
        "service-list",
        "version",
    ] {
        let arguments: Vec<&str> = words.split(' ').collect();
        planted.told(&format!("ctl {words}"), &site.ctl(&arguments));
    }
    let api = site.get("/v1/openapi.json");
    let api: serde_json::Value = serde_json::from_str(&api.body).unwrap();
    let mut asked = 0;
    for (path, methods) in api["paths"].as_object().unwrap() {
        if methods.get("get").is_none() {
            continue;
        }
        for service in ["mattermost", "bot"] {
            let path = path.replace("{name}", service).replace("{id}", "none");
            let reply = site.get(&path);
            planted.note(
                &format!("GET {path}"),
                format!("{}{}", reply.head, reply.body),
            );
            asked += 1;
        }
    }
    assert!(asked >= 20, "too few routes: {asked}");
}
