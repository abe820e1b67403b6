//! Care of existing backups: list, verify, prune.
#![expect(clippy::unwrap_used, reason = "what a test cannot do fails it")]

mod common;

use std::{fs, os::unix::fs::FileExt, path::Path};

use common::{World, done, output};
use serde_json::{Value, json};

fn list(world: &World) -> Vec<(String, String)> {
    let text = done(&mut world.program(&["backup", "list", "--format", "json"]));
    let all: Value = serde_json::from_str(&text).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let all = all["backups"].as_array().unwrap();
    all.iter()
        .map(|one| (text(&one["name"]), text(&one["state"])))
        .collect()
}

fn states(world: &World) -> Vec<String> {
    list(world).into_iter().map(|(_, state)| state).collect()
}

/// Makes a backup older by renaming it.
fn age(world: &World, backup: &Path, day: u32) -> String {
    let name = format!("mattermost-2026-01-{day:02}T000000Z.tar.zst");
    fs::rename(backup, world.to.join(&name)).unwrap();
    name
}

#[test]
fn old_ones_go_and_the_last_good_one_never() {
    let world = World::new();
    world
        .postgres
        .ask("matter most", "CREATE TABLE posts (id int)");
    let none = done(&mut world.program(&["backup", "list"]));
    assert!(none.starts_with("there are no backups in "), "{none}");
    for day in 1..=4 {
        age(&world, &world.create(&json!({})), day);
    }
    assert_eq!(states(&world), ["unverified"; 4]);
    let said = done(&mut world.program(&["backup", "prune"]));
    assert!(said.contains("no backup is known to be good"), "{said}");
    assert_eq!(world.names().len(), 4);

    let names = world.names();
    done(world.program(&["backup", "verify"]).args(&names[..3]));
    assert_eq!(states(&world), ["good", "good", "good", "unverified"]);
    let said = done(&mut world.program(&["backup", "prune", "--dry-run"]));
    assert!(
        said.contains(&format!("would remove {}", names[0])),
        "{said}"
    );
    assert_eq!(world.names(), names);

    // The newest backup is damaged: prune removes nothing, because any other backup may be needed.
    let file = fs::File::options()
        .read(true)
        .write(true)
        .open(world.to.join(&names[3]))
        .unwrap();
    let middle = file.metadata().unwrap().len() / 2;
    let mut byte = [0];
    file.read_exact_at(&mut byte, middle).unwrap();
    file.write_all_at(&[!byte[0]], middle).unwrap();
    let verified = output(world.program(&["backup", "verify"]).arg(&names[3]));
    assert_eq!(verified.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&verified.stderr).contains("it is damaged"));
    assert_eq!(states(&world)[3], "bad");
    let said = done(&mut world.program(&["backup", "prune"]));
    assert!(said.contains("the newest backup is damaged"), "{said}");

    fs::remove_file(world.to.join(&names[3])).unwrap();
    fs::write(world.to.join("notes.txt"), "mine").unwrap();
    fs::write(
        world.to.join("mattermost-2020-01-01T000000Z.tar.zst"),
        "not ours",
    )
    .unwrap();
    let said = done(&mut world.program(&["backup", "prune", "--keep", "1"]));
    assert_eq!(said.lines().count(), 3, "{said}");
    assert_eq!(
        world.names(),
        [
            "mattermost-2020-01-01T000000Z.tar.zst",
            &names[2],
            "notes.txt"
        ]
        .map(str::to_owned)
    );
}

#[test]
fn a_backup_by_schedule_is_verified_and_then_old_ones_go() {
    let world = World::new();
    world
        .postgres
        .ask("matter most", "CREATE TABLE posts (id int)");
    let all = json!({ "verify": true, "prune": true });
    for day in 1..=3 {
        age(&world, &world.create(&all), day);
        let names = world.names();
        done(world.program(&["backup", "verify"]).args(&names));
    }
    world.create(&all);
    // The configuration keeps the two newest.
    assert_eq!(world.names().len(), 2);
    assert_eq!(states(&world), ["good", "good"]);
}

#[test]
fn a_cut_file_is_seen_at_once_and_what_is_not_ours_too() {
    let world = World::new();
    world
        .postgres
        .ask("matter most", "CREATE TABLE posts (id int)");
    let backup = world.create(&json!({}));
    let bytes = fs::read(&backup).unwrap();
    age(&world, &backup, 5);
    fs::write(
        world.to.join("mattermost-2026-01-06T000000Z.tar.zst"),
        &bytes[..bytes.len() - 1],
    )
    .unwrap();
    fs::write(
        world.to.join("mattermost-2026-01-07T000000Z.tar.zst"),
        b"hello",
    )
    .unwrap();
    assert_eq!(states(&world), ["unverified", "bad", "foreign"]);
    let table = done(&mut world.program(&["backup", "list"]));
    assert!(table.contains("10.11.3"), "{table}");
    let said = output(
        world
            .program(&["backup", "verify"])
            .arg("mattermost-2026-01-06T000000Z.tar.zst"),
    );
    assert_eq!(said.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&said.stderr).contains("cut off"),
        "{said:?}"
    );
}

#[test]
fn databases_of_dead_verifications_are_dropped_by_the_next() {
    let world = World::new();
    world
        .postgres
        .ask("matter most", "CREATE TABLE posts (id int)");
    world
        .postgres
        .ask("postgres", "CREATE DATABASE \"matter most_verify_123\"");
    world
        .postgres
        .ask("postgres", "CREATE DATABASE \"matter most_verify_mine\"");
    let backup = world.create(&json!({}));
    done(world.program(&["backup", "verify", "--deep"]).arg(&backup));
    let left = world.postgres.ask(
        "postgres",
        "SELECT datname FROM pg_database WHERE datname LIKE '%verify%'",
    );
    assert_eq!(left, "matter most_verify_mine");
}
