//! The safety copy of a restore: what may not touch it, and what people read of it.
#![expect(clippy::unwrap_used, reason = "what a test cannot do fails it")]

mod common;

use std::{fs, path::PathBuf};

use common::{Supervisor, World, done};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

const DATABASE: &str = "matter most";

fn filled() -> World {
    let world = World::new();
    world.postgres.ask(
        DATABASE,
        "SET ROLE mattermost; CREATE TABLE posts (id int, createat bigint); INSERT INTO posts VALUES (1, 0)",
    );
    world.file("data/file", b"saved");
    world
}

fn run(world: &World, supervisor: &Supervisor, id: &str, arguments: &serde_json::Value) {
    let mut job = world.restore(id, arguments);
    done(job.env("MATTERVISOR_SOCKET", &supervisor.socket));
}

/// Two restores may come in one second, and a clock may be set back.
#[test]
fn a_restore_stages_nothing_where_a_copy_is_kept() {
    let world = filled();
    let supervisor = Supervisor::start(&world, || {});
    let backup = world.create(&json!({}));
    world.file("data/file", b"later");
    let kept = |seconds: i64| -> PathBuf {
        let at = Timestamp::now() + SignedDuration::from_secs(seconds);
        let name = at.strftime(".mattervisor-restore-%Y%m%dt%H%M%Sz/tree-data/file");
        world.file(name.to_string(), b"kept")
    };
    let kept: Vec<PathBuf> = (0..300).map(kept).collect();
    let arguments = json!({ "operation": "restore", "file": backup });
    run(&world, &supervisor, "one", &arguments);
    assert_eq!(fs::read(world.home().join("data/file")).unwrap(), b"saved");
    for file in kept {
        assert_eq!(fs::read(&file).unwrap(), b"kept", "{}", file.display());
    }
}
