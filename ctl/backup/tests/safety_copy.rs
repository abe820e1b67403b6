//! The safety copy of a restore: other operations do not touch it, and messages describe it.
#![expect(clippy::unwrap_used, reason = "what a test cannot do fails it")]

mod common;

use std::{fs, path::PathBuf};

use common::{Supervisor, World, done, held, hold, output, pid, spawn};
use jiff::{SignedDuration, Timestamp, civil::DateTime};
use mattervisor_backup::Step;
use nix::sys::signal::{Signal, kill};
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

/// Two restores may happen within a second, and a clock may be set back: the names of copies must
/// still differ.
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

/// The confirmation question for this option.
fn question(world: &World, option: &str) -> String {
    let asked = output(&mut world.program(&["restore", option]));
    assert_eq!(asked.status.code(), Some(2), "nobody agrees here");
    String::from_utf8(asked.stderr).unwrap()
}

/// Replaces each time in the text by `AT`.
fn without_moments(text: &str) -> String {
    let mut out = String::new();
    let mut parts = text.split(" at ");
    out += parts.next().unwrap();
    for part in parts {
        let rest = match part.split_once(" UTC") {
            Some((at, rest)) if DateTime::strptime("%Y-%m-%d %H:%M:%S", at).is_ok() => {
                format!("AT{rest}")
            }
            _ => part.to_owned(),
        };
        out += " at ";
        out += &rest;
    }
    out
}

#[test]
fn people_read_what_is_kept_and_what_an_undo_takes_away() {
    let world = filled();
    let supervisor = Supervisor::start(&world, || {});
    let backup = world.create(&json!({}));
    let from = backup.display().to_string();
    let restore = json!({ "operation": "restore", "file": backup });
    run(&world, &supervisor, "one", &restore);
    let kept =
        format!("what was there until {from} was restored at AT: database matter most_before_");
    let undone = "What is there now is kept: another ctl restore --undo brings it back.\n";
    for (written, told) in [
        (0, "\nNo messages were written since.\n"),
        (1, "\n1 message was written since; it goes out of use.\n"),
        (2, "\n2 messages were written since; they go out of use.\n"),
    ] {
        if written > 0 {
            let now = "extract(epoch FROM now()) * 1000";
            let write = format!("INSERT INTO posts VALUES ({written}, {now} + 1)");
            world.postgres.ask(DATABASE, &write);
        }
        let said = without_moments(&question(&world, "--undo"));
        assert!(
            said.starts_with(&format!("This brings back {kept}")),
            "{said}"
        );
        assert!(said.contains(&format!("{told}{undone}")), "{said}");
    }
    world.postgres.ask(DATABASE, "DROP TABLE posts");
    let said = question(&world, "--undo");
    assert!(
        said.contains("The database has no table of messages"),
        "{said}"
    );
    let listed = without_moments(&done(&mut world.program(&["backup", "list"])));
    assert!(
        listed.contains(&format!("Kept besides: {kept}")),
        "{listed}"
    );

    run(&world, &supervisor, "two", &json!({ "operation": "undo" }));
    let kept = format!(
        "what was restored from {from} until that was undone at AT: database matter most_undone_"
    );
    let said = without_moments(&question(&world, "--forget"));
    assert!(said.starts_with(&format!("This removes {kept}")), "{said}");
    assert!(
        said.contains("). Nothing brings that back afterwards.\n"),
        "{said}"
    );
    let mut again = world.program(&["restore"]);
    let said = output(again.arg(&backup)).stderr;
    let said = without_moments(&String::from_utf8(said).unwrap());
    assert!(said.contains("\n  made at AT on "), "{said}");
    assert!(
        said.contains(&format!("\nAfterwards an earlier copy is removed: {kept}")),
        "{said}"
    );
}

/// A restore of files does not replace the database, so messages written since stay.
#[test]
fn an_undo_of_files_alone_counts_no_messages() {
    let world = filled();
    let supervisor = Supervisor::start(&world, || {});
    let archive = world.dir.path().join("files.tar");
    let mut tar = std::process::Command::new("tar");
    done(
        tar.arg("-cf")
            .arg(&archive)
            .arg("-C")
            .arg(world.home())
            .arg("data"),
    );
    let files = json!({ "operation": "foreign", "sql": null, "files": archive });
    run(&world, &supervisor, "one", &files);
    let said = question(&world, "--undo");
    let stays = "The database stays as it is: the restore did not replace it.\n";
    assert!(said.contains(stays) && !said.contains("messages"), "{said}");
    assert!(said.contains(", no database.\n"), "{said}");
}

/// The message tells whether a restore or an undo was interrupted, and how it ended.
#[test]
fn what_was_interrupted_is_told_by_its_end() {
    let world = filled();
    let supervisor = Supervisor::start(&world, || {});
    let backup = world.create(&json!({}));
    let restore = json!({ "operation": "restore", "file": backup });
    let undo = json!({ "operation": "undo" });
    let from = backup.display();
    let back =
        format!("the restore of {from} was interrupted: everything is as it was before it\n");
    let forward = format!("the restore of {from} was interrupted, and is finished now\n");
    let undone =
        format!("taking back the restore of {from} was interrupted, and is finished now\n");
    for (step, arguments, told) in [
        (Step::SwitchDatabases, &restore, back),
        (Step::SwitchFiles, &restore, forward),
        (Step::SwitchFiles, &undo, undone),
    ] {
        hold(&world.restore_job(), step);
        let mut job = world.restore(&told, arguments);
        job.env("MATTERVISOR_SOCKET", &supervisor.socket);
        let mut job = spawn(&mut job);
        held(&job);
        kill(pid(&job), Signal::SIGKILL).unwrap();
        job.wait().unwrap();
        let mut recover = world.program(&["recover"]);
        let said = done(recover.arg(world.configuration()));
        assert_eq!(said, format!("mattervisor-backup: {told}"));
    }
}
