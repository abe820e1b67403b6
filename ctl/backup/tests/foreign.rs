//! Restores of dumps by real `pg_dump` of several versions, and of tar archives.
#![expect(clippy::unwrap_used, reason = "what a test cannot do fails it")]

mod common;

use std::{collections::BTreeMap, fs, path::Path};

use common::{
    Postgres, Supervisor, World, done,
    foreign::{
        DATABASE, GITLAB, MEMBERS, ROWS, Scene, archive, content, dump, gitlab, gzip, machine,
        message, restore, sql, state, with_programs,
    },
    held, hold, other_version, output, pid, spawn,
};
use mattervisor_backup::Step;
use nix::sys::signal::{Signal, kill};
use serde_json::{Value, json};

fn restored(world: &World, supervisor: &Supervisor, id: &str, dump: &Path, wanted: &str) {
    let before = state(world);
    done(&mut restore(world, supervisor, id, &sql(dump)));
    let said = message(world);
    assert!(said.contains("as many as the dump has"), "{said}");
    assert!(
        said.contains("files and config.json were not touched"),
        "{said}"
    );
    assert_eq!(content(&world.postgres, DATABASE), wanted, "{id}");
    assert_eq!(state(world).1, before.1, "{id}");
    let owners =
        "SELECT string_agg(DISTINCT tableowner, ' ') FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(world.postgres.ask(DATABASE, owners), "mattermost", "{id}");
    let config = "SHOW default_text_search_config";
    assert_eq!(world.postgres.ask(DATABASE, config), "pg_catalog.german");
    let tables = &world.restored()["report"]["tables"];
    let posts = tables
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["table"] == "posts");
    assert_eq!(posts.unwrap()["rows"], ROWS + 1, "{id}");
    done(&mut restore(
        world,
        supervisor,
        &format!("{id} undo"),
        &json!({ "operation": "undo" }),
    ));
    let posts = "SELECT string_agg(message, '') FROM posts";
    assert_eq!(
        world.postgres.ask(DATABASE, posts),
        "of this machine",
        "{id}"
    );
    done(&mut restore(
        world,
        supervisor,
        &format!("{id} forget"),
        &json!({ "operation": "forget" }),
    ));
    assert_eq!(state(world), before, "{id}");
}

/// Without a `pg_restore` as new as the dump, the message names both versions, and nothing is
/// stopped.
fn too_new(world: &World, supervisor: &Supervisor, version: u32, custom: &Path) {
    let before = state(world);
    supervisor.asked();
    let mut job = restore(world, supervisor, "too new", &sql(custom));
    if output(&mut job).status.code() == Some(0) {
        skip::note(&format!("a pg_restore of version {version} is installed"));
        return;
    }
    let said = message(world);
    let server = world.postgres.ask("postgres", "SHOW server_version");
    let server = server.split(' ').next().unwrap();
    // Versions 17 and 18 write the same format, so the dump counts as one of version 17.
    let known = format!("pg_dump {}", version.min(17));
    assert!(said.contains(&known) && said.contains(server), "{said}");
    assert!(!supervisor.asked().contains(&"POST /v1/leases".to_owned()));
    assert_eq!(state(world), before);
}

fn of_version(version: Option<u32>) {
    let world = machine();
    let supervisor = Supervisor::start(&world, || {});
    let other = match version.map(|version| Postgres::other(version, world.dir.path())) {
        Some(None) => return,
        Some(other) => other,
        None => None,
    };
    let from = other.as_ref().unwrap_or(&world.postgres);
    gitlab(from);
    let wanted = content(from, GITLAB);
    let dir = world.dir.path();
    let plain = dump(from, &dir.join("plain.sql"), &[]);
    restored(&world, &supervisor, "plain", &plain, &wanted);
    restored(&world, &supervisor, "gzip", &gzip(&plain), &wanted);
    let inserts = dump(
        from,
        &dir.join("inserts.sql"),
        &["--inserts", "--clean", "--if-exists"],
    );
    restored(&world, &supervisor, "inserts", &inserts, &wanted);
    let session = dump(
        from,
        &dir.join("owners.sql"),
        &["--use-set-session-authorization", "--quote-all-identifiers"],
    );
    restored(&world, &supervisor, "owners", &session, &wanted);
    let custom = dump(from, &dir.join("custom.sql"), &["-Fc"]);
    if let Some(version) = version {
        too_new(&world, &supervisor, version, &custom);
        with_programs(&world, &other_version(18).unwrap());
    }
    restored(&world, &supervisor, "custom", &custom, &wanted);
    restored(&world, &supervisor, "custom gzip", &gzip(&custom), &wanted);
}

#[test]
fn dumps_of_the_same_version_are_restored() {
    of_version(None);
}

#[test]
fn dumps_of_postgresql_16_are_restored() {
    of_version(Some(16));
}

#[test]
fn dumps_of_postgresql_18_are_restored() {
    of_version(Some(18));
}

/// The owner of a database may create this extension, but may not comment on it, as the dump does.
#[test]
fn a_dump_with_an_extension_is_restored() {
    let world = machine();
    let supervisor = Supervisor::start(&world, || {});
    gitlab(&world.postgres);
    let available = "SELECT count(*) FROM pg_available_extensions WHERE name = 'pg_trgm'";
    if world.postgres.ask("postgres", available) == "0" {
        skip::note("no pg_trgm here");
        return;
    }
    world.postgres.ask(
        GITLAB,
        "CREATE EXTENSION pg_trgm; CREATE INDEX ON posts USING gin (message gin_trgm_ops)",
    );
    let wanted = content(&world.postgres, GITLAB);
    let plain = dump(&world.postgres, &world.dir.path().join("plain.sql"), &[]);
    assert!(
        fs::read_to_string(&plain)
            .unwrap()
            .contains("COMMENT ON EXTENSION")
    );
    restored(&world, &supervisor, "one", &plain, &wanted);
}

/// SIGKILL at each of these steps leaves the old or the new state whole, by `is_new`, and the next
/// attempt succeeds.
fn killed_at(steps: &[Step], scene: &Scene, arguments: &Value, is_new: impl Fn() -> bool) {
    let world = &scene.world;
    let before = state(world);
    for at in steps {
        let step = at.words();
        let mut job = scene.restore(step, arguments);
        hold(&world.restore_job(), *at);
        let mut job = spawn(&mut job);
        held(&job);
        kill(pid(&job), Signal::SIGKILL).unwrap();
        job.wait().unwrap();
        done(world.program(&["recover"]).arg(world.configuration()));
        if !is_new() {
            assert_eq!(state(world), before, "{step}");
        }
        done(&mut scene.restore(step, arguments));
        assert!(is_new(), "{step}");
        scene.back(step);
        assert_eq!(state(world), before, "{step}");
    }
}

#[test]
fn files_alone_are_restored_and_undone_and_killed_at_each_step() {
    let scene = Scene::make();
    let world = &scene.world;
    let before = state(world);
    let gz = archive(world, "mattermost_data_2021-08-09.gz", &["-z"], &MEMBERS);
    let arguments = json!({ "operation": "foreign", "files": gz });
    done(&mut scene.restore("one", &arguments));
    let said = message(world);
    for wanted in [
        "the database was not touched",
        "plugins was not touched",
        "--against-config",
    ] {
        assert!(said.contains(wanted), "{said}");
    }
    let (databases, mut files) = state(world);
    assert_eq!(databases, before.0);
    files.retain(|name, _| !name.starts_with(".mattervisor-"));
    let all = MEMBERS.iter().chain(&[("plugins/here", "of this machine")]);
    let all = all.map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    assert_eq!(files, all.collect::<BTreeMap<_, _>>());
    scene.back("one");
    assert_eq!(state(world), before);
    let steps = [
        Step::UnpackFiles,
        Step::SwitchDatabases,
        Step::StartMattermost,
    ];
    killed_at(&steps, &scene, &arguments, || {
        let config = fs::read_to_string(world.home().join("config.json")).unwrap();
        let file = world.home().join("data/20210805").exists();
        assert_eq!(config.contains("old"), file);
        file
    });
}

#[test]
fn both_are_restored_together_from_whatever_place_they_have_in_the_archive() {
    let scene = Scene::make();
    let world = &scene.world;
    let wanted = content(&world.postgres, GITLAB);
    let before = state(world);
    let plain = scene.dump("plain.sql", &[]);
    for (at, options, more, left) in [
        ("", &[][..], None, ""),
        ("", &["--format=pax", "-z"], Some("VERSION"), "VERSION"),
        (
            "var/opt/gitlab/mattermost/",
            &["-z"],
            Some("var/opt/gitlab/mattermost/logs/x"),
            "logs",
        ),
        ("srv/data/mm/", &["--format=ustar"], None, ""),
    ] {
        let named = MEMBERS.map(|(name, text)| (format!("{at}{name}"), text));
        let named = named.iter().map(|(name, text)| (name.as_str(), *text));
        let members: Vec<_> = named.chain(more.map(|name| (name, "more"))).collect();
        let files = archive(world, "files", options, &members);
        let arguments = json!({ "operation": "foreign", "sql": plain, "files": files });
        let id = format!("{at} {options:?}");
        done(&mut scene.restore(&id, &arguments));
        assert_eq!(content(&world.postgres, DATABASE), wanted, "{id}");
        for (name, text) in MEMBERS {
            let found = fs::read_to_string(world.home().join(name)).unwrap();
            assert_eq!(found, text, "{id}");
        }
        assert!(!world.home().join("data/here").exists());
        let said = message(world);
        let told = said.contains(&format!("not restored from the archive: {left}"));
        assert_eq!(told, more.is_some(), "{said}");
        scene.back(&id);
        assert_eq!(state(world), before, "{id}");
    }
}

#[test]
fn killed_at_each_step_old_or_new_is_whole_and_the_next_try_works() {
    let scene = Scene::make();
    let world = &scene.world;
    let dump = gzip(&scene.dump("plain.sql", &[]));
    let files = archive(world, "files", &["-z"], &MEMBERS);
    let arguments = json!({ "operation": "foreign", "sql": dump, "files": files });
    let steps = [
        Step::RestoreDump,
        Step::BuildIndexes,
        Step::UnpackFiles,
        Step::SwitchDatabases,
        Step::StartMattermost,
    ];
    killed_at(&steps, &scene, &arguments, || {
        let count = world.postgres.ask(DATABASE, "SELECT count(*) FROM posts");
        let file = world.home().join("data/20210805").exists();
        assert_eq!(count != "1", file);
        file
    });
}

#[test]
fn a_dump_is_restored_beside_the_live_database() {
    let world = machine();
    let supervisor = Supervisor::start(&world, || {});
    gitlab(&world.postgres);
    let wanted = content(&world.postgres, GITLAB);
    let plain = dump(&world.postgres, &world.dir.path().join("plain.sql"), &[]);
    let before = state(&world).1;
    let arguments = json!({ "operation": "foreign-beside", "sql": plain, "database": "look here" });
    done(&mut restore(&world, &supervisor, "one", &arguments));
    assert_eq!(content(&world.postgres, "look here"), wanted);
    assert_eq!(state(&world).1, before);
    assert!(!supervisor.asked().contains(&"POST /v1/leases".to_owned()));
    let mut again = restore(&world, &supervisor, "two", &arguments);
    assert_eq!(output(&mut again).status.code(), Some(1));
    assert!(
        message(&world).contains("there is a database"),
        "{}",
        message(&world)
    );
}
