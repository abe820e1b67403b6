//! Redis by itself: its settings, its check, its password, and data that stay.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use mattervisor_tests::{Missing, Site, StatusExt, alive, command_line, need, program, run};

use super::hosts::site_file;

const PASSWORD: &str = "planted \"secret\" # 'quoted'";

/// A site where redis may be enabled; needs neither root nor a namespace.
fn site() -> Result<Site, Missing> {
    program("redis-server", "redis-server")?;
    let mut site = Site::new();
    site.use_catalog(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../services.d"));
    Ok(site)
}

fn on(more: &str) -> String {
    let password = PASSWORD.replace('"', "\\\"");
    format!(
        r#"
            redis.enable = true
            redis.password = "{password}"
            {more}
        "#
    )
}

fn socket(site: &Site) -> PathBuf {
    site.path("run/mattervisor/redis/redis.socket")
}

/// Redis's answer to a command with the password.
fn ask(site: &Site, words: &[&str]) -> String {
    let mut command = Command::new("redis-cli");
    command.env("REDISCLI_AUTH", PASSWORD);
    command.arg("-s").arg(socket(site)).args(words);
    run(&mut command).stdout.trim().to_owned()
}

/// Redis reports every setting with its value. Redis asks for the password, which stands in no
/// command line, no log, and no configuration that others may read.
#[test]
fn redis_runs_as_its_settings_say() {
    let mut site = need!(site());
    site_file(
        &site,
        &on(r#"
            redis.maxmemory = "64mb"
            redis.maxmemory_policy = "allkeys-lru"
            redis.maxclients = 200
            redis.save = ["600 2", "60 50"]
            redis.appendonly = true
            redis.rename_commands = { FLUSHALL = "" }
            redis.parameters = { databases = 4 }
        "#),
    );
    site.start_ready();
    for (name, value) in [
        ("maxmemory", "67108864"),
        ("maxmemory-policy", "allkeys-lru"),
        ("maxclients", "200"),
        ("save", "600 2 60 50"),
        ("appendonly", "yes"),
        ("databases", "4"),
        ("port", "0"),
        ("dir", &site.file("var/lib/mattervisor/redis")),
    ] {
        assert_eq!(
            ask(&site, &["config", "get", name]),
            format!("{name}\n{value}")
        );
    }
    assert!(ask(&site, &["flushall"]).contains("unknown command"));
    let mut stranger = Command::new("redis-cli");
    stranger.arg("-s").arg(socket(&site)).arg("ping");
    assert!(run(&mut stranger).both().contains("NOAUTH"));
    for pid in site.processes() {
        let line = command_line(pid);
        assert!(!line.contains("planted"), "{line}");
    }
    let log = site.ctl(&["logs", "redis", "-n", "100"]).ok().stdout;
    assert!(log.contains("eady to accept connections"), "{log}");
    assert!(!log.contains("planted"), "{log}");
    let file = site.path("run/mattervisor/redis-conf/redis.conf");
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
}

/// A redis.conf that redis would not take changes nothing. The refusal says why, and holds no
/// password.
#[test]
fn redis_checks_its_configuration_before_it_is_used() {
    let mut site = need!(site());
    site_file(&site, &on(""));
    site.start_ready();
    let pid = site.status().pid("redis");
    let long = format!("redis.unixsocket = '/tmp/{}'", "x".repeat(120));
    for (line, words) in [
        ("redis.maxmemory = 'plenty'", "must be a memory value"),
        (
            "redis.parameters = { masterauth = 'planted two' }",
            "wrong number of arguments",
        ),
        (&long, "a socket has 107 bytes at most"),
    ] {
        site_file(&site, &on(line));
        let refused = site.ctl(&["reconfigure"]).expect_code(1).both();
        assert!(refused.contains(words), "{refused}");
        assert!(!refused.contains("planted"), "{refused}");
        assert_eq!(site.status().pid("redis"), pid);
        assert_eq!(ask(&site, &["ping"]), "PONG");
    }
}

/// A disabled redis is gone except for its data, which are there when redis is enabled again.
#[test]
fn a_disabled_redis_keeps_its_data() {
    let mut site = need!(site());
    site_file(&site, &on(""));
    site.start_ready();
    let pid = site.status().pid("redis");
    assert_eq!(ask(&site, &["set", "kept", "yes"]), "OK");
    site_file(&site, &on("").replace("enable = true", "enable = false"));
    site.ctl(&["reconfigure"]).ok();
    assert!(!alive(pid));
    assert!(!socket(&site).exists());
    assert!(site.path("var/lib/mattervisor/redis/dump.rdb").is_file());
    let refused = site.ctl(&["start", "redis"]).expect_code(1).both();
    assert!(refused.contains("redis.enable"), "{refused}");
    site_file(&site, &on(""));
    site.ctl(&["reconfigure"]).ok();
    assert_eq!(ask(&site, &["get", "kept"]), "yes");
}
