//! A secret that was applied and is gone from `secrets.toml` is put back, aloud; only one that never
//! was is made.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, time::Duration};

use mattervisor_tests::{StatusExt, World, alive, eventually, kill};
use nix::sys::signal::Signal;

const KEY: &str = "[settings]\nkey = { type = 'string', secret = true, generate = 'hex:16', env = 'KEY' }\n\
     token = { type = 'string', secret = true, env = 'TOKEN' }\n";

fn secrets(world: &World) -> PathBuf {
    world.path("etc/mattervisor/secrets.toml")
}

fn write_secrets(world: &World, text: &str) {
    fs::write(secrets(world), text).unwrap();
    fs::set_permissions(secrets(world), fs::Permissions::from_mode(0o600)).unwrap();
}

/// A world with a generated key and a token that somebody wrote.
fn world() -> World {
    let mut world = World::new();
    world.child("a", &["env", "sleep"], KEY);
    write_secrets(&world, "a.token = 'somebody-wrote-this'\n");
    world.start_ready();
    world
}

fn key(world: &World) -> String {
    key_in(&fs::read_to_string(secrets(world)).unwrap_or_default()).unwrap_or_default()
}

fn key_in(text: &str) -> Option<String> {
    let table: toml::Table = toml::from_str(text).ok()?;
    Some(table.get("a")?.get("key")?.as_str()?.to_owned())
}

/// All values of the key that the service was ever started with.
fn keys_used(world: &World) -> Vec<String> {
    let log = world.log("a");
    let keys = log.iter().filter_map(|line| line.strip_prefix("KEY="));
    let mut keys: Vec<String> = keys.map(str::to_owned).collect();
    keys.dedup();
    keys
}

fn kill_both(world: &mut World) {
    let control = world.control_pid();
    kill(control, Signal::SIGSTOP);
    world.signal(Signal::SIGKILL);
    world.wait_end(Duration::from_secs(5));
    kill(control, Signal::SIGKILL);
    eventually("control is gone", || (!alive(control)).then_some(()));
}

/// The ways in which a key gets lost.
fn lose(world: &World, how: &str) {
    let path = secrets(world);
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

/// Lost under a living supervisor: each look says what would be done, a reconfigure does it, nothing
/// restarts.
#[test]
fn a_lost_secret_is_put_back_by_a_reconfigure() {
    for how in ["the file", "all in it", "the key"] {
        let mut world = world();
        let (before, pid) = (key(&world), world.status().pid("a"));
        lose(&world, how);
        let checked = world.ctl(&["check-config"]).ok().both();
        assert!(
            checked.contains("a.key") && checked.contains("gone"),
            "{how}: {checked}"
        );
        let tried = world.ctl(&["reconfigure", "--dry-run"]).ok().both();
        assert!(tried.contains("put back secret a.key"), "{how}: {tried}");
        assert!(!tried.contains("generate"), "{how}: {tried}");
        assert_eq!(key(&world), "", "{how}: both only look");
        let told = world.ctl(&["reconfigure"]).ok().both();
        assert!(
            told.contains("a.key") && told.contains("gone"),
            "{how}: {told}"
        );
        assert_eq!(key(&world), before, "{how}");
        let text = fs::read_to_string(secrets(&world)).unwrap();
        assert!(text.contains("somebody-wrote-this"), "{how}: {text}");
        assert_eq!(world.status().pid("a"), pid, "{how}: it was restarted");
        let warnings = world.status().supervisor.warnings.join("\n");
        assert!(warnings.contains("a.key"), "{how}: {warnings}");
        assert!(!told.contains(&before) && !world.supervisor_log().contains(&before));
        // That has been told; the next one has nothing to put back.
        let told = world.ctl(&["reconfigure"]).ok().both();
        assert!(!told.contains("gone"), "{how}: {told}");
        assert_eq!(
            world.status().supervisor.warnings,
            Vec::<String>::new(),
            "{how}"
        );
        assert_eq!(world.stop(), 0);
    }
}

/// Lost while nothing ran, after a clean end or none, with one of the places that know it gone too.
#[test]
fn a_lost_secret_is_put_back_at_the_start() {
    let mut world = world();
    let before = key(&world);
    let state = |file: &str| world_file(file);
    for (how, also) in [
        ("the file", ""),
        ("all in it", "kept-plans.json"),
        ("the key", ""),
    ] {
        if how == "all in it" {
            kill_both(&mut world);
        } else {
            assert_eq!(world.stop(), 0);
        }
        lose(&world, how);
        if !also.is_empty() {
            let _ = fs::remove_file(world.path(&state(also)));
        }
        world.start_ready();
        assert_eq!(key(&world), before, "{how}");
        let warnings = world.status().supervisor.warnings.join("\n");
        assert!(warnings.contains("a.key"), "{how}: {warnings}");
        world.ctl(&["restart", "a"]).ok();
    }
    assert_eq!(keys_used(&world), [before]);
    assert_eq!(world.stop(), 0);
}

fn world_file(file: &str) -> String {
    format!("var/lib/mattervisor/{file}")
}

/// Nobody knows it any more: it is not made anew, and the words say what to do.
#[test]
fn a_secret_that_nobody_knows_any_more_is_not_made_anew() {
    let mut world = world();
    let before = key(&world);
    world.ctl(&["restart", "a"]).ok();
    assert_eq!(world.stop(), 0);
    fs::remove_file(secrets(&world)).unwrap();
    for file in ["plan.json", "kept-plans.json"] {
        let _ = fs::remove_file(world.path(&world_file(file)));
    }
    let mut child = world.spawn_supervisor();
    let ended = eventually("it ends", || child.try_wait().unwrap());
    assert_ne!(ended.code(), Some(0));
    let log = world.supervisor_log();
    assert!(
        log.contains("a.key") && log.contains("openssl rand -hex 16"),
        "{log}"
    );
    assert_eq!(key(&world), "");
    write_secrets(&world, &format!("a.key = '{before}'\na.token = 't'\n"));
    world.start_ready();
    assert_eq!(keys_used(&world), [before]);
    assert_eq!(world.stop(), 0);
}

/// One that never was is made, also beside those that were.
#[test]
fn a_secret_that_never_was_is_made() {
    let mut world = world();
    let before = key(&world);
    world.child("b", &["env", "sleep"], KEY);
    let tried = world.ctl(&["reconfigure", "--dry-run"]).ok().both();
    assert!(tried.contains("generate secret b.key"), "{tried}");
    world.ctl(&["reconfigure"]).ok();
    world.wait_state("b", "running");
    let text = fs::read_to_string(secrets(&world)).unwrap();
    assert!(text.contains("b.key = "), "{text}");
    assert_eq!(key(&world), before);
    assert_eq!(world.status().supervisor.warnings, Vec::<String>::new());
    assert_eq!(world.stop(), 0);
}
