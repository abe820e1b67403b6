//! A secret that was applied and is missing from `secrets.toml` is restored, with a warning; a
//! secret is generated only where there never was one.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, time::Duration};

use mattervisor_tests::{Site, StatusExt, alive, eventually, kill};
use nix::sys::signal::Signal;

const KEY: &str = "
    [settings]
    key = { type = 'string', secret = true, generate = 'hex:16', env = 'KEY' }
    token = { type = 'string', secret = true, env = 'TOKEN' }
";

fn secrets(site: &Site) -> PathBuf {
    site.path("etc/mattervisor/secrets.toml")
}

fn write_secrets(site: &Site, text: &str) {
    fs::write(secrets(site), text).unwrap();
    fs::set_permissions(secrets(site), fs::Permissions::from_mode(0o600)).unwrap();
}

/// A site with a generated key and a token that somebody wrote.
fn site() -> Site {
    let mut site = Site::new();
    site.child("a", &["env", "sleep"], KEY);
    write_secrets(&site, "a.token = 'somebody-wrote-this'\n");
    site.start_ready();
    site
}

fn key(site: &Site) -> String {
    key_in(&fs::read_to_string(secrets(site)).unwrap_or_default()).unwrap_or_default()
}

fn key_in(text: &str) -> Option<String> {
    let table: toml::Table = toml::from_str(text).ok()?;
    Some(table.get("a")?.get("key")?.as_str()?.to_owned())
}

/// All values of the key that the service was ever started with.
fn keys_used(site: &Site) -> Vec<String> {
    let log = site.log("a");
    let keys = log.iter().filter_map(|line| line.strip_prefix("KEY="));
    let mut keys: Vec<String> = keys.map(str::to_owned).collect();
    keys.dedup();
    keys
}

fn kill_both(site: &mut Site) {
    let control = site.control_pid();
    kill(control, Signal::SIGSTOP);
    site.signal(Signal::SIGKILL);
    site.wait_end(Duration::from_secs(5));
    kill(control, Signal::SIGKILL);
    eventually("control is gone", || (!alive(control)).then_some(()));
}

/// The ways in which a key gets lost.
fn lose(site: &Site, how: &str) {
    let path = secrets(site);
    match how {
        "the file" => fs::remove_file(path).unwrap(),
        "all in it" => fs::write(path, "").unwrap(),
        "the key" => {
            let text = fs::read_to_string(&path).unwrap();
            let kept = text.lines().filter(|line| !line.contains("key"));
            fs::write(path, kept.collect::<Vec<_>>().join("\n")).unwrap();
        }
        _ => unreachable!(),
    }
}

/// A secret is lost under a running supervisor: check-config and a dry run report it, a reconfigure
/// restores it, and no service restarts.
#[test]
fn a_lost_secret_is_put_back_by_a_reconfigure() {
    for how in ["the file", "all in it", "the key"] {
        let mut site = site();
        let (before, pid) = (key(&site), site.status().pid("a"));
        lose(&site, how);
        let checked = site.ctl(&["check-config"]).ok().both();
        assert!(
            checked.contains("a.key") && checked.contains("gone"),
            "{how}: {checked}"
        );
        let tried = site.ctl(&["reconfigure", "--dry-run"]).ok().both();
        assert!(tried.contains("put back secret a.key"), "{how}: {tried}");
        assert!(!tried.contains("generate"), "{how}: {tried}");
        assert_eq!(key(&site), "", "{how}: both only look");
        let told = site.ctl(&["reconfigure"]).ok().both();
        assert!(
            told.contains("a.key") && told.contains("gone"),
            "{how}: {told}"
        );
        assert_eq!(key(&site), before, "{how}");
        let text = fs::read_to_string(secrets(&site)).unwrap();
        assert!(text.contains("somebody-wrote-this"), "{how}: {text}");
        assert_eq!(site.status().pid("a"), pid, "{how}: it was restarted");
        let warnings = site.status().supervisor.warnings.join("\n");
        assert!(warnings.contains("a.key"), "{how}: {warnings}");
        assert!(!told.contains(&before) && !site.supervisor_log().contains(&before));
        // The next reconfigure has nothing to restore, and the warning is gone.
        let told = site.ctl(&["reconfigure"]).ok().both();
        assert!(!told.contains("gone"), "{how}: {told}");
        assert_eq!(site.status().warnings(), [""; 0], "{how}");
        assert_eq!(site.stop(), 0);
    }
}

/// A secret that is lost while nothing runs is restored at the start: after an orderly end or a
/// kill, and also if one of the files that hold a copy is lost too.
#[test]
fn a_lost_secret_is_put_back_at_the_start() {
    let mut site = site();
    let before = key(&site);
    let state = |file: &str| state_path(file);
    for (how, also) in [
        ("the file", ""),
        ("all in it", "kept-plans.json"),
        ("the key", ""),
    ] {
        if how == "all in it" {
            kill_both(&mut site);
        } else {
            assert_eq!(site.stop(), 0);
        }
        lose(&site, how);
        if !also.is_empty() {
            let _ = fs::remove_file(site.path(&state(also)));
        }
        site.start_ready();
        assert_eq!(key(&site), before, "{how}");
        let warnings = site.status().supervisor.warnings.join("\n");
        assert!(warnings.contains("a.key"), "{how}: {warnings}");
        site.ctl(&["restart", "a"]).ok();
    }
    assert_eq!(keys_used(&site), [before]);
    assert_eq!(site.stop(), 0);
}

fn state_path(file: &str) -> String {
    format!("var/lib/mattervisor/{file}")
}

/// A secret of which no copy is left is not generated anew; the message says what to do.
#[test]
fn a_secret_that_nobody_knows_any_more_is_not_made_anew() {
    let mut site = site();
    let before = key(&site);
    site.ctl(&["restart", "a"]).ok();
    assert_eq!(site.stop(), 0);
    fs::remove_file(secrets(&site)).unwrap();
    for file in ["plan.json", "kept-plans.json"] {
        let _ = fs::remove_file(site.path(&state_path(file)));
    }
    let mut child = site.spawn_supervisor();
    let ended = eventually("it ends", || child.try_wait().unwrap());
    assert_ne!(ended.code(), Some(0));
    let log = site.supervisor_log();
    assert!(
        log.contains("a.key") && log.contains("openssl rand -hex 16"),
        "{log}"
    );
    assert_eq!(key(&site), "");
    write_secrets(&site, &format!("a.key = '{before}'\na.token = 't'\n"));
    site.start_ready();
    assert_eq!(keys_used(&site), [before]);
    assert_eq!(site.stop(), 0);
}

/// A secret that never existed is generated, also beside existing ones.
#[test]
fn a_secret_that_never_was_is_made() {
    let mut site = site();
    let before = key(&site);
    site.child("b", &["env", "sleep"], KEY);
    let tried = site.ctl(&["reconfigure", "--dry-run"]).ok().both();
    assert!(tried.contains("generate secret b.key"), "{tried}");
    site.ctl(&["reconfigure"]).ok();
    site.wait_state("b", "running");
    let text = fs::read_to_string(secrets(&site)).unwrap();
    assert!(text.contains("b.key = "), "{text}");
    assert_eq!(key(&site), before);
    assert_eq!(site.status().warnings(), [""; 0]);
    assert_eq!(site.stop(), 0);
}
