//! Backups made to do harm: nothing lands outside its place, and the machine stays as it was.
#![expect(clippy::unwrap_used, reason = "what a test cannot do fails it")]

mod common;

use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use common::{Supervisor, World, done, output};
use mattervisor_backup::archive::{self, EntryKind, Kind, Member, Owner, Piece, Writer};
use serde_json::{Value, json};
use sha2::Digest as _;

/// A member to add to a good backup.
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

/// A change to the bytes of a member.
type Change<'c> = &'c dyn Fn(Vec<u8>) -> Vec<u8>;

fn same(bytes: Vec<u8>) -> Vec<u8> {
    bytes
}

/// Copies a backup with these members added, and with its dump and manifest changed.
fn planted(
    world: &World,
    good: &Path,
    more: &[Planted],
    (dump, manifest): (Change<'_>, Change<'_>),
) -> PathBuf {
    let path = world.dir.path().join("planted.tar.zst");
    let out = File::create(&path).unwrap();
    let mut writer = Writer::new(out, tempfile::tempfile().unwrap(), 1_700_000_000).unwrap();
    let mut number = 0;
    let read = File::open(good).unwrap();
    let on = |_| Ok::<(), archive::Error>(());
    archive::each(&read, on, |entry| {
        let name = String::from_utf8_lossy(&entry.name).into_owned();
        if name.starts_with(archive::DUMP) {
            let bytes = dump(entry.document()?);
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
            let mut text = entry.document()?;
            if name == archive::MANIFEST {
                text = manifest(text);
            }
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

fn nothing_stopped(supervisor: &Supervisor) {
    let asked = supervisor.asked();
    assert!(!asked.iter().any(|it| it.starts_with("POST")), "{asked:?}");
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
        let bad = planted(&world, &good, &members, (&same, &same));
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
    let bad = planted(
        &world,
        &good,
        &[],
        (&|_| b"PGDMP, but no dump".to_vec(), &same),
    );
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
    let bad = planted(&world, &good, &[setuid], (&same, &same));
    let arguments = json!({ "operation": "restore", "file": bad });
    let mut job = world.restore("setuid", &arguments);
    done(job.env("MATTERVISOR_SOCKET", &supervisor.socket));
    let made = fs::metadata(world.home().join("data/setuid")).unwrap();
    assert_eq!(made.permissions().mode() & 0o7777, 0o755);
}

/// Copies a backup with a member of a kind that the archive writer cannot write.
fn with_special(world: &World, good: &Path, kind: tar::EntryType) -> PathBuf {
    let whole = fs::read(good).unwrap();
    let packed = &whole[..whole.len() - archive::trailer::BYTES];
    let plain = zstd::decode_all(packed).unwrap();
    let mut read = tar::Archive::new(&plain[..]);
    let first = read.entries().unwrap().next().unwrap().unwrap();
    // The added member comes right after the manifest.
    let end = first.raw_file_position() + first.size().next_multiple_of(512);
    let end = usize::try_from(end).unwrap();
    let mut header = tar::Header::new_ustar();
    header.set_path("files/data/special").unwrap();
    header.set_entry_type(kind);
    header.set_mode(0o666);
    header.set_size(0);
    header.set_device_major(1).unwrap();
    header.set_device_minor(3).unwrap();
    header.set_cksum();
    let plain = [&plain[..end], header.as_bytes(), &plain[end..]].concat();
    let mut packed = zstd::encode_all(&plain[..], 1).unwrap();
    let sum: [u8; 32] = sha2::Sha256::digest(&packed).into();
    packed.extend(archive::trailer::of(&sum));
    let path = world.dir.path().join("special.tar.zst");
    fs::write(&path, packed).unwrap();
    path
}

#[test]
fn devices_and_fifos_are_refused() {
    let world = filled();
    let supervisor = Supervisor::start(&world, || {});
    let good = world.create(&json!({}));
    world.file("data/file", b"now");
    let before = state(&world);
    for kind in [
        tar::EntryType::Fifo,
        tar::EntryType::Char,
        tar::EntryType::Block,
    ] {
        let bad = with_special(&world, &good, kind);
        let arguments = json!({ "operation": "restore", "file": bad });
        let mut job = world.restore(&format!("{kind:?}"), &arguments);
        job.env("MATTERVISOR_SOCKET", &supervisor.socket);
        assert_eq!(output(&mut job).status.code(), Some(1), "{kind:?}");
        let said = world.restored()["message"].to_string();
        assert!(said.contains("files/data/special"), "{kind:?}: {said}");
        assert_eq!(state(&world), before, "{kind:?}");
    }
    nothing_stopped(&supervisor);
}

/// A good dump except for one statement, which would run a program as the server's account.
#[test]
fn a_dump_runs_no_program() {
    let world = filled();
    let room = "x".repeat(300);
    let comment = format!("SET ROLE mattermost; COMMENT ON TABLE posts IS '{room}'");
    world.postgres.ask("matter most", &comment);
    let supervisor = Supervisor::start(&world, || {});
    let good = world.create(&json!({}));
    let before = state(&world);
    let made = world.dir.path().join("s/made");
    let statement = format!("COMMENT ON TABLE public.posts IS '{room}';");
    let other = format!("COPY public.posts FROM PROGRAM 'touch {}';", made.display());
    let other = format!("{other:width$}", width = statement.len());
    let changed = |dump: Vec<u8>| {
        let mut windows = dump.windows(statement.len());
        let at = windows.position(|it| it == statement.as_bytes()).unwrap();
        let mut dump = dump;
        dump[at..at + other.len()].copy_from_slice(other.as_bytes());
        dump
    };
    let bad = planted(&world, &good, &[], (&changed, &same));
    let arguments = json!({ "operation": "restore", "file": bad });
    let mut job = world.restore("program", &arguments);
    job.env("MATTERVISOR_SOCKET", &supervisor.socket);
    assert_eq!(output(&mut job).status.code(), Some(1));
    let said = world.restored()["message"].to_string();
    assert!(said.contains("pg_restore has failed"), "{said}");
    assert!(!made.exists(), "the program has run");
    assert_eq!(state(&world), before);
    nothing_stopped(&supervisor);
}

/// A locale or encoding that this server lacks is named, with what to do, before anything is made.
#[test]
fn what_the_server_cannot_sort_or_encode_is_refused_by_name() {
    let world = filled();
    let supervisor = Supervisor::start(&world, || {});
    let good = world.create(&json!({}));
    let before = state(&world);
    let cases = [
        (
            json!({ "collate": "xx_YY.UTF-8" }),
            ["xx_YY.UTF-8", "locale-gen"],
        ),
        (
            json!({ "ctype": "it's; DROP TABLE posts" }),
            ["it's; DROP TABLE posts", "install it"],
        ),
        (
            json!({ "encoding": "KLINGON" }),
            ["KLINGON", "does not know"],
        ),
        (
            json!({ "locale_provider": "b", "locale": "C.UTF-8" }),
            ["C.UTF-8", "PostgreSQL 17 or newer"],
        ),
        (json!({ "bytes": 1_u64 << 60 }), ["free", "make room"]),
    ];
    let version = world.postgres.ask("postgres", "SHOW server_version_num");
    let is_old = version.as_str() < "170000";
    for (number, (change, words)) in cases.iter().enumerate() {
        if change["locale_provider"] == "b" && !is_old {
            continue;
        }
        let changed = |text: Vec<u8>| {
            let mut manifest: Value = serde_json::from_slice(&text).unwrap();
            for (key, value) in change.as_object().unwrap() {
                manifest["database"][key] = value.clone();
            }
            manifest.to_string().into_bytes()
        };
        let bad = planted(&world, &good, &[], (&same, &changed));
        for arguments in [
            json!({ "operation": "restore", "file": bad }),
            json!({ "operation": "beside", "file": bad, "database": "look" }),
        ] {
            let mut job = world.restore(&format!("{number}"), &arguments);
            job.env("MATTERVISOR_SOCKET", &supervisor.socket);
            assert_eq!(output(&mut job).status.code(), Some(1), "{change}");
            let restored = world.restored();
            let said = restored["message"].as_str().unwrap();
            assert!(words.iter().all(|it| said.contains(it)), "{said}");
            assert_eq!(state(&world), before, "{change}");
        }
    }
    nothing_stopped(&supervisor);
}

/// The database would fit, but the files find too little room on their disk.
#[test]
fn a_disk_with_too_little_room_for_the_files_is_named() {
    struct Mounted(PathBuf);
    impl Drop for Mounted {
        fn drop(&mut self) {
            output(std::process::Command::new("umount").arg("-l").arg(&self.0));
        }
    }
    if !nix::unistd::Uid::effective().is_root() {
        skip::skip!("only root can mount a small disk");
    }
    let world = filled();
    world.file("data/large", &vec![b'x'; 900_000]);
    let supervisor = Supervisor::start(&world, || {});
    let good = world.create(&json!({}));
    let data = world.home().join("data");
    let mut mount = std::process::Command::new("mount");
    mount
        .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
        .arg(&data);
    done(&mut mount);
    let _mounted = Mounted(data.clone());
    common::own(&data, common::ACCOUNT);
    world.file("data/file", &vec![b'y'; 500_000]);
    let arguments = json!({ "operation": "restore", "file": good });
    let mut job = world.restore("room", &arguments);
    job.env("MATTERVISOR_SOCKET", &supervisor.socket);
    assert_eq!(output(&mut job).status.code(), Some(1));
    let restored = world.restored();
    let said = restored["message"].as_str().unwrap();
    assert!(said.contains(&format!("{} has ", data.display())), "{said}");
    assert!(said.contains("make room"), "{said}");
    nothing_stopped(&supervisor);
}
