//! A Mattermost that is older than its database does not start, since it could save nothing there.
//! The migrations in the database decide; without them, the record of the release that ran last.

use std::{fs, path::Path};

use mattervisor_tests::{
    StatusExt, http_post, need, nginx, postgres, run, unpack_mattermost, unpack_mattermost_as,
};

use crate::stack::{DATABASE, Stack};

/// Number of the newest migration of the older releases.
const OLD_SCHEMA: usize = 6;
const QUICK: &str = "STANDIN_STOP_MS = '100'";
const RECORD: &str = "var/lib/mattervisor/mattermost/STARTED";

/// Replaces the installed release, as a switched link does.
fn install(stack: &Stack, unpack: impl FnOnce(&Path)) {
    let (place, old) = (stack.site.path("opt"), stack.site.path("opt-before"));
    let _ = fs::remove_dir_all(&old);
    fs::rename(&place, &old).unwrap();
    unpack(&place);
}

fn older(version: &'static str) -> impl FnOnce(&Path) {
    move |place| unpack_mattermost_as(place, version, OLD_SCHEMA)
}

/// Restarts Mattermost, waits until its start is refused, and returns the output of `ctl why`.
#[track_caller]
fn refused(stack: &Stack) -> String {
    stack.site.ctl(&["restart", "mattermost", "--no-wait"]).ok();
    stack.site.wait_for("it is refused", |status| {
        let reason = status.service("mattermost").reason.clone();
        status.state("mattermost") == "backoff" && reason.unwrap_or_default().contains("older than")
    });
    stack.site.ctl(&["why", "mattermost"]).both()
}

fn post(stack: &Stack, message: &str) -> u16 {
    let body = format!("{{\"message\": \"{message}\"}}");
    let answer = http_post(stack.nginx_port, "/api/v4/posts", body.as_bytes());
    answer.unwrap().0
}

fn dump(stack: &Stack) -> String {
    let mut command = stack.postgres_program("pg_dump");
    run(command.arg(DATABASE)).ok().stdout
}

/// Restores a dump as the documents say, into a new database.
fn restore(stack: &Stack, dump: &str) {
    run(stack.postgres_program("dropdb").arg(DATABASE)).ok();
    let mut command = stack.postgres_program("createdb");
    run(command.args(["-O", "mattermost", DATABASE])).ok();
    let file = stack.site.path("dump.sql");
    fs::write(&file, dump).unwrap();
    let mut command = stack.postgres_program("psql");
    command.args(["-q", "-v", "ON_ERROR_STOP=1", "-d", DATABASE, "-f"]);
    run(command.arg(&file)).ok();
}

fn restart(stack: &Stack) {
    stack.site.ctl(&["restart", "mattermost"]).ok();
    assert!(stack.site.status().ready("mattermost"));
}

#[test]
fn an_older_mattermost_is_refused_and_a_newer_one_is_not() {
    let bin = need!(postgres());
    need!(nginx());
    let mut stack = Stack::new(bin, QUICK);
    install(&stack, older("11.5.0"));
    stack.start();
    assert_eq!(post(&stack, "one"), 201);
    // An upgrade: the newer release migrates the database.
    install(&stack, unpack_mattermost);
    restart(&stack);
    assert_eq!(post(&stack, "two"), 201);
    // A downgrade: the older release is refused.
    install(&stack, older("11.5.0"));
    let said = refused(&stack);
    for words in [
        "Mattermost 11.5.0 is older than its database, which is of Mattermost 11.6.0",
        "migration 7 (posts_rootid)",
        "install that version or a newer one",
        "restore a backup",
        "mattermost.allow_older_version = true",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    // With mattermost.allow_older_version the server starts, and can save nothing.
    let site_file = stack.site.path("etc/mattervisor/mattervisor.toml");
    let usual = fs::read_to_string(site_file).unwrap();
    let allowed = format!("{usual}mattermost.allow_older_version = true\n");
    stack.site.site_file(&allowed);
    stack.site.ctl(&["reconfigure"]).ok();
    stack
        .site
        .wait_for("it starts", |status| status.ready("mattermost"));
    assert_eq!(post(&stack, "lost"), 500);
    let told = stack.site.supervisor_log();
    assert!(
        told.contains("mattermost.allow_older_version says so"),
        "{told}"
    );
    // Without the permission the start is refused again, and succeeds by itself once the newer
    // release is back.
    stack.site.site_file(&usual);
    stack.site.ctl(&["reconfigure"]).ok();
    refused(&stack);
    install(&stack, unpack_mattermost);
    stack
        .site
        .wait_for("it comes up by itself", |status| status.ready("mattermost"));
    assert_eq!(post(&stack, "three"), 201);
}

/// The migrations in the database decide without our record, and against it.
#[test]
fn the_word_of_the_database_wins_over_the_record() {
    let bin = need!(postgres());
    need!(nginx());
    let mut stack = Stack::new(bin, QUICK);
    install(&stack, older("11.5.0"));
    stack.start();
    let dump = dump(&stack);
    install(&stack, unpack_mattermost);
    restart(&stack);
    let record = stack.site.path(RECORD);
    let ran = |version| fs::read_to_string(&record).unwrap().starts_with(version);
    assert!(ran("11.6.0"));

    // Without the record the database still tells its newest migration.
    fs::remove_file(&record).unwrap();
    install(&stack, older("11.5.0"));
    let said = refused(&stack);
    assert!(said.contains("migration 7 (posts_rootid)"), "{said}");

    // The restored dump is from before the upgrade, the record from after it: the older release
    // starts.
    fs::write(&record, "11.6.0 0:0:0:0 7:posts_rootid\n").unwrap();
    stack.site.ctl(&["stop", "mattermost"]).ok();
    restore(&stack, &dump);
    stack.site.ctl(&["start", "mattermost"]).ok();
    assert!(stack.site.status().ready("mattermost"));
    assert!(ran("11.5.0"));
    assert_eq!(post(&stack, "one"), 201);
}

/// A database from before the numbered migrations tells the version of its schema.
#[test]
fn a_database_of_before_the_numbered_migrations_tells_its_version() {
    let bin = need!(postgres());
    need!(nginx());
    let mut stack = Stack::new(bin, QUICK);
    install(&stack, older("5.39.0"));
    stack.start();
    assert_eq!(stack.sql("select to_regclass('db_migrations')"), "");
    fs::remove_file(stack.site.path(RECORD)).unwrap();
    install(&stack, older("5.36.1"));
    let said = refused(&stack);
    assert!(
        said.contains("older than its database, which is of Mattermost 5.39.0"),
        "{said}"
    );
    // Once the newest release has migrated the database, no release without numbered migrations may
    // start on it.
    install(&stack, unpack_mattermost);
    stack
        .site
        .wait_for("the newest one starts", |status| status.ready("mattermost"));
    install(&stack, older("5.39.0"));
    let said = refused(&stack);
    assert!(
        said.contains("Mattermost 5.39.0 is older than its database"),
        "{said}"
    );
}
