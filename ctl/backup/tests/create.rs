//! Backups of a real database and real files. The program runs as the supervisor starts it.
#![expect(clippy::unwrap_used, reason = "what a test cannot do fails it")]

mod common;

use std::{fs, process::Command};

use common::{World, done, output};
use serde_json::{Value, json};

fn manifest(world: &World, backup: &std::path::Path) -> Value {
    let out = world.unpacked(backup);
    serde_json::from_slice(&fs::read(out.join("manifest.json")).unwrap()).unwrap()
}

#[test]
fn a_backup_has_all_and_can_be_restored_by_hand() {
    let world = World::new();
    let ask = |sql| world.postgres.ask("matter most", sql);
    ask(
        "SET ROLE mattermost; CREATE TABLE posts (id int PRIMARY KEY, message text); \
         INSERT INTO posts SELECT n, 'message ' || n FROM generate_series(1, 5000) n; \
         CREATE MATERIALIZED VIEW per_day AS SELECT count(*) FROM posts",
    );
    ask("ALTER DATABASE \"matter most\" SET default_text_search_config = 'english'");
    ask("ALTER ROLE mattermost IN DATABASE \"matter most\" SET work_mem = '8MB'");
    world.file("data/20261130/teams/a/file.txt", b"attachment");
    world.file("plugins/x/plugin.json", b"{}");
    world.file("saml-public.crt", b"certificate");

    let backup = world.create(&json!({}));
    let mode = std::os::unix::fs::MetadataExt::mode(&backup.metadata().unwrap());
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(
        world.names(),
        [backup.file_name().unwrap().to_str().unwrap()]
    );

    let out = world.unpacked(&backup);
    let read = |name: &str| fs::read_to_string(out.join(name)).unwrap();
    assert_eq!(read("files/data/20261130/teams/a/file.txt"), "attachment");
    assert_eq!(read("files/home/saml-public.crt"), "certificate");
    assert!(read("files/config.json").contains("hunter2"));
    assert!(read("configuration/mattervisor.toml").contains("s3cr3t"));
    assert!(read("secrets/secrets.toml").contains("kkkkkkkk"));
    let manifest: Value = serde_json::from_str(&read("manifest.json")).unwrap();
    let database = &manifest["database"];
    assert_eq!(database["owner"], "mattermost");
    assert_eq!(database["collate"], "C.UTF-8");
    assert_eq!(
        database["settings"],
        json!([
            { "role": null, "settings": ["default_text_search_config=english"] },
            { "role": "mattermost", "settings": ["work_mem=8MB"] }
        ])
    );
    let counts: Value = serde_json::from_str(&read("database.json")).unwrap();
    assert_eq!(
        counts["tables"],
        json!([
            { "schema": "public", "table": "per_day", "rows": 1 },
            { "schema": "public", "table": "posts", "rows": 5000 }
        ])
    );

    // The restore by hand that docs/backup.md describes.
    world
        .postgres
        .ask("postgres", "CREATE DATABASE again OWNER mattermost");
    let by_hand = world.postgres.command("pg_restore", "again");
    let mut restore = Command::new("sh");
    restore.envs(
        by_hand
            .get_envs()
            .filter_map(|(key, value)| Some((key, value?))),
    );
    restore.arg("-c").arg(
        "tar --zstd -xOf \"$1\" --wildcards 'database/*' | \
         \"$2\" --no-owner --role=mattermost --exit-on-error -1 -d again",
    );
    restore.arg("sh").arg(&backup).arg(by_hand.get_program());
    done(&mut restore);
    assert_eq!(
        world
            .postgres
            .ask("again", "SELECT count(*), min(message) FROM posts"),
        "5000|message 1"
    );
}

#[test]
fn without_secrets_none_of_the_files_has_one_and_it_is_told() {
    let world = World::new();
    world
        .postgres
        .ask("matter most", "CREATE TABLE posts (id int)");
    world.file("saml-private.key", b"private key");
    let backup = world.create(&json!({ "without-secrets": true }));
    let out = world.unpacked(&backup);
    let mut grep = Command::new("grep");
    grep.args([
        "-r",
        "-e",
        "hunter2",
        "-e",
        "s3cr3t",
        "-e",
        "kkkk",
        "-e",
        "private key",
        ".",
    ]);
    let found = output(grep.current_dir(&out));
    assert_eq!(String::from_utf8_lossy(&found.stdout), "");
    let manifest = manifest(&world, &backup);
    assert_eq!(
        manifest["left_out"],
        json!([
            { "kind": "file", "name": "files/home/saml-private.key" },
            { "kind": "file", "name": "secrets/secrets.toml" },
            { "kind": "setting", "file": "configuration/mattervisor.toml", "setting": "mattermost.gitlab_secret" },
            { "kind": "setting", "file": "files/config.json", "setting": "EmailSettings.SMTPPassword" },
        ])
    );
    let said = done(world.program(&["backup", "verify"]).arg(&backup));
    assert!(
        said.contains("left out: EmailSettings.SMTPPassword of files/config.json"),
        "{said}"
    );
    assert!(
        said.contains("it is not free of secrets: the dump holds"),
        "{said}"
    );
}

#[test]
fn files_that_are_elsewhere_are_missed_aloud() {
    let world = World::new();
    world.file(
        "config.json",
        br#"{"FileSettings":{"DriverName":"amazons3"}}"#,
    );
    let backup = world.create(&json!({}));
    assert_eq!(manifest(&world, &backup)["file_driver"], "amazons3");
    let said = done(world.program(&["backup", "verify"]).arg(&backup));
    assert!(said.contains("UPLOADED FILES ARE NOT IN IT"), "{said}");
}

#[test]
fn the_environment_says_where_files_and_configuration_are() {
    let world = World::new();
    fs::create_dir(world.catalog()).unwrap();
    let service = "command = [\"/bin/true\"]\n[env]\nMM_FILESETTINGS_DRIVERNAME = \"amazons3\"\n\
                   MM_CONFIG = \"postgres://u:pw@h/d\"\n";
    fs::write(world.catalog().join("mattermost.toml"), service).unwrap();
    fs::write(world.site().join("mattervisor.toml"), "").unwrap();
    fs::remove_file(world.site().join("secrets.toml")).unwrap();
    let backup = world.create(&json!({}));
    let manifest = manifest(&world, &backup);
    assert_eq!(manifest["file_driver"], "amazons3");
    assert_eq!(manifest["configuration"], "database");
}

#[test]
fn an_index_that_is_not_valid_is_named() {
    let world = World::new();
    let ask = |sql| world.postgres.ask("matter most", sql);
    ask("CREATE TABLE posts (id int); INSERT INTO posts VALUES (1), (1)");
    let mut twice = world.postgres.command("psql", "matter most");
    twice.args([
        "-Xqc",
        "CREATE UNIQUE INDEX CONCURRENTLY twice ON posts (id)",
    ]);
    assert!(!output(&mut twice).status.success());
    let backup = world.create(&json!({}));
    let invalid = json!([{ "schema": "public", "index": "twice", "table": "posts" }]);
    assert_eq!(
        manifest(&world, &backup)["database"]["invalid_indexes"],
        invalid
    );
    let said = done(world.program(&["backup", "verify"]).arg(&backup));
    assert!(said.contains("index public.twice was not valid"), "{said}");
}

#[test]
fn rows_are_counted_in_the_moment_of_the_dump() {
    let world = World::new();
    world.postgres.ask(
        "matter most",
        "SET ROLE mattermost; CREATE TABLE posts (id int, filler text); \
        INSERT INTO posts SELECT n, repeat('x', 500) FROM generate_series(1, 20000) n",
    );
    // A session writes to the database during every backup.
    let mut writer = world.postgres.command("psql", "matter most");
    writer.args([
        "-Xqc",
        "DO $$ BEGIN LOOP INSERT INTO posts VALUES (0, ''); COMMIT; END LOOP; END $$",
    ]);
    let mut writer = common::spawn(&mut writer);
    for _ in 0..3 {
        let backup = world.create(&json!({}));
        let said = done(world.program(&["backup", "verify", "--deep"]).arg(&backup));
        assert!(said.contains("restored with all its rows"), "{said}");
    }
    writer.kill().unwrap();
    writer.wait().unwrap();
    let left = world.postgres.ask(
        "postgres",
        "SELECT count(*) FROM pg_database WHERE datname LIKE '%verify%'",
    );
    assert_eq!(left, "0");
}

#[test]
fn a_refusal_leaves_nothing_and_says_why() {
    let world = World::new();
    let refused = |other: &Value, arguments: &Value| {
        world.configure(other);
        let done = output(&mut world.request("x", arguments));
        assert_eq!(done.status.code(), Some(1));
        assert_eq!(world.names(), <[String; 0]>::default());
        let result = world.result();
        assert_eq!(result["ok"], json!(false));
        result["message"].as_str().unwrap().to_owned()
    };
    let none = json!({});
    let said = refused(&json!({ "to": "relative" }), &none);
    assert!(said.contains("is not an absolute path"), "{said}");
    let said = refused(&json!({ "require_mount": world.to }), &none);
    assert!(said.contains("nothing is mounted at"), "{said}");
    let said = refused(&json!({ "account": "nobody-of-that-name" }), &none);
    assert!(
        said.contains("there is no account nobody-of-that-name"),
        "{said}"
    );
    let said = refused(&none, &json!({ "operation": "destroy" }));
    assert!(said.contains("unknown variant"), "{said}");
    let said = refused(
        &json!({ "database": { "host": world.dir.path(), "user": "postgres", "database": "x" } }),
        &none,
    );
    assert!(said.contains("psql has failed"), "{said}");
    let open = world.dir.path().join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let said = refused(&json!({ "to": open }), &none);
    assert!(said.contains("open to everybody"), "{said}");
}
