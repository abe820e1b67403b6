//! Dumps and archives that are cut, or no Mattermost's that runs here: refused before anything is stopped.
#![expect(clippy::unwrap_used, reason = "what a test cannot do fails it")]

mod common;

use std::{fs, io::Write, path::Path, process::Stdio};

use common::{
    Supervisor, done,
    foreign::{
        DATABASE, GITLAB, MEMBERS, archive, dump, gitlab, gzip, machine, message, restore, sql,
        state,
    },
    output, spawn,
};
use serde_json::{Value, json};

/// The fact that makes all this needed: psql takes a dump that is cut within rows, exit code 0.
#[test]
fn a_dump_that_is_cut_is_refused_wherever_that_is() {
    let world = machine();
    let supervisor = Supervisor::start(&world, || {});
    gitlab(&world.postgres);
    let dir = world.dir.path();
    let plain = dump(&world.postgres, &dir.join("plain.sql"), &[]);
    let whole = fs::read(&plain).unwrap();
    let zipped = fs::read(gzip(&plain)).unwrap();
    let custom = fs::read(dump(&world.postgres, &dir.join("custom"), &["-Fc"])).unwrap();
    let files = fs::read(archive(&world, "files", &["-z"], &MEMBERS)).unwrap();
    let tar = fs::read(archive(&world, "files.tar", &[], &MEMBERS)).unwrap();
    let before = state(&world);
    let bad = dir.join("bad");
    let refused = |what: &str, bytes: &[u8], operation: &str| {
        fs::write(&bad, bytes).unwrap();
        let arguments = json!({ "operation": "foreign", operation: bad });
        let id = format!("{what} {}", bytes.len());
        let mut job = restore(&world, &supervisor, &id, &arguments);
        assert_eq!(output(&mut job).status.code(), Some(1), "{id}");
        assert!(
            !supervisor.asked().contains(&"POST /v1/leases".to_owned()),
            "{id}"
        );
        message(&world)
    };
    for (what, bytes, operation) in [
        ("plain", &whole, "sql"),
        ("gzip", &zipped, "sql"),
        ("custom", &custom, "sql"),
        ("files", &files, "files"),
        ("tar", &tar, "files"),
    ] {
        // Zeros behind the end of an archive belong to nothing.
        let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
        for part in 0..8 {
            refused(what, &bytes[..end * part / 8], operation);
        }
        let mut flipped = bytes.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 0x10;
        if ["gzip", "custom", "files"].contains(&what) {
            refused("flipped", &flipped, operation);
        }
    }
    // In the last column of a row, at a line end, and gzip's own end alone.
    let text = String::from_utf8_lossy(&whole).into_owned();
    let copy = text.find("COPY public.posts").unwrap();
    let row = copy + text[copy..].find("\tO\n").unwrap();
    for end in [row + 1, row + 2, row + 3, row - 2] {
        let said = refused("row", &whole[..end], "sql");
        assert!(said.contains("rows is missing"), "{said}");
    }
    let said = refused("gzip's sum", &zipped[..zipped.len() - 4], "sql");
    assert!(said.contains("gzip cannot read it to its end"), "{said}");
    let end = text.rfind("-- PostgreSQL database dump complete").unwrap();
    let said = refused("comment", &whole[..end], "sql");
    assert!(said.contains("pg_dump ends with"), "{said}");
    assert_eq!(state(&world), before);

    // That psql itself would take such a one.
    world
        .postgres
        .ask("postgres", "CREATE DATABASE plainly OWNER mattermost");
    let mut psql = world.postgres.command("psql", "plainly");
    psql.args([
        "-Xq",
        "--single-transaction",
        "-v",
        "ON_ERROR_STOP=1",
        "-f",
        "-",
    ]);
    psql.stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut psql = spawn(&mut psql);
    let cut = text[..row + 2].replace("OWNER TO \"gitlab-psql\"", "OWNER TO postgres");
    psql.stdin
        .take()
        .unwrap()
        .write_all(cut.as_bytes())
        .unwrap();
    assert_eq!(psql.wait().unwrap().code(), Some(0));
    assert_eq!(
        world.postgres.ask("plainly", "SELECT count(*) FROM posts"),
        "1"
    );
}

/// Whatever is no dump of a Mattermost that runs here is refused, with a reason and before anything is stopped.
#[test]
fn what_is_not_a_dump_of_a_mattermost_that_is_known_here_is_refused() {
    let world = machine();
    let supervisor = Supervisor::start(&world, || {});
    gitlab(&world.postgres);
    let dir = world.dir.path().to_owned();
    let postgres = &world.postgres;
    let whole = dump(postgres, &dir.join("plain.sql"), &[]);
    let schema = dump(postgres, &dir.join("schema.sql"), &["--schema-only"]);
    let create = dump(postgres, &dir.join("create.sql"), &["--create"]);
    let tar = dump(postgres, &dir.join("tar.sql"), &["-Ft"]);
    let cluster = dir.join("all.sql");
    done(
        postgres
            .command("pg_dumpall", "postgres")
            .arg("--file")
            .arg(&cluster),
    );
    postgres.ask("postgres", "CREATE DATABASE empty");
    postgres.ask("postgres", "CREATE DATABASE other");
    postgres.ask(
        "other",
        "CREATE TABLE things (id int); INSERT INTO things VALUES (1)",
    );
    let of = |database: &str| {
        let to = dir.join(database);
        done(postgres.command("pg_dump", database).arg("--file").arg(&to));
        to
    };
    let (empty, other) = (of("empty"), of("other"));
    let files = archive(&world, "files.tar", &[], &MEMBERS);
    let inside = archive(
        &world,
        "inside.tar",
        &[],
        &[("20210805/x", ""), ("users/y", "")],
    );
    let text = dir.join("text");
    fs::write(&text, "hello").unwrap();
    let before = state(&world);
    let refused = |id: &str, arguments: &Value, wanted: &str| {
        supervisor.asked();
        let mut job = restore(&world, &supervisor, id, arguments);
        assert_eq!(output(&mut job).status.code(), Some(1), "{id}");
        let said = message(&world);
        assert!(said.contains(wanted), "{id}: {said}");
        assert!(
            !supervisor.asked().contains(&"POST /v1/leases".to_owned()),
            "{id}"
        );
        assert_eq!(state(&world), before, "{id}");
    };
    refused("schema", &sql(&schema), "has no message and no user");
    refused("create", &sql(&create), "without --create");
    refused("cluster", &sql(&cluster), "pg_dumpall");
    refused("tar dump", &sql(&tar), "pg_dump -Ft");
    refused("empty", &sql(&empty), "no table posts, but no table at all");
    refused("other", &sql(&other), "no table posts, but things");
    refused("text", &sql(&text), "is missing at its end");
    refused("files as dump", &sql(&files), "ctl restore --files");
    refused(
        "missing",
        &sql(Path::new("/nowhere")),
        "cannot open /nowhere",
    );
    let as_files = |path: &Path| json!({ "operation": "foreign", "files": path });
    refused("dump as files", &as_files(&whole), "ctl restore --sql");
    refused("inside", &as_files(&inside), "20210805, users");
    refused("neither", &json!({ "operation": "foreign" }), "neither");
    // As a backup of ours.
    let ours = |path: &Path| json!({ "operation": "restore", "file": path });
    refused("as ours", &ours(&whole), "ctl restore --sql");
    refused("as ours gzip", &ours(&gzip(&whole)), "ctl restore --sql");
    refused("as ours tar", &ours(&files), "ctl restore --files");

    // A newer Mattermost, by what the program here carries, by what has run here, and by its version.
    let program = dir.join("mattermost");
    let with = |more: Value| {
        let mut all = json!({ "program": program });
        all.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        world.configure(&all);
    };
    fs::write(
        &program,
        "postgres/000001_create_teams.up.sql postgres/000140_x.up.sql",
    )
    .unwrap();
    with(json!({}));
    refused(
        "newer",
        &sql(&whole),
        "does not have migration 141 (add_something)",
    );
    fs::write(
        &program,
        "postgres/000001_a.up.sql postgres/000141_add_something.up.sql",
    )
    .unwrap();
    done(&mut restore(&world, &supervisor, "known", &sql(&whole)));
    done(&mut restore(
        &world,
        &supervisor,
        "known undo",
        &json!({ "operation": "undo" }),
    ));
    done(&mut restore(
        &world,
        &supervisor,
        "known forget",
        &json!({ "operation": "forget" }),
    ));
    fs::write(&program, "nothing of that").unwrap();
    world
        .postgres
        .ask(DATABASE, "UPDATE db_migrations SET version = 140");
    refused(
        "newer than what ran",
        &sql(&whole),
        "newer Mattermost than Mattermost 10.11.3",
    );
    world.postgres.ask(
        GITLAB,
        "INSERT INTO db_migrations VALUES (142, 'add_schemeid_to_roles')",
    );
    let misnumbered = dump(&world.postgres, &dir.join("misnumbered.sql"), &[]);
    with(json!({ "mattermost_version": "11.6.1" }));
    refused(
        "misnumbered",
        &sql(&misnumbered),
        "install Mattermost 11.7.3",
    );
    world.postgres.ask(GITLAB, "DROP TABLE db_migrations");
    let old = dump(&world.postgres, &dir.join("old.sql"), &[]);
    with(json!({ "mattermost_version": "5.30.0" }));
    refused("by version", &sql(&old), "5.37.0");
}
