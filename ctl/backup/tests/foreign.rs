//! Restores of what other programs have saved: dumps by real `pg_dump` of several versions, and tar archives.
#![expect(clippy::unwrap_used, reason = "what a test cannot do fails it")]

mod common;

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use common::{Heard, Postgres, Supervisor, World, done, other_version, output, pid, spawn};
use nix::sys::signal::{Signal, kill};
use serde_json::{Value, json};

/// The database of the machine that is restored to, and that of the dumps.
const DATABASE: &str = "matter most";
const GITLAB: &str = "mattermost_production";
const ROWS: usize = 3000;

/// A database as GitLab's package has it, with the objects that Mattermost has and texts that are hard to read.
fn gitlab(postgres: &Postgres) {
    postgres.ask(
        "postgres",
        "CREATE ROLE gitlab_mattermost LOGIN; CREATE ROLE \"gitlab-psql\" SUPERUSER; CREATE ROLE reader",
    );
    postgres.ask(
        "postgres",
        &format!("CREATE DATABASE {GITLAB} OWNER gitlab_mattermost"),
    );
    postgres.ask(
        GITLAB,
        "SET ROLE gitlab_mattermost; \
         CREATE TYPE channel_type AS ENUM ('P', 'G', 'O', 'D'); \
         CREATE TABLE posts (id varchar(26) PRIMARY KEY, createat bigint, message text, \"Odd; name\" channel_type); \
         CREATE INDEX ON posts USING gin (to_tsvector('english', message)); \
         CREATE TABLE users (id varchar(26) PRIMARY KEY, n bigserial); \
         CREATE TABLE systems (name varchar(64) PRIMARY KEY, value text); \
         CREATE TABLE db_migrations (version bigint PRIMARY KEY, name text); \
         CREATE TABLE nothing (); \
         CREATE VIEW older AS SELECT id FROM posts WHERE message LIKE E'a\\\\\\\\b''%;'; \
         CREATE MATERIALIZED VIEW perday AS SELECT count(*) AS count FROM posts; \
         CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $x$ BEGIN RETURN NEW; -- \\! no\n END; $x$; \
         CREATE TRIGGER t BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION f(); \
         COMMENT ON TABLE posts IS 'it''s; \\! a comment'; \
         GRANT SELECT ON posts TO reader; \
         INSERT INTO users SELECT md5(n::text)::varchar(26) FROM generate_series(1, 20) n; \
         INSERT INTO systems VALUES ('Version', '5.37.0'); \
         INSERT INTO db_migrations VALUES (1, 'create_teams'), (141, 'add_something')",
    );
    postgres.ask(
        GITLAB,
        "ALTER SCHEMA public OWNER TO \"gitlab-psql\"; GRANT ALL ON SCHEMA public TO gitlab_mattermost; \
         COMMENT ON SCHEMA public IS 'standard'",
    );
    postgres.ask(
        GITLAB,
        &format!(
            "INSERT INTO posts SELECT left(md5(n::text), 26), n, \
             (ARRAY[E'\\\\\\\\! touch x', E'SET transaction_timeout = 0;', E'\\\\\\\\.', E'a\\nb\\tc\\\\\\\\', E'x'' \\\\\\\\'' y', \
             E'-- PostgreSQL database dump complete'])[1 + n % 6] || n % 2, 'O' FROM generate_series(1, {ROWS}) n; \
             INSERT INTO posts VALUES ('last', 1, E'\\\\\\\\.\\n\\\\\\\\! touch y\\n', NULL)"
        ),
    );
    postgres.ask(GITLAB, "REFRESH MATERIALIZED VIEW perday");
}

/// What is in a database of that kind.
fn content(postgres: &Postgres, database: &str) -> String {
    postgres.ask(
        database,
        "SELECT count(*) || ' ' || md5(string_agg(id || message || coalesce(\"Odd; name\"::text, '-'), '' ORDER BY id COLLATE \"C\")) FROM posts \
         UNION ALL SELECT count(*) || ' ' || max(n) FROM users UNION ALL SELECT count::text FROM perday \
         UNION ALL SELECT count(*)::text FROM older \
         UNION ALL SELECT string_agg(DISTINCT indexdef, ',') FROM pg_indexes WHERE tablename = 'posts' \
         UNION ALL SELECT obj_description('posts'::regclass)",
    )
}

/// A machine with messages and files of its own.
fn machine() -> World {
    let world = World::new();
    world.postgres.ask(
        DATABASE,
        "SET ROLE mattermost; CREATE TABLE posts (id int PRIMARY KEY, message text); \
         INSERT INTO posts VALUES (1, 'of this machine'); \
         CREATE TABLE db_migrations (version bigint, name text); INSERT INTO db_migrations VALUES (150, 'later')",
    );
    world.postgres.ask(
        "postgres",
        "ALTER DATABASE \"matter most\" SET default_text_search_config = 'german'",
    );
    world.file("data/here", b"of this machine");
    world.file("plugins/here", b"of this machine");
    world
}

fn restore(world: &World, supervisor: &Supervisor, id: &str, arguments: &Value) -> Command {
    let mut command = world.restore(id, arguments);
    command.env("MATTERVISOR_SOCKET", &supervisor.socket);
    command
}

fn message(world: &World) -> String {
    world.restored()["message"].as_str().unwrap().to_owned()
}

fn sql(dump: &Path) -> Value {
    json!({ "operation": "foreign", "sql": dump })
}

/// Databases of the server and names in Mattermost's home, with what is in its files.
fn state(world: &World) -> (String, BTreeMap<String, String>) {
    let databases =
        "SELECT string_agg(datname || datallowconn, ' ' ORDER BY datname) FROM pg_database";
    let find = Command::new("find")
        .arg(world.home())
        .args(["-type", "f", "-printf", "%P\\n"])
        .stdout(Stdio::piped())
        .spawn_it();
    let mut files = BTreeMap::new();
    for name in find.lines() {
        let text = fs::read(world.home().join(name)).unwrap();
        files.insert(name.to_owned(), String::from_utf8_lossy(&text).into_owned());
    }
    (world.postgres.ask("postgres", databases), files)
}

trait Spawn {
    fn spawn_it(&mut self) -> String;
}

impl Spawn for Command {
    fn spawn_it(&mut self) -> String {
        String::from_utf8(output(self).stdout).unwrap()
    }
}

/// Dumps the database of GitLab's, with these arguments.
fn dump(postgres: &Postgres, to: &Path, arguments: &[&str]) -> PathBuf {
    let mut pg_dump = postgres.command("pg_dump", GITLAB);
    pg_dump.args(arguments).arg("--file").arg(to);
    done(&mut pg_dump);
    to.to_owned()
}

fn gzip(path: &Path) -> PathBuf {
    done(Command::new("gzip").arg("--keep").arg("--force").arg(path));
    PathBuf::from(format!("{}.gz", path.display()))
}

/// The same server, with the programs of another version.
fn with_programs(world: &World, programs: &Path) {
    let text = fs::read(world.configuration()).unwrap();
    let own: Value = serde_json::from_slice(&text).unwrap();
    let mut database = own["database"].clone();
    database["programs"] = json!(programs);
    world.configure(&json!({ "database": database }));
}

fn restored(world: &World, supervisor: &Supervisor, id: &str, dump: &Path, wanted: &str) {
    let before = state(world);
    done(&mut restore(world, supervisor, id, &sql(dump)));
    let said = message(world);
    assert!(said.contains("as many as the dump has"), "{said}");
    assert!(
        said.contains("files and config.json are what they were"),
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
        // No pg_restore here is as new: both versions are named, and nothing is stopped.
        let before = state(&world);
        supervisor.asked();
        let mut job = restore(&world, &supervisor, "too new", &sql(&custom));
        if output(&mut job).status.code() == Some(1) {
            let said = message(&world);
            let server = world.postgres.ask("postgres", "SHOW server_version");
            let server = server.split(' ').next().unwrap();
            let known = if version == 18 { 17 } else { version };
            assert!(
                said.contains(&format!("pg_dump {known}")) && said.contains(server),
                "{said}"
            );
            assert!(!supervisor.asked().contains(&"POST /v1/leases".to_owned()));
            assert_eq!(state(&world), before);
        }
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

/// An extension that the owner of a database may make, and its comment, which he may not.
#[test]
fn a_dump_with_an_extension_is_restored() {
    let world = machine();
    let supervisor = Supervisor::start(&world, || {});
    gitlab(&world.postgres);
    let available = "SELECT count(*) FROM pg_available_extensions WHERE name = 'pg_trgm'";
    if world.postgres.ask("postgres", available) == "0" {
        eprintln!("skipped: no pg_trgm here");
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

/// A tar archive of these members, made by GNU tar below a directory.
fn archive(world: &World, name: &str, options: &[&str], members: &[(&str, &str)]) -> PathBuf {
    let below = tempfile::tempdir_in(world.dir.path()).unwrap();
    for (member, text) in members {
        let path = below.path().join(member);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let path = world.dir.path().join(name);
    let mut tar = Command::new("tar");
    tar.arg("-cf").arg(&path).args(options);
    tar.arg("-C").arg(below.path());
    if !options.contains(&"--") {
        let mut tops: Vec<_> = members
            .iter()
            .map(|(member, _)| member.split('/').next().unwrap())
            .collect();
        tops.dedup();
        tar.args(tops);
    }
    done(&mut tar);
    path
}

const MEMBERS: [(&str, &str); 3] = [
    ("data/20210805/teams/file", "old"),
    ("data/users/x/profile.png", "old picture"),
    ("config.json", "{\"old\":true}"),
];

#[test]
fn files_alone_are_restored_and_undone_and_killed_at_each_step() {
    let world = machine();
    let supervisor = Supervisor::start(&world, || {});
    let before = state(&world);
    let gz = archive(&world, "mattermost_data_2021-08-09.gz", &["-z"], &MEMBERS);
    let arguments = json!({ "operation": "foreign", "files": gz });
    done(&mut restore(&world, &supervisor, "one", &arguments));
    let said = message(&world);
    for wanted in [
        "the database is what it was",
        "plugins is what it was",
        "--against-config",
    ] {
        assert!(said.contains(wanted), "{said}");
    }
    let wanted = state(&world);
    assert_eq!(wanted.0, before.0);
    let live: BTreeMap<_, _> = wanted
        .1
        .into_iter()
        .filter(|(name, _)| !name.starts_with(".mattervisor-"))
        .collect();
    let mut all: BTreeMap<String, String> = MEMBERS
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
        .collect();
    all.insert("plugins/here".to_owned(), "of this machine".to_owned());
    assert_eq!(live, all);
    done(&mut restore(
        &world,
        &supervisor,
        "two",
        &json!({ "operation": "undo" }),
    ));
    done(&mut restore(
        &world,
        &supervisor,
        "three",
        &json!({ "operation": "forget" }),
    ));
    assert_eq!(state(&world), before);

    for step in [
        "check the files",
        "unpack the files",
        "write to the disk",
        "stop Mattermost",
        "put into place",
        "start Mattermost",
    ] {
        let mut job = restore(&world, &supervisor, step, &arguments);
        let heard = Heard::listen(&world, &mut job);
        let mut job = spawn(&mut job);
        heard.step(step);
        kill(pid(&job), Signal::SIGKILL).unwrap();
        job.wait().unwrap();
        done(world.program(&["recover"]).arg(world.configuration()));
        let now = state(&world);
        let live = now.1.get("config.json").unwrap();
        assert!(now == before || live == "{\"old\":true}", "{step}");
        done(&mut restore(&world, &supervisor, step, &arguments));
        assert_eq!(
            state(&world).1.get("config.json").unwrap(),
            "{\"old\":true}"
        );
        done(&mut restore(
            &world,
            &supervisor,
            &format!("{step} undo"),
            &json!({ "operation": "undo" }),
        ));
        done(&mut restore(
            &world,
            &supervisor,
            &format!("{step} forget"),
            &json!({ "operation": "forget" }),
        ));
        assert_eq!(state(&world), before, "{step}");
    }
}

#[test]
fn both_are_restored_together_from_whatever_place_they_have_in_the_archive() {
    let world = machine();
    let supervisor = Supervisor::start(&world, || {});
    gitlab(&world.postgres);
    let wanted = content(&world.postgres, GITLAB);
    let before = state(&world);
    let plain = dump(&world.postgres, &world.dir.path().join("plain.sql"), &[]);
    let below = |at: &str| MEMBERS.map(|(name, text)| (format!("{at}/{name}"), text));
    for (number, (at, options, more)) in [
        ("", &["--"][..], None),
        ("", &["--format=pax", "-z"], Some("VERSION")),
        (
            "var/opt/gitlab/mattermost",
            &["-z"],
            Some("var/opt/gitlab/mattermost/logs/x"),
        ),
        ("srv/data/mm", &["--format=ustar"], None),
    ]
    .into_iter()
    .enumerate()
    {
        let named = below(at);
        let mut members: Vec<(&str, &str)> = named
            .iter()
            .map(|(name, text)| (name.trim_start_matches('/'), *text))
            .collect();
        members.extend(more.map(|name| (name, "more")));
        let mut options = options.to_vec();
        if options.contains(&"--") {
            // As `tar -C DIR .` has it.
            options.clear();
        }
        let files = archive(&world, &format!("files-{number}"), &options, &members);
        let arguments = json!({ "operation": "foreign", "sql": plain, "files": files });
        done(&mut restore(
            &world,
            &supervisor,
            &format!("{number}"),
            &arguments,
        ));
        assert_eq!(content(&world.postgres, DATABASE), wanted, "{at}");
        for (name, text) in MEMBERS {
            assert_eq!(
                fs::read_to_string(world.home().join(name)).unwrap(),
                text,
                "{at}"
            );
        }
        assert!(!world.home().join("data/here").exists());
        if let Some(more) = more {
            let last = more
                .trim_start_matches("var/opt/gitlab/mattermost/")
                .split('/')
                .next()
                .unwrap();
            let said = message(&world);
            assert!(
                said.contains(&format!("not restored from the archive: {last}")),
                "{said}"
            );
        }
        done(&mut restore(
            &world,
            &supervisor,
            &format!("{number} undo"),
            &json!({ "operation": "undo" }),
        ));
        done(&mut restore(
            &world,
            &supervisor,
            &format!("{number} forget"),
            &json!({ "operation": "forget" }),
        ));
        assert_eq!(state(&world), before, "{at}");
    }
}

/// Kill -9 at each step: old or new whole, and the next try works.
#[test]
fn killed_at_each_step_old_or_new_is_whole_and_the_next_try_works() {
    let world = machine();
    let supervisor = Supervisor::start(&world, || {});
    gitlab(&world.postgres);
    let plain = dump(&world.postgres, &world.dir.path().join("plain.sql"), &[]);
    let files = archive(&world, "files", &["-z"], &MEMBERS);
    let before = state(&world);
    let arguments = json!({ "operation": "foreign", "sql": gzip(&plain), "files": files });
    let is_new = |world: &World| {
        let posts = world.postgres.ask(DATABASE, "SELECT count(*) FROM posts") != "1";
        let file = world.home().join("data/20210805").exists();
        assert_eq!(posts, file);
        file
    };
    for step in [
        "check the dump",
        "restore the database",
        "build indexes",
        "count rows",
        "gather statistics",
        "unpack the files",
        "stop Mattermost",
        "put into place",
        "start Mattermost",
    ] {
        let mut job = restore(&world, &supervisor, step, &arguments);
        let heard = Heard::listen(&world, &mut job);
        let mut job = spawn(&mut job);
        heard.step(step);
        kill(pid(&job), Signal::SIGKILL).unwrap();
        job.wait().unwrap();
        done(world.program(&["recover"]).arg(world.configuration()));
        if !is_new(&world) {
            assert_eq!(state(&world), before, "{step}");
        }
        done(&mut restore(&world, &supervisor, step, &arguments));
        assert!(is_new(&world), "{step}");
        done(&mut restore(
            &world,
            &supervisor,
            &format!("{step} undo"),
            &json!({ "operation": "undo" }),
        ));
        done(&mut restore(
            &world,
            &supervisor,
            &format!("{step} forget"),
            &json!({ "operation": "forget" }),
        ));
        assert_eq!(state(&world), before, "{step}");
    }
}

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
        for part in 0..12 {
            refused(what, &bytes[..bytes.len() * part / 12], operation);
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
    postgres.ask("postgres", "CREATE DATABASE empty; CREATE DATABASE other");
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
