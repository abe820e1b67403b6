//! `ctl env` with files on disk, or against a supervisor that answers what a test says.

use insta::assert_snapshot;
use serde_json::json;
use tempfile::TempDir;

use crate::testing::{Answer, Fake, Ran, ctl};

const SERVICE: &str = r#"
command = ["/bin/chat"]
[settings]
name = { default = "Chat", env = "MM_TEAM_NAME" }
count = { env = "MM_TEAM_COUNT" }
key = { env = "MM_SQL_KEY", secret = true, multi_line = true }
made = { env = "MM_SQL_MADE", secret = true, generate = "hex:16" }
[env]
MM_CONFIG = "{{ root }}/config.json"
[variables]
prefix = "MM"
table = "chat.tsv"
"#;

const TABLE: &str = "MM_CONFIG\tany\nMM_SQL_KEY\tstring\nMM_SQL_MADE\tstring\nMM_TEAM_COUNT\tint\nMM_TEAM_NAME\tstring\nMM_OPEN\tbool\nMM_TEAMSETTINGS_SITENAME\tstring\n";

/// A root with this site file, and a catalogue of an enabled and a disabled service.
fn files(site: &str) -> TempDir {
    let (root, catalog) = crate::testing::root(site);
    std::fs::write(catalog.join("chat.toml"), SERVICE).unwrap();
    std::fs::write(catalog.join("chat.tsv"), TABLE).unwrap();
    let off = "command = [\"/bin/x\"]\nenable = false\n";
    std::fs::write(catalog.join("redis.toml"), off).unwrap();
    root
}

fn secrets(root: &TempDir, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    let path = root.path().join("etc/mattervisor/secrets.toml");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

fn env(root: &TempDir, rest: &str) -> Ran {
    let at = root.path().display();
    ctl(&format!(
        "ctl --root {at} --catalog {at}/catalog env {rest}"
    ))
}

/// The output, with `ROOT` in place of the root.
fn said(root: &TempDir, rest: &str) -> String {
    let ran = env(root, rest);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
    ran.out.replace(&root.path().display().to_string(), "ROOT")
}

#[test]
fn without_a_supervisor_the_files_are_asked_and_secrets_are_hidden() {
    let root = files(
        "chat.count = \"ten\"\nchat.env = { HTTP_PROXY = \"p\\n2\", COPY = \"x hunter2\", MM_OPN = \"\", MM_TEAM_NAME = \"\" }\n",
    );
    secrets(
        &root,
        "chat.key = \"hunter2\"\nchat.made = \"made-secret\"\nchat.env = { API_TOKEN = \"s3cr3t\" }\n",
    );
    let out = said(&root, "chat");
    assert!(!out.contains("hunter2") && !out.contains("made-secret") && !out.contains("s3cr3t"));
    // The column widths depend on the length of the root's path.
    let lines: Vec<String> = out
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    assert_snapshot!(lines.join("\n"), @r#"
    VARIABLE VALUE SOURCE
    API_TOKEN (secret) secret (secrets.toml:3)
    COPY (secret) env map (mattervisor.toml:2)
    HTTP_PROXY p\x0a2 env map (mattervisor.toml:2)
    MM_CONFIG ROOT/config.json computed (chat.toml:9)
    MM_OPN "" env map (mattervisor.toml:2)
    MM_SQL_KEY (secret) secret chat.key (secrets.toml:1)
    MM_SQL_MADE (secret) secret chat.made (secrets.toml:2)
    MM_TEAM_COUNT ten setting chat.count (mattervisor.toml:1)
    MM_TEAM_NAME "" env map (mattervisor.toml:2)
    PATH /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin supervisor

    This is what the files say: no supervisor answers. --reveal shows what is hidden.

    ROOT/etc/mattervisor/mattervisor.toml:1: warning: chat.count: MM_TEAM_COUNT: "ten" is not a whole number, so it is ignored and the default stays
    hint: write digits only
    ROOT/etc/mattervisor/mattervisor.toml:2: warning: chat.env.MM_OPN: is not known in any version, and has no effect
    hint: did you mean MM_OPEN?
    "#);
}

#[test]
fn reveal_shows_secrets_and_what_is_not_made_yet() {
    let root = files("");
    secrets(&root, "chat.key = \"it's\\nsecret\"\n");
    let out = said(&root, "chat --reveal --format json");
    let all: serde_json::Value = serde_json::from_str(&out).unwrap();
    let one = |name: &str| {
        let list = all["variables"].as_array().unwrap();
        list.iter().find(|it| it["name"] == name).unwrap().clone()
    };
    assert_eq!(all["from"], "files");
    assert_eq!(
        one("MM_SQL_KEY"),
        json!({ "name": "MM_SQL_KEY", "value": "it's\nsecret", "secret": true, "source": "secret",
                "setting": "chat.key", "file": "ROOT/etc/mattervisor/secrets.toml", "line": 1 })
    );
    assert_eq!(one("MM_SQL_MADE")["value"], json!(null));
    assert_eq!(one("MM_TEAM_NAME")["source"], "default");
    let out = said(&root, "chat --reveal --export");
    assert!(
        out.contains("export MM_SQL_KEY='it'\\''s\nsecret'\n"),
        "{out}"
    );
    let out = said(&root, "chat --export");
    assert!(out.contains("# MM_SQL_KEY is secret: --reveal\n"), "{out}");
    assert!(out.contains("export MM_TEAM_NAME='Chat'\n"), "{out}");
}

#[test]
fn mistakes_have_their_own_words_and_codes() {
    let root = files("");
    let at = |rest: &str| {
        let ran = env(&root, rest);
        (
            ran.code,
            ran.err.replace(&root.path().display().to_string(), "ROOT"),
        )
    };
    assert_eq!(
        at("chta"),
        (
            4,
            "error: there is no service 'chta'\nhint: did you mean 'chat'?\n".to_owned()
        )
    );
    let (code, err) = at("redis");
    assert_eq!(code, 1);
    assert_snapshot!(err, @r"
    error: redis is disabled on this host, so it has no environment
    hint: set redis.enable = true in ROOT/etc/mattervisor/mattervisor.toml
    ");
    assert_eq!(at("c*").0, 2);
    let (code, err) = at("chat --against-config");
    assert_eq!(
        (code, err.as_str()),
        (
            1,
            "error: there is no ROOT/config.json\nhint: Mattermost makes it when it starts for the first time\n"
        )
    );
    let broken = files("chat.cuont = 1\n");
    let ran = env(&broken, "chat");
    assert_eq!(ran.code, 1);
    assert!(
        ran.err.contains("mattervisor.toml:1: error: chat.cuont"),
        "{}",
        ran.err
    );
    assert!(ran.err.contains("ctl check-config"), "{}", ran.err);
}

#[test]
fn what_runs_is_told_from_what_the_files_say() {
    let key = |key: &str, value: &str, source: &str, secret: bool| json!({ "key": key, "value": value, "source": source, "secret": secret });
    let plan = json!({ "site": [], "services": [{ "name": "chat", "keys": [
        { "key": "enable", "value": true },
        key("env.PATH", "/bin", "supervisor", false),
        key("env.MM_SQL_KEY", "(secret)", "setting", true),
        key("env.MM_TEAM_NAME", "Old", "site-file", false),
    ] }] });
    let check = json!({ "ok": true, "problems": [
        { "severity": "warning", "file": "/f", "line": 3, "key": "k", "message": "m", "hint": null, "service": "chat", "variable": "MM_X" },
        { "severity": "warning", "file": "/f", "line": 4, "key": "other", "message": "m", "hint": null },
    ] });
    let diff = json!({ "site": [], "services": [
        { "name": "chat", "action": "restart", "reasons": ["user changed", "env MM_TEAM_NAME changed"], "keys": [],
          "variables": [{ "name": "MM_TEAM_NAME", "change": "changed" }] },
    ] });
    let answers = [&plan, &check, &diff].map(|it| Answer::Whole(200, it.to_string()));
    let fake = Fake::new(answers.into());
    let ran = fake.ctl("--catalog /nonexistent env chat");
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert_snapshot!(ran.out, @r"
    VARIABLE      VALUE     SOURCE
    PATH          /bin      supervisor
    MM_SQL_KEY    (secret)  setting
    MM_TEAM_NAME  Old       env map

    This is what runs. --reveal shows what is hidden.
    The files differ from what runs: MM_TEAM_NAME changed. ctl reconfigure applies them.

    /f:3: warning: k: m
    ");
    assert!(fake.requests()[0].starts_with("GET /v1/plan?services=chat "));
}

#[test]
fn a_disabled_service_has_none() {
    let plan = json!({ "site": [], "services": [{ "name": "redis", "keys": [{ "key": "enable", "value": false }] }] });
    let missing = Answer::Whole(404, "{}".to_owned());
    let ran = Fake::new(vec![Answer::Whole(200, plan.to_string()), missing]).ctl("env redis");
    assert_eq!(ran.code, 1);
    assert_eq!(
        ran.err,
        "error: redis is disabled on this host, so it has no environment\n"
    );
}

#[test]
fn config_json_is_compared() {
    let root = files(
        "chat.env = { MM_TEAMSETTINGS_SITENAME = \"A\", MM_LOGSETTINGS_ENABLECONSOLE = \"true\", MM_NOTTHERESETTINGS_X = 1 }\n",
    );
    let config =
        r#"{ "TeamSettings": { "SiteName": "B" }, "LogSettings": { "EnableConsole": true } }"#;
    std::fs::write(root.path().join("config.json"), config).unwrap();
    assert_snapshot!(said(&root, "chat --against-config"), @r"
    KEY                        ENVIRONMENT  CONFIG.JSON
    LogSettings.EnableConsole  true         true         same
    TeamSettings.SiteName      A            B            overridden

    config.json is ROOT/config.json.
    What the environment sets wins. The System Console shows these keys greyed out, and a change of one
    there is not kept; change them in mattervisor.toml. Without the variable config.json counts again.

    Not in config.json: MM_NOTTHERESETTINGS_X.
    ");
    for broken in ["{", "\"hush\"", "[\"hush\"]", "{\"hush\" \"hush\"}"] {
        std::fs::write(root.path().join("config.json"), broken).unwrap();
        let ran = env(&root, "chat --against-config");
        assert_eq!(ran.code, 1);
        assert!(!ran.err.contains("hush"), "{}", ran.err);
    }
    let database = files("chat.env = { MM_CONFIG = \"postgres://u:p@h/d\" }\n");
    secrets(
        &database,
        "chat.env = { MM_CONFIG = \"postgres://u:p@h/d\" }\n",
    );
    std::fs::write(database.path().join("etc/mattervisor/mattervisor.toml"), "").unwrap();
    let ran = env(&database, "chat --against-config");
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("in the database"), "{}", ran.err);
}
