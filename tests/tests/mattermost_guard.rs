//! The catalogue's guard, which decides whether a Mattermost may start on its database. Scripts
//! stand in for both: a program with a version and migrations, and a `psql` with a given answer.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use mattervisor_tests::{Ctl, run};
use tempfile::TempDir;

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../services.d/mattermost");
/// Data source of the local database.
const OWN: &str = "user=mattermost host=/run/x port=5432 dbname=m";
const OLDER: &str = "is older than its database";

/// A home, a program and a database.
struct Host {
    dir: TempDir,
    anyway: bool,
    /// The data source that Mattermost is given.
    data_source: &'static str,
}

impl Host {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let version = fs::read_to_string(format!("{SCRIPTS}/version.sh.j2")).unwrap();
        script(&dir.path().join("version"), &version);
        Self {
            dir,
            anyway: false,
            data_source: OWN,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Installs a Mattermost of this version, with migrations by the names of their files.
    fn install(&self, version: &str, migrations: &[&str]) -> &Self {
        let files = migrations
            .iter()
            .map(|it| format!("# postgres/{it}.up.sql\n"));
        let files: String = files.collect();
        let text = format!("#!/bin/sh\nprintf 'Version: {version}\\n'\nexit\n{files}");
        script(&self.path("new"), &text);
        fs::rename(self.path("new"), self.path("mattermost")).unwrap();
        self
    }

    /// Runs the guard with a database that answers by this shell command; `None` is a database
    /// elsewhere.
    fn judge(&self, database: Option<&str>) -> Ctl {
        let mut command = Command::new("sh");
        command.arg(format!("{SCRIPTS}/guard.sh.j2"));
        command
            .arg(self.path("mattermost"))
            .arg(self.path("version"));
        command.arg(self.dir.path()).arg(self.anyway.to_string());
        if let Some(told) = database {
            let text = format!("#!/bin/sh\ncat >/dev/null\n{told}\n");
            script(&self.path("psql"), &text);
            command.arg(OWN).arg(self.path("psql"));
        }
        command.env("MM_SQLSETTINGS_DATASOURCE", self.data_source);
        run(&mut command)
    }

    /// The guard lets Mattermost start, without a message.
    #[track_caller]
    fn starts(&self, database: Option<&str>) -> &Self {
        assert_eq!(self.judge(database).ok().both(), "");
        self
    }

    /// The guard refuses.
    #[track_caller]
    fn refused(&self, database: Option<&str>, words: &str) -> &Self {
        let said = self.judge(database).expect_code(1).both();
        assert!(said.contains(words), "{said}");
        self
    }

    /// The guard lets Mattermost start, with a warning.
    #[track_caller]
    fn warned(&self, database: Option<&str>, words: &str) -> &Self {
        let said = self.judge(database).ok().both();
        assert!(said.starts_with("<4>") && said.contains(words), "{said}");
        self
    }
}

fn script(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

const ONE: &str = "000001_create_teams";
const OLD: &str = "000141_add_one";
const NEW: &str = "000149_add_two";
const AT_OLD: Option<&str> = Some("echo newest=141:add_one");
const AT_NEW: Option<&str> = Some("echo newest=149:add_two");
const EMPTY: Option<&str> = Some(":");
const AWAY: Option<&str> = Some("echo 'psql: error: connection refused' >&2; exit 2");

#[test]
fn the_migrations_of_program_and_database_decide() {
    let host = Host::new();
    host.install("10.11.5", &[ONE, OLD])
        .starts(EMPTY)
        .starts(AT_OLD);
    host.install("11.4.1", &[ONE, OLD, NEW])
        .starts(AT_OLD)
        .starts(AT_NEW);
    host.install("10.11.5", &[ONE, OLD]);
    host.refused(
        AT_NEW,
        "which is of Mattermost 11.4.1, the last one that ran here",
    );
    host.refused(AT_NEW, "it does not have migration 149 (add_two)");
    // A patch release without migrations of its own may be replaced by the one before.
    host.install("11.4.0", &[ONE, OLD, NEW]).starts(AT_NEW);
    // The record names 11.4, but the database lacks its migrations, and the database counts.
    host.install("10.11.5", &[ONE, OLD]).starts(AT_OLD);
}

#[test]
fn without_the_database_what_ran_here_last_decides() {
    let host = Host::new();
    // Nothing is known at the first start.
    host.install("11.4.1", &[ONE, NEW])
        .warned(None, "may be older than its database");
    host.starts(None).starts(AWAY);
    host.install("10.11.5", &[ONE, OLD]);
    host.refused(None, "is older than Mattermost 11.4.1, which ran here last");
    host.refused(AWAY, "connection refused");
    host.install("11.4.2", &[ONE, NEW]).starts(None);
    host.install("11.4.1", &[ONE, NEW]).refused(None, "11.4.2");
    // Once the database could be asked, its answer replaces the record.
    host.starts(AT_NEW).starts(None);
}

/// For a database elsewhere, the local PostgreSQL is not asked.
#[test]
fn the_database_here_is_not_asked_about_one_elsewhere() {
    let mut host = Host::new();
    host.data_source = "postgres://mm:hush@elsewhere/chat";
    host.install("10.11.5", &[ONE, OLD])
        .warned(AT_NEW, "the database is elsewhere, and is not asked");
    host.starts(AT_NEW);
    host.install("10.11.4", &[ONE, OLD]).refused(
        AT_OLD,
        "is older than Mattermost 10.11.5, which ran here last",
    );
}

#[test]
fn a_migration_is_known_by_its_whole_name() {
    let host = Host::new();
    for others in [
        "000150_also_add_one",
        "000150_1_add_one",
        "000150_add_one_more",
        "000150_addXone",
    ] {
        host.install("10.11.5", &[ONE, others])
            .refused(AT_OLD, "it does not have migration 141 (add_one)");
    }
    // A migration is identified by its name; its number may differ.
    host.install("10.11.5", &[ONE, "000150_add_one"])
        .starts(AT_OLD);
    let dots = Some("echo newest=142:add.one");
    host.install("10.11.5", &[ONE, "000142_add-one"])
        .refused(dots, OLDER);
    host.install("10.11.5", &[ONE, "000142_add.one"])
        .starts(dots);
}

#[test]
fn a_database_of_before_the_numbered_migrations_tells_its_version() {
    let host = Host::new();
    let schema = Some("echo schema=5.39.0");
    host.install("5.36.1", &[])
        .refused(schema, "which is of Mattermost 5.39.0");
    host.install("5.39.3", &[]).starts(schema);
    host.install("10.11.5", &[ONE, OLD]).starts(schema);
    host.install("5.39.3", &[]).refused(AT_OLD, OLDER);
}

/// Three migrations of 10.11.16 have numbers that 11.0 gives to others.
#[test]
fn the_jump_that_stops_in_its_migrations_is_refused() {
    let host = Host::new();
    let database = Some("echo newest=144:third; echo misnumbered=yes");
    let own = "000144_third";
    let later = "000158_third";
    host.install("10.11.17", &[ONE, own]).starts(database);
    for version in ["10.12.0", "11.0.0", "11.7.2"] {
        host.install(version, &[ONE, later]);
        host.refused(database, "install Mattermost 11.7.3 or newer");
    }
    host.install("11.7.3", &[ONE, later]).starts(database);
}

#[test]
fn what_cannot_be_known_is_a_warning() {
    let host = Host::new();
    // A program that shows no migrations, on a database that has some.
    host.install("11.4.1", &[])
        .warned(AT_NEW, "does not show which ones it has");
    host.starts(AT_NEW);
    host.install("11.4.0", &[])
        .refused(AT_NEW, "which ran here last");
    host.install("11.3.0", &[]).warned(AT_OLD, "does not show");
    // A program that does not say its version, but shows its migrations.
    script(
        &host.path("mattermost"),
        "#!/bin/sh\nexit 1\n# postgres/000001_a.up.sql\n# postgres/000141_add_one.up.sql",
    );
    host.starts(AT_OLD).refused(AT_NEW, OLDER);
    host.warned(AWAY, "does not say its version");
    // A program that is missing is reported by the start itself, not by the guard.
    fs::remove_file(host.path("mattermost")).unwrap();
    host.starts(AT_NEW);
}

#[test]
fn whoever_wants_to_may() {
    let mut host = Host::new();
    host.install("11.4.1", &[ONE, OLD, NEW]).starts(AT_NEW);
    host.install("10.11.5", &[ONE, OLD]);
    host.anyway = true;
    host.warned(AT_NEW, OLDER);
    // The permission leaves the record as it is.
    host.anyway = false;
    host.refused(AT_NEW, OLDER);
}
