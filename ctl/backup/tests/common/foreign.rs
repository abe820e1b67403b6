//! Dumps and archives of other programs, and a machine to restore them to.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};

use super::{Postgres, Supervisor, World, done, output};

/// The database of the machine that is restored to; `GITLAB` is the database of the dumps.
pub(crate) const DATABASE: &str = "matter most";
pub(crate) const GITLAB: &str = "mattermost_production";
pub(crate) const ROWS: usize = 3000;

/// Makes a database as GitLab's package does, with Mattermost's kinds of objects and texts that are
/// hard to parse.
pub(crate) fn gitlab(postgres: &Postgres) {
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

/// Content of a database that [`gitlab`] made, as one text to compare.
pub(crate) fn content(postgres: &Postgres, database: &str) -> String {
    postgres.ask(
        database,
        "SELECT count(*) || ' ' || md5(string_agg(id || message || coalesce(\"Odd; name\"::text, '-'), '' ORDER BY id COLLATE \"C\")) FROM posts \
         UNION ALL SELECT count(*) || ' ' || max(n) FROM users UNION ALL SELECT count::text FROM perday \
         UNION ALL SELECT count(*)::text FROM older \
         UNION ALL SELECT string_agg(DISTINCT indexdef, ',') FROM pg_indexes WHERE tablename = 'posts' \
         UNION ALL SELECT obj_description('posts'::regclass)",
    )
}

/// A machine that already has messages and files, which a restore replaces.
pub(crate) fn machine() -> World {
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

pub(crate) fn restore(
    world: &World,
    supervisor: &Supervisor,
    id: &str,
    arguments: &Value,
) -> Command {
    let mut command = world.restore(id, arguments);
    command.env("MATTERVISOR_SOCKET", &supervisor.socket);
    command
}

pub(crate) fn message(world: &World) -> String {
    world.restored()["message"].as_str().unwrap().to_owned()
}

pub(crate) fn sql(dump: &Path) -> Value {
    json!({ "operation": "foreign", "sql": dump })
}

/// Names of the server's databases, and content of the files in Mattermost's home, by name.
pub(crate) fn state(world: &World) -> (String, BTreeMap<String, String>) {
    let databases =
        "SELECT string_agg(datname || datallowconn, ' ' ORDER BY datname) FROM pg_database";
    let mut find = Command::new("find");
    find.arg(world.home())
        .args(["-type", "f", "-printf", "%P\\n"]);
    let find = String::from_utf8(output(&mut find).stdout).unwrap();
    let mut files = BTreeMap::new();
    for name in find.lines() {
        let text = fs::read(world.home().join(name)).unwrap();
        files.insert(name.to_owned(), String::from_utf8_lossy(&text).into_owned());
    }
    (world.postgres.ask("postgres", databases), files)
}

/// Dumps GitLab's database by `pg_dump` with these arguments.
pub(crate) fn dump(postgres: &Postgres, to: &Path, arguments: &[&str]) -> PathBuf {
    let mut pg_dump = postgres.command("pg_dump", GITLAB);
    pg_dump.args(arguments).arg("--file").arg(to);
    done(&mut pg_dump);
    to.to_owned()
}

pub(crate) fn gzip(path: &Path) -> PathBuf {
    done(Command::new("gzip").arg("--keep").arg("--force").arg(path));
    PathBuf::from(format!("{}.gz", path.display()))
}

/// Configures the programs of another version for the same server.
pub(crate) fn with_programs(world: &World, programs: &Path) {
    let text = fs::read(world.configuration()).unwrap();
    let own: Value = serde_json::from_slice(&text).unwrap();
    let mut database = own["database"].clone();
    database["programs"] = json!(programs);
    world.configure(&json!({ "database": database }));
}

/// Makes a tar archive of these members by GNU tar.
pub(crate) fn archive(
    world: &World,
    name: &str,
    options: &[&str],
    members: &[(&str, &str)],
) -> PathBuf {
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

pub(crate) const MEMBERS: [(&str, &str); 3] = [
    ("data/20210805/teams/file", "old"),
    ("data/users/x/profile.png", "old picture"),
    ("config.json", "{\"old\":true}"),
];

/// A machine, and GitLab's database on the same server.
pub(crate) struct Scene {
    // The first field is dropped first: the supervisor ends while its socket still exists.
    pub(crate) supervisor: Supervisor,
    pub(crate) world: World,
}

impl Scene {
    pub(crate) fn make() -> Self {
        let world = machine();
        gitlab(&world.postgres);
        let supervisor = Supervisor::start(&world, || {});
        Self { supervisor, world }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.world.dir.path().join(name)
    }

    /// Dumps GitLab's database into this file.
    pub(crate) fn dump(&self, name: &str, arguments: &[&str]) -> PathBuf {
        dump(&self.world.postgres, &self.path(name), arguments)
    }

    pub(crate) fn restore(&self, id: &str, arguments: &Value) -> Command {
        restore(&self.world, &self.supervisor, id, arguments)
    }

    /// The restore fails before it stops anything, and changes nothing; returns its message.
    pub(crate) fn refused(&self, id: &str, arguments: &Value) -> String {
        let before = state(&self.world);
        let said = self.failed(id, arguments);
        assert_eq!(state(&self.world), before, "{id}");
        said
    }

    /// Like `refused`, but the caller checks the state.
    pub(crate) fn failed(&self, id: &str, arguments: &Value) -> String {
        self.supervisor.asked();
        let mut job = self.restore(id, arguments);
        assert_eq!(output(&mut job).status.code(), Some(1), "{id}");
        let asked = self.supervisor.asked();
        assert!(!asked.contains(&"POST /v1/leases".to_owned()), "{id}");
        message(&self.world)
    }

    /// Undoes the last restore and forgets its safety copy.
    pub(crate) fn back(&self, id: &str) {
        for operation in ["undo", "forget"] {
            let arguments = json!({ "operation": operation });
            done(&mut self.restore(&format!("{id} {operation}"), &arguments));
        }
    }
}
