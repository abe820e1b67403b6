//! Backups that somebody has made to do harm: nothing lies anywhere but where it should, and all is as it was.
#![expect(clippy::unwrap_used, reason = "what a test cannot do fails it")]

mod common;

use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use common::{Supervisor, World, done, output};
use mattervisor_backup::archive::{self, EntryKind, Kind, Member, Owner, Piece, Writer};
use serde_json::json;

/// A member that is put into a good backup.
struct Planted {
    name: String,
    kind: PlantedKind,
    mode: u32,
}

enum PlantedKind {
    File(&'static [u8]),
    Symlink(String),
    HardLink(String),
}

fn file(name: &str) -> Planted {
    Planted {
        name: name.to_owned(),
        kind: PlantedKind::File(b"evil"),
        mode: 0o644,
    }
}

fn symlink(name: &str, to: &str) -> Planted {
    Planted {
        kind: PlantedKind::Symlink(to.to_owned()),
        ..file(name)
    }
}

fn hard_link(name: &str, to: &str) -> Planted {
    Planted {
        kind: PlantedKind::HardLink(to.to_owned()),
        ..file(name)
    }
}

/// The same backup with these members besides, and with other bytes for its dump, if given.
fn planted(world: &World, good: &Path, more: &[Planted], dump: Option<&[u8]>) -> PathBuf {
    let path = world.dir.path().join("planted.tar.zst");
    let out = File::create(&path).unwrap();
    let mut writer = Writer::new(out, tempfile::tempfile().unwrap(), 1_700_000_000).unwrap();
    let mut number = 0;
    let read = File::open(good).unwrap();
    let same = |_| Ok::<(), archive::Error>(());
    archive::each(&read, same, |entry| {
        let name = String::from_utf8_lossy(&entry.name).into_owned();
        if name.starts_with(archive::DUMP) {
            let mut bytes = entry.document()?;
            if let Some(dump) = dump {
                bytes = dump.to_vec();
            }
            writer.piece(Piece { number, bytes })?;
            number += 1;
            return Ok(());
        }
        if name == archive::REPORT {
            for one in more {
                plant(&mut writer, one)?;
            }
        }
        if entry.kind == EntryKind::File {
            let text = entry.document()?;
            writer.document(&name, &text)?;
        }
        if name == archive::MANIFEST {
            writer.new_frame()?;
        }
        Ok(())
    })
    .unwrap();
    writer.finish().unwrap();
    path
}

fn plant(writer: &mut Writer, one: &Planted) -> Result<(), archive::Error> {
    let kind = match &one.kind {
        PlantedKind::File(bytes) => Kind::File(bytes.len() as u64),
        PlantedKind::Symlink(to) => Kind::Symlink(to.as_bytes()),
        PlantedKind::HardLink(to) => Kind::HardLink(to.as_bytes()),
    };
    let member = Member {
        name: one.name.as_bytes(),
        kind,
        mode: one.mode,
        owner: &Owner::default(),
        changed: (0, 0),
    };
    let PlantedKind::File(bytes) = one.kind else {
        return writer.plain(&member);
    };
    let mut content = writer.content(&member)?;
    content.data(bytes)?;
    content.end()
}

fn filled() -> World {
    let world = World::new();
    world.postgres.ask(
        "matter most",
        "SET ROLE mattermost; CREATE TABLE posts AS SELECT 1 AS id",
    );
    world.file("data/file", b"good");
    world
}

fn state(world: &World) -> (String, String, usize) {
    let databases = "SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database";
    (
        fs::read_to_string(world.home().join("data/file")).unwrap(),
        world.postgres.ask("postgres", databases),
        fs::read_dir(world.home()).unwrap().count(),
    )
}

#[test]
fn what_would_lie_elsewhere_is_refused_and_nothing_is_left() {
    let world = filled();
    let supervisor = Supervisor::start(&world, || {});
    let good = world.create(&json!({}));
    world.file("data/file", b"now");
    let outside = world.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::set_permissions(&outside, fs::Permissions::from_mode(0o777)).unwrap();
    let before = state(&world);
    let out = outside.to_str().unwrap();
    let cases: Vec<(&str, Vec<Planted>)> = vec![
        ("above", vec![file("files/data/../../../../outside/evil")]),
        ("absolute", vec![file(&format!("{out}/evil"))]),
        ("nowhere", vec![file("evil")]),
        ("dots", vec![file("files/data/./evil")]),
        (
            "through a link",
            vec![symlink("files/data/out", out), file("files/data/out/evil")],
        ),
        ("top", vec![symlink("files/plugins", out)]),
        (
            "hard link out",
            vec![hard_link("files/data/hard", "/etc/passwd")],
        ),
        (
            "hard link above",
            vec![hard_link("files/data/hard", "files/data/../../config.json")],
        ),
        (
            "hard link to another tree",
            vec![hard_link("files/data/hard", "files/config.json")],
        ),
        ("twice", vec![file("files/data/file")]),
        ("deep home", vec![file("files/home/a/b")]),
        (
            "link as certificate",
            vec![symlink("files/home/x", "/etc/passwd")],
        ),
        (
            "site",
            vec![
                symlink("configuration/out", out),
                file("configuration/out/evil"),
            ],
        ),
    ];
    for (name, members) in cases {
        let bad = planted(&world, &good, &members, None);
        let arguments = json!({ "operation": "restore", "file": bad });
        let mut job = world.restore(name, &arguments);
        job.env("MATTERVISOR_SOCKET", &supervisor.socket);
        assert_eq!(output(&mut job).status.code(), Some(1), "{name}");
        assert_eq!(state(&world), before, "{name}");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "{name}");
        assert!(
            !supervisor.asked().contains(&"POST /v1/leases".to_owned()),
            "{name}"
        );
    }
}

#[test]
fn set_id_bits_are_cleared_and_a_dump_that_is_none_changes_nothing() {
    let world = filled();
    let supervisor = Supervisor::start(&world, || {});
    let good = world.create(&json!({}));
    let before = state(&world);
    let bad = planted(&world, &good, &[], Some(b"PGDMP, but no dump"));
    let arguments = json!({ "operation": "restore", "file": bad });
    let mut job = world.restore("dump", &arguments);
    job.env("MATTERVISOR_SOCKET", &supervisor.socket);
    assert_eq!(output(&mut job).status.code(), Some(1));
    let said = world.restored()["message"].to_string();
    assert!(said.contains("pg_restore has failed"), "{said}");
    assert_eq!(state(&world), before);

    let setuid = Planted {
        mode: 0o6755,
        ..file("files/data/setuid")
    };
    let bad = planted(&world, &good, &[setuid], None);
    let arguments = json!({ "operation": "restore", "file": bad });
    let mut job = world.restore("setuid", &arguments);
    done(job.env("MATTERVISOR_SOCKET", &supervisor.socket));
    let made = fs::metadata(world.home().join("data/setuid")).unwrap();
    assert_eq!(made.permissions().mode() & 0o7777, 0o755);
}
