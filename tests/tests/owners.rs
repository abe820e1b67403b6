//! Changes of the accounts of services with data on disk: no file changes until everything has been
//! checked, and owners change only while the services that have the data are down.

mod tree;

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::Path,
    time::Duration,
};

use mattervisor_tests::{
    Site, StatusExt, eventually, kill, need, nginx, postgres, run, skip, status_field,
};
use nix::{
    sys::signal::Signal,
    unistd::{User, geteuid},
};

use tree::{assert_same, file, rights, tree};

use crate::{
    accounts::{in_private_etc, private_etc},
    stack::Stack,
};

/// Accounts of every machine that nothing runs as, in place of those in the tests' site file.
const DATABASE: &str = "backup";
const SERVER: &str = "daemon";
const STATE: &str = "var/lib/mattervisor";
const RUN: &str = "run/mattervisor";
/// Limit for a stop and a start of the database on a busy machine.
const RESTART: Duration = Duration::from_secs(120);

fn uid(name: &str) -> u32 {
    User::from_name(name).unwrap().unwrap().uid.as_raw()
}

fn site_file_of(stack: &Stack) -> String {
    fs::read_to_string(stack.site.path("etc/mattervisor/mattervisor.toml")).unwrap()
}

/// The same site with Mattermost under another account.
fn with_server_as(site_file: &str, name: &str) -> String {
    site_file
        .replace(
            r#"mattermost.username = "nobody""#,
            &format!("mattermost.username = '{name}'"),
        )
        .replace(
            r#"mattermost.group = "nogroup""#,
            &format!("mattermost.group = '{name}'"),
        )
}

fn with_database_as(site_file: &str, name: &str) -> String {
    format!("{site_file}postgresql.username = '{name}'\n")
}

fn pids(site: &Site) -> [i32; 3] {
    let status = site.status();
    ["postgresql", "mattermost", "nginx"].map(|name| status.pid(name))
}

fn sql(stack: &Stack, bin: &Path, user: &str, query: &str) -> String {
    let mut command = std::process::Command::new("setpriv");
    command.args([&format!("--reuid={user}"), &format!("--regid={user}")]);
    command.arg("--clear-groups").arg(bin.join("psql"));
    command
        .arg("-h")
        .arg(stack.site.path("run/mattervisor/postgresql"));
    command.args(["-U", "postgres", "-d", "mattermost_production"]);
    run(command.args(["-Atc", query]))
        .ok()
        .stdout
        .trim()
        .to_owned()
}

/// A change of two accounts together with a mistake in nginx's lines touches nothing, and the
/// database goes on.
#[test]
fn a_refused_change_of_accounts_leaves_everything_as_it_was() {
    if !geteuid().is_root() {
        skip!("another account needs root");
    }
    let bin = need!(postgres());
    need!(nginx());
    let mut stack = Stack::new(bin.clone(), "STANDIN_STOP_MS = '100'");
    stack.start();
    stack.settle();
    let site = &stack.site;
    let before = pids(site);
    let seen = || {
        let both = [STATE, RUN].map(|dir| site.path(dir));
        let all = both.each_ref().map(|dir| tree(dir, &rights));
        (all, both.map(|dir| tree(&dir, &file)))
    };
    site.wait_until_stored();
    let (rights_before, files_before) = seen();
    assert!(files_before[1].len() > 5, "{files_before:?}");
    let site_file = with_database_as(&with_server_as(&site_file_of(&stack), SERVER), DATABASE);
    stack.site.site_file(&format!(
        "{site_file}mattermost_nginx.custom_nginx_config = 'bogus_directive on;'\n"
    ));
    for arguments in [&["reconfigure", "--dry-run"][..], &["reconfigure"]] {
        let told = site.ctl(arguments).expect_code(1).both();
        assert!(
            told.contains("unknown directive \"bogus_directive\""),
            "{told}"
        );
        let (rights_now, files_now) = seen();
        for (before, now) in rights_before.iter().zip(&rights_now) {
            for (path, had) in before {
                // A path that the database or a run has removed meanwhile does not count.
                let has = now.get(path).unwrap_or(had);
                assert_eq!(has, had, "{}", path.display());
            }
        }
        for (now, before) in files_now.iter().zip(&files_before) {
            assert_same(now, before);
        }
    }
    assert_eq!(pids(site), before);
    assert_eq!(sql(&stack, &bin, "postgres", "select 6 * 7"), "42");
}

/// The database and Mattermost get other accounts, and their old ones again: all their files change
/// owner while they are down, with the lock that a killed server leaves.
#[test]
fn accounts_change_and_change_back_with_what_they_have() {
    if !geteuid().is_root() {
        skip!("another account needs root");
    }
    let bin = need!(postgres());
    need!(nginx());
    let mut stack = Stack::new(bin.clone(), "STANDIN_STOP_MS = '100'");
    stack.start();
    stack.settle();
    let site = &stack.site;
    let site_file = site_file_of(&stack);
    fs::write(
        site.path("var/lib/mattervisor/mattermost/data/upload"),
        "kept",
    )
    .unwrap();
    let upload = site.path("var/lib/mattervisor/mattermost/data/upload");
    chown(&upload, Some(65_534), Some(65_534)).unwrap();
    site.site_file(&with_database_as(
        &with_server_as(&site_file, SERVER),
        DATABASE,
    ));
    let told = site.ctl(&["reconfigure", "--dry-run"]).ok().stdout;
    for said in [
        "owner of directory",
        "var/lib/mattervisor/postgresql (",
        "(mattermost, mattermost-version)",
        "postgres:postgres becomes backup:backup",
        "entries",
    ] {
        assert!(told.contains(said), "no {said:?} in {told}");
    }
    assert_eq!(
        owners(site),
        ["postgres", "nobody"].map(uid),
        "it was a dry run"
    );
    reconfigured(&stack, &["reconfigure"]);
    check(&stack, &bin, DATABASE, SERVER);
    // The lock that a killed postmaster leaves.
    let socket = site.path("run/mattervisor/postgresql");
    let pid = site.status().pid("postgresql");
    site.ctl(&["stop", "postgresql"]).ok();
    let lock = socket.join(".s.PGSQL.5432.lock");
    fs::write(
        &lock,
        format!("{pid}\n/nowhere\n0\n5432\n{}\n", socket.display()),
    )
    .unwrap();
    fs::set_permissions(&lock, fs::Permissions::from_mode(0o600)).unwrap();
    chown(&lock, Some(uid(DATABASE)), Some(uid(DATABASE))).unwrap();
    // postgresql was stopped by hand and stays so, for which the rollback may exit with an error.
    let told = site.ctl(&["reconfigure", "--rollback"]).both();
    assert!(told.contains("back to the configuration"), "{told}");
    site.ctl(&["start", "postgresql"]).ok();
    ready(&stack);
    check(&stack, &bin, "postgres", "nobody");
    assert_eq!(fs::read(&upload).unwrap(), b"kept");
    assert!(journal_is_empty(site));
    let told = site.ctl(&["reconfigure", "--dry-run"]).ok().stdout;
    assert!(told.contains(DATABASE), "the files still say so: {told}");
}

fn journal_is_empty(site: &Site) -> bool {
    let path = site.path("var/lib/mattervisor/owner-changes.json");
    let text = fs::read_to_string(path).unwrap_or_default();
    !text.contains("path")
}

fn reconfigured(stack: &Stack, arguments: &[&str]) {
    stack.site.ctl(arguments).ok();
    ready(stack);
}

fn ready(stack: &Stack) {
    stack
        .site
        .wait_for_within(RESTART, "all is ready", |status| {
            ["postgresql", "mattermost", "nginx"]
                .iter()
                .all(|name| status.ready(name))
        });
}

/// The owners of the database's files and of config.json.
fn owners(site: &Site) -> [u32; 2] {
    ["postgresql/data/PG_VERSION", "mattermost/config.json"]
        .map(|path| fs::metadata(site.path(STATE).join(path)).unwrap().uid())
}

fn check(stack: &Stack, bin: &Path, database: &str, server: &str) {
    let site = &stack.site;
    let status = site.status();
    for (name, user) in [("postgresql", database), ("mattermost", server)] {
        let ids = status_field(status.pid(name), "Uid").unwrap();
        assert!(
            ids.starts_with(&format!("{}\t", uid(user))),
            "{name}: {ids}"
        );
    }
    for (dir, user) in [
        ("var/lib/mattervisor/postgresql", database),
        ("var/lib/mattervisor/mattermost", server),
        ("run/mattervisor/postgresql", database),
    ] {
        let others = tree(&site.path(dir), &|path| {
            rights(path).filter(|it| it.0 != uid(user))
        });
        assert!(others.is_empty(), "{dir} of {user}: {others:?}");
    }
    let count = sql(
        stack,
        bin,
        database,
        "select count(*) > 0 from standin_starts",
    );
    assert_eq!(count, "t");
}

/// A service as `user`, which owns a directory with everything in it.
fn many(site: &Site, user: u32) {
    let own = site.file("own");
    site.child(
        "a",
        &["sleep"],
        &format!(
            "
                user = '{user}'
                group = '{user}'
                [[directories]]
                path = '{own}'
                recursive = true
            "
        ),
    );
}

/// If the control process is killed in the middle of a change of owners, the next one completes the
/// change.
#[test]
fn what_a_killed_control_process_has_begun_the_next_one_ends() {
    if !geteuid().is_root() {
        skip!("another account needs root");
    }
    let mut site = Site::new();
    let own = site.path("own");
    fs::create_dir(&own).unwrap();
    many(&site, 65_534);
    site.start_ready();
    for number in 0..20_000 {
        let path = own.join(number.to_string());
        fs::write(&path, "").unwrap();
        chown(&path, Some(65_534), Some(65_534)).unwrap();
    }
    many(&site, 1);
    let told = site.ctl(&["reconfigure", "--dry-run"]).ok().stdout;
    assert!(told.contains("(20000 entries)"), "{told}");
    assert!(told.contains("owner of directory"), "{told}");
    let control = site.control_pid();
    site.ctl(&["reconfigure", "--no-wait"]);
    let journal = site.path("var/lib/mattervisor/owner-changes.json");
    eventually("it has begun", || {
        fs::read_to_string(&journal)
            .ok()
            .filter(|it| it.contains("own"))
    });
    kill(control, Signal::SIGKILL);
    let all = || {
        let all = fs::read_dir(&own).unwrap();
        let uids = all.map(|it| it.unwrap().metadata().unwrap().uid());
        uids.filter(|uid| *uid == 1).count()
    };
    eprintln!("{} of 20000 had changed hands", all());
    site.wait_for_within(RESTART, "it runs as the other account", |status| {
        status.supervisor.pid != control
            && status.ready("a")
            && status_field(status.pid("a"), "Uid").is_some_and(|ids| ids.starts_with("1\t"))
    });
    assert_eq!(all(), 20_000);
    assert_eq!(fs::metadata(&own).unwrap().uid(), 1);
    assert!(journal_is_empty(&site));
}

/// A refused change removes the directories that it has made; an account stays, and the message
/// says so.
#[test]
fn what_a_refused_change_has_made_is_taken_away_or_told() {
    need!(private_etc());
    let mut site = Site::new();
    in_private_etc(&mut site, "");
    site.child("neighbour", &["sleep"], "");
    site.start_ready();
    let new = site.file("new/below");
    let keys = format!(
        "
            user = 'app'
            [[directories]]
            path = '{new}'
            [[files]]
            path = '{new}/conf'
            content = 'wrong'
        "
    );
    let checked = format!("{keys}validate = ['/bin/grep', 'right', '{{{{ candidate }}}}']\n");
    site.child("app", &["sleep"], &checked);
    let told = site.ctl(&["reconfigure"]).expect_code(1).both();
    assert!(told.contains("does not check"), "{told}");
    assert!(
        told.contains("user app") && told.contains("created and stays"),
        "{told}"
    );
    assert!(!site.path("new").exists(), "it was made for nothing");
    site.child("app", &["sleep"], &keys);
    site.ctl(&["reconfigure"]).ok();
    assert!(site.path("new/below/conf").exists());
}

/// A directory of two services changes its owner when both are down, whichever would start first.
#[test]
fn a_directory_that_two_services_have_waits_for_both() {
    if !geteuid().is_root() {
        skip!("another account needs root");
    }
    let mut site = Site::new();
    let own = site.file("own");
    let write = |site: &Site, user: u32| {
        let more = format!(
            "
                user = '{user}'
                group = '{user}'
                [[directories]]
                path = '{own}'
                recursive = true
            "
        );
        site.child("quick", &["sleep"], &more);
        // The service writes, as its last act, which owner it sees.
        let slow = format!(
            r#"
                command = ['/bin/sh', '-c', 'trap "stat -c %u {own} >{own}/seen; exit" TERM; : >{own}/up; while :; do /bin/sleep 0.1; done']
                {more}
            "#
        );
        site.service("slow", &slow);
    };
    write(&site, 65_534);
    site.start_ready();
    eventually("it minds its signal", || {
        site.path("own/up").exists().then_some(())
    });
    write(&site, 1);
    site.ctl(&["reconfigure"]).ok();
    site.wait_for("both run as the other account", |status| {
        ["quick", "slow"].iter().all(|name| {
            let ids = status_field(status.service(name).pid.unwrap_or(0), "Uid");
            status.ready(name) && ids.is_some_and(|ids| ids.starts_with("1\t"))
        })
    });
    let seen = fs::read_to_string(site.path("own/seen")).unwrap();
    assert_eq!(
        seen.trim(),
        "65534",
        "it was given away under a running service"
    );
    assert_eq!(fs::metadata(site.path("own/seen")).unwrap().uid(), 1);
}
