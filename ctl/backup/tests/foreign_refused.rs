//! Dumps and archives that are cut, or not of the Mattermost that runs here, are refused before
//! anything is stopped.
#![expect(clippy::unwrap_used, reason = "what a test cannot do fails it")]

mod common;

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Stdio,
};

use common::{
    done,
    foreign::{DATABASE, GITLAB, MEMBERS, Scene, archive, gzip, sql, state},
    spawn,
};
use serde_json::json;

/// A file with these bytes is refused; returns the message.
fn bytes_refused(scene: &Scene, what: &str, bytes: &[u8], option: &str) -> String {
    let bad = scene.path("bad");
    fs::write(&bad, bytes).unwrap();
    let arguments = json!({ "operation": "foreign", option: bad });
    scene.failed(&format!("{what} {}", bytes.len()), &arguments)
}

#[test]
fn what_is_cut_or_damaged_is_refused_wherever_that_is() {
    let scene = Scene::make();
    let plain = scene.dump("plain.sql", &[]);
    let before = state(&scene.world);
    for (what, path, option) in [
        ("plain", plain.clone(), "sql"),
        ("gzip", gzip(&plain), "sql"),
        ("custom", scene.dump("custom", &["-Fc"]), "sql"),
        (
            "files",
            archive(&scene.world, "files", &["-z"], &MEMBERS),
            "files",
        ),
        (
            "tar",
            archive(&scene.world, "files.tar", &[], &MEMBERS),
            "files",
        ),
    ] {
        let bytes = fs::read(path).unwrap();
        // Zeros after the end of an archive do not belong to it, so cutting them is no damage.
        let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
        for part in 0..8 {
            bytes_refused(&scene, what, &bytes[..end * part / 8], option);
        }
        if ["gzip", "custom", "files"].contains(&what) {
            // A flipped bit within deflate may decode to the same text, so a bit of the checksum is
            // flipped instead.
            let at = if what == "custom" {
                bytes.len() / 2
            } else {
                bytes.len() - 8
            };
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x10;
            bytes_refused(&scene, "flipped", &flipped, option);
        }
    }
    let zipped = fs::read(gzip(&plain)).unwrap();
    let said = bytes_refused(&scene, "sum", &zipped[..zipped.len() - 4], "sql");
    assert!(said.contains("gzip cannot read it to its end"), "{said}");
    assert_eq!(state(&scene.world), before);
}

/// Why our own check is needed: psql accepts a dump that is cut within rows, with exit code 0.
#[test]
fn a_dump_that_psql_would_take_for_a_whole_one_is_refused() {
    let scene = Scene::make();
    let text = fs::read_to_string(scene.dump("plain.sql", &[])).unwrap();
    let copy = text.find("COPY public.posts").unwrap();
    let row = copy + text[copy..].find("\tO\n").unwrap();
    let before = state(&scene.world);
    // Cuts within the last column of a row, and at a line end.
    for end in [row + 1, row + 2, row + 3, row - 2] {
        let said = bytes_refused(&scene, "row", &text.as_bytes()[..end], "sql");
        assert!(said.contains("rows is missing"), "{said}");
    }
    let end = text.rfind("-- PostgreSQL database dump complete").unwrap();
    let said = bytes_refused(&scene, "comment", &text.as_bytes()[..end], "sql");
    assert!(said.contains("pg_dump ends with"), "{said}");
    assert_eq!(state(&scene.world), before);

    let postgres = &scene.world.postgres;
    postgres.ask("postgres", "CREATE DATABASE plainly OWNER mattermost");
    let mut psql = postgres.command("psql", "plainly");
    psql.args(["-Xq", "--single-transaction", "-v", "ON_ERROR_STOP=1"]);
    psql.args(["-f", "-"]).stdin(Stdio::piped());
    psql.stdout(Stdio::null()).stderr(Stdio::null());
    let mut psql = spawn(&mut psql);
    let mut input = psql.stdin.take().unwrap();
    input.write_all(&text.as_bytes()[..row + 2]).unwrap();
    drop(input);
    assert_eq!(psql.wait().unwrap().code(), Some(0));
    assert_eq!(postgres.ask("plainly", "SELECT count(*) FROM posts"), "1");
}

/// Dumps a database by this program.
fn dump_of(scene: &Scene, program: &str, database: &str) -> PathBuf {
    let to = scene.path(&format!("{program} {database}"));
    let mut dump = scene.world.postgres.command(program, database);
    done(dump.arg("--file").arg(&to));
    to
}

/// A file that is neither a dump nor an archive of Mattermost is refused with what it is and what
/// to do.
#[test]
fn what_is_not_mattermosts_is_refused() {
    let scene = Scene::make();
    let postgres = &scene.world.postgres;
    postgres.ask("postgres", "CREATE DATABASE empty");
    postgres.ask("postgres", "CREATE DATABASE other");
    postgres.ask(
        "other",
        "CREATE TABLE things (id int); INSERT INTO things VALUES (1)",
    );
    let whole = scene.dump("plain.sql", &[]);
    let files = archive(&scene.world, "files.tar", &[], &MEMBERS);
    let inside = [("20210805/x", ""), ("users/y", "")];
    let inside = archive(&scene.world, "inside.tar", &[], &inside);
    let text = scene.path("text");
    fs::write(&text, "hello").unwrap();
    let as_files = |path: &Path| json!({ "operation": "foreign", "files": path });
    let ours = |path: &Path| json!({ "operation": "restore", "file": path });
    for (arguments, wanted) in [
        (
            sql(&scene.dump("schema.sql", &["--schema-only"])),
            "has no message and no user",
        ),
        (
            sql(&scene.dump("create.sql", &["--create"])),
            "without --create",
        ),
        (sql(&scene.dump("tar.sql", &["-Ft"])), "pg_dump -Ft"),
        (
            sql(&dump_of(&scene, "pg_dumpall", "postgres")),
            "pg_dumpall",
        ),
        (
            sql(&dump_of(&scene, "pg_dump", "empty")),
            "no table posts, but no table at all",
        ),
        (
            sql(&dump_of(&scene, "pg_dump", "other")),
            "no table posts, but things",
        ),
        (sql(&text), "is not a dump"),
        (sql(&files), "ctl restore --files"),
        (sql(Path::new("/nowhere")), "cannot open /nowhere"),
        (as_files(&whole), "ctl restore --sql"),
        (as_files(&inside), "20210805, users"),
        (json!({ "operation": "foreign" }), "neither"),
        (ours(&whole), "ctl restore --sql"),
        (ours(&gzip(&whole)), "ctl restore --sql"),
        (ours(&files), "ctl restore --files"),
    ] {
        let said = scene.refused(wanted, &arguments);
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
}

/// Three things reveal the dump of a newer Mattermost: the migrations that the program here
/// carries, those that have run here, and the version.
#[test]
fn a_dump_of_a_newer_mattermost_is_refused() {
    let scene = Scene::make();
    let world = &scene.world;
    let whole = scene.dump("plain.sql", &[]);
    let program = scene.path("mattermost");
    let configure = |version: &str| {
        world.configure(&json!({ "program": program, "mattermost_version": version }));
    };
    let refused = |dump: &Path, wanted: &str| {
        let said = scene.refused(wanted, &sql(dump));
        assert!(said.contains(wanted), "{wanted}: {said}");
    };
    configure("10.11.3");
    let carries = |names: &str| fs::write(&program, names).unwrap();
    carries("postgres/000001_create_teams.up.sql postgres/000140_x.up.sql");
    refused(&whole, "does not have migration 141 (add_something)");
    carries("postgres/000001_a.up.sql postgres/000141_add_something.up.sql");
    done(&mut scene.restore("known", &sql(&whole)));
    scene.back("known");
    carries("nothing of that");
    world
        .postgres
        .ask(DATABASE, "UPDATE db_migrations SET version = 140");
    refused(&whole, "newer Mattermost than Mattermost 10.11.3");

    let misnumbered = "INSERT INTO db_migrations VALUES (142, 'add_schemeid_to_roles')";
    world.postgres.ask(GITLAB, misnumbered);
    configure("11.6.1");
    refused(
        &scene.dump("misnumbered.sql", &[]),
        "install Mattermost 11.7.3",
    );
    world.postgres.ask(GITLAB, "DROP TABLE db_migrations");
    configure("5.30.0");
    refused(&scene.dump("old.sql", &[]), "5.37.0");
}
