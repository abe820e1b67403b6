//! Users, groups and directories that services name: the supervisor makes those that are missing,
//! and refuses a uid or gid that belongs to another account.
//!
//! Each supervisor here runs in a mount namespace with a copy of /etc, so the machine's accounts
//! stay as they are.

mod starts;

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    process::Command,
};

use mattervisor_tests::{Site, StatusExt, need, nginx, postgres, run, status_field};

use crate::stack::Stack;

/// `Ok` where this machine can give a supervisor its own /etc; `Err` says what is missing.
pub(crate) fn private_etc() -> Result<(), String> {
    if !nix::unistd::geteuid().is_root() {
        return Err("needs root to make accounts".to_owned());
    }
    let tried = run(Command::new("unshare").args(["--mount", "true"]));
    match tried.code {
        0 => Ok(()),
        _ => Err("needs mount namespaces".to_owned()),
    }
}

/// Starts the supervisor with a copy of /etc that lacks the accounts which the tests make. `mounts`
/// holds further shell commands for the namespace, each ending in `&&`.
pub(crate) fn in_private_etc(site: &mut Site, mounts: &str) {
    run(Command::new("cp").args(["-a", "/etc"]).arg(site.root())).ok();
    fs::rename(site.path("etc"), site.path("machine-etc")).unwrap();
    fs::create_dir_all(site.path("etc")).unwrap();
    fs::rename(
        site.path("machine-etc/mattervisor"),
        site.path("etc/mattervisor"),
    )
    .unwrap();
    for name in ["passwd", "group", "shadow", "gshadow"] {
        let path = site.path("machine-etc").join(name);
        let text = fs::read_to_string(&path).unwrap();
        let made = ["mattermost:", "mattervisor-www:", "app:", "web:"];
        let kept = text
            .lines()
            .filter(|line| !made.iter().any(|made| line.starts_with(made)));
        let kept: Vec<&str> = kept.collect();
        fs::write(&path, kept.join("\n") + "\n").unwrap();
    }
    let wrapper = site.path("in-private-etc");
    let program = mattervisor_tests::binary("mattervisord");
    fs::write(
        &wrapper,
        format!(
            "#!/bin/sh\nexec unshare --mount --propagation private -- sh -c '\
             mount --bind {etc} /etc && {mounts} exec {program} \"$@\"' sh \"$@\"\n",
            etc = site.file("machine-etc"),
            program = program.display(),
        ),
    )
    .unwrap();
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).unwrap();
    site.program(&wrapper);
}

/// A site with its own /etc and one service, `neighbour`, that names no account.
fn site_with_a_neighbour() -> Site {
    let mut site = Site::new();
    in_private_etc(&mut site, "");
    site.child("neighbour", &["sleep"], "");
    site
}

/// The line of an account in the supervisor's own `passwd` or `group`.
fn entry(site: &Site, file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(site.path("machine-etc").join(file)).unwrap();
    let mut lines = text.lines();
    lines
        .find(|line| line.starts_with(&format!("{name}:")))
        .map(str::to_owned)
}

fn databases(site: &Site) -> [String; 2] {
    ["passwd", "group"].map(|name| fs::read_to_string(site.path("machine-etc").join(name)).unwrap())
}

/// The example of GitLab's documentation, `mattermost.uid = 1234` and `mattermost.gid = 1234`: the
/// shipped catalogue makes the accounts, serves its page, and finds the accounts at its second
/// start.
#[test]
fn the_accounts_of_the_shipped_services_are_made_with_the_numbers_of_the_site_file() {
    need!(private_etc());
    let bin = need!(postgres());
    need!(nginx());
    let mut stack = Stack::new(bin, "STANDIN_STOP_MS = '100'");
    in_private_etc(&mut stack.site, "");
    let file = stack.site.path("etc/mattervisor/mattervisor.toml");
    let site_file = fs::read_to_string(file).unwrap();
    let ours = site_file
        .lines()
        .filter(|line| !line.contains("\"nobody\"") && !line.contains("\"nogroup\""));
    let ours: Vec<&str> = ours.collect();
    stack.site.site_file(&format!(
        "
            {}
            mattermost.uid = 1234
            mattermost.gid = 1234
        ",
        ours.join("\n")
    ));
    stack.start();
    let site = &stack.site;
    let user = entry(site, "passwd", "mattermost").expect("the user is made");
    let home = site.file("var/lib/mattervisor/mattermost");
    assert_eq!(
        user,
        format!("mattermost:x:1234:1234::{home}:/usr/sbin/nologin")
    );
    assert_eq!(
        entry(site, "group", "mattermost").as_deref(),
        Some("mattermost:x:1234:")
    );
    assert!(entry(site, "passwd", "mattervisor-www").is_some());
    let machine = fs::read_to_string("/etc/passwd").unwrap();
    assert!(
        !machine.contains(&format!("::{home}:")),
        "the machine's accounts were touched: {machine}"
    );
    let pid = site.status().pid("mattermost");
    for field in ["Uid", "Gid"] {
        let ids = status_field(pid, field).unwrap();
        assert_eq!(ids, "1234\t1234\t1234\t1234", "{field}");
    }
    for (path, mode) in [("", 0o750), ("data", 0o750), ("config.json", 0o600)] {
        let found = fs::metadata(site.path("var/lib/mattervisor/mattermost").join(path)).unwrap();
        let seen = (found.uid(), found.gid(), found.mode() & 0o7777);
        assert_eq!(seen, (1234, 1234, mode), "{path}");
    }
    // A reconfigure and a second start leave the accounts that the first start has made.
    let before = databases(site);
    site.ctl(&["reconfigure"]).ok();
    assert_eq!(stack.site.stop(), 0);
    stack.start();
    assert_eq!(databases(&stack.site), before);
    assert_eq!(stack.site.stop(), 0);
}

/// Every clash of a uid or gid is found before anything is applied, and the message names the
/// account that holds the number.
#[test]
fn a_clash_refuses_the_change_and_names_who_has_the_number() {
    need!(private_etc());
    let mut site = site_with_a_neighbour();
    site.start_ready();
    let pid = site.status().pid("neighbour");
    let before = databases(&site);
    let plan = fs::read(site.path("var/lib/mattervisor/plan.json")).unwrap();
    for (keys, said) in [
        (
            "user = 'app'\nuid = 34\n",
            "app: uid 34 belongs to user backup, so user app cannot have it",
        ),
        (
            "user = 'app'\ngid = 34\n",
            "app: gid 34 belongs to group backup, so group app cannot have it",
        ),
        (
            "user = 'app'\nuid = 0\n",
            "app: uid 0 belongs to user root, so user app cannot have it",
        ),
        (
            "user = 'backup'\nuid = 1234\n",
            "app: user backup exists with uid 34, but uid 1234 is wanted",
        ),
        (
            "
                user = 'backup'
                group = 'backup'
                gid = 1234
            ",
            "app: group backup exists with gid 34, but gid 1234 is wanted",
        ),
        (
            "user = 'backup'\ngid = 1234\n",
            "app: user backup has the group with gid 34, but gid 1234 is wanted",
        ),
    ] {
        site.child("app", &["sleep"], keys);
        // This service would restart too, if anything were applied.
        site.child("neighbour", &["sleep"], "[env]\nNEW = '1'");
        let told = site.ctl(&["reconfigure"]).expect_code(1);
        assert!(told.stderr.contains(said), "{keys}: {}", told.both());
        assert!(told.stderr.contains("nothing has changed"), "{told:#?}");
    }
    site.child("app", &["sleep"], "user = 'app'\nuid = 1234\n");
    site.child("other", &["sleep"], "user = 'app'\nuid = 1235\n");
    let told = site.ctl(&["reconfigure"]).expect_code(1);
    let said = "user app is wanted with uid 1234 by app and with uid 1235 by other";
    assert!(told.stderr.contains(said), "{}", told.both());
    assert_eq!(databases(&site), before);
    let now = fs::read(site.path("var/lib/mattervisor/plan.json")).unwrap();
    assert!(now == plan, "the stored plan has changed");
    let status = site.status();
    assert_eq!(status.pid("neighbour"), pid);
    assert_eq!(status.services.len(), 1);
    // Once both services agree on the uid, the change is applied, and both run as that account.
    site.child("other", &["sleep"], "user = 'app'\n");
    site.ctl(&["reconfigure"]).ok();
    let status = site.wait_for("both run", |status| {
        status.services.len() == 3 && status.services.iter().all(|it| it.ready)
    });
    for name in ["app", "other"] {
        let ids = status_field(status.pid(name), "Uid").unwrap();
        assert_eq!(ids, "1234\t1234\t1234\t1234", "{name}");
    }
    assert_ne!(status.pid("neighbour"), pid);
}

/// At the start of the supervisor a clash fails its service alone; the other services run. The same
/// holds for a control process that takes over.
#[test]
fn at_the_start_a_clash_fails_the_service_that_has_it_and_no_other() {
    need!(private_etc());
    let mut site = site_with_a_neighbour();
    site.child("app", &["sleep"], "user = 'backup'\nuid = 1234\n");
    site.start();
    let said = "user backup exists with uid 34, but uid 1234 is wanted";
    let clashes = |site: &Site| {
        let status = site.wait_for("app has failed, the other runs", |status| {
            status.state("app") == "failed" && status.ready("neighbour")
        });
        let reason = status.service("app").reason.clone().unwrap_or_default();
        assert!(reason.contains(said), "{reason}");
    };
    clashes(&site);
    let why = site.ctl(&["why", "app"]);
    assert!(why.stdout.contains(said), "{}", why.both());
    let control = site.control_pid();
    mattervisor_tests::kill(control, nix::sys::signal::Signal::SIGKILL);
    site.wait_for("another control process", |status| {
        status.supervisor.pid != control
    });
    site.ctl(&["start", "app"]).expect_code(1);
    clashes(&site);
    // Once the clash is gone, the service runs.
    site.child("app", &["sleep"], "user = 'backup'\n");
    site.ctl(&["reconfigure"]).ok();
    site.wait_state("app", "running");
}

#[test]
fn accounts_are_left_alone_where_they_are_not_to_be_managed() {
    need!(private_etc());
    let mut site = site_with_a_neighbour();
    site.site_file("manage_accounts.enable = false\n");
    site.child("app", &["sleep"], "user = 'app'\nuid = 1234\n");
    site.start();
    let before = databases(&site);
    let status = site.wait_state("app", "failed");
    let reason = status.service("app").reason.clone().unwrap_or_default();
    assert!(reason.contains("there is no user 'app'"), "{reason}");
    assert!(reason.contains("manage_accounts.enable = true"), "{reason}");
    assert_eq!(databases(&site), before);
    site.site_file("");
    site.ctl(&["reconfigure"]).ok();
    site.wait_state("app", "running");
    assert!(entry(&site, "passwd", "app").is_some());
}

/// The administrator reads the messages of groupadd and useradd themselves.
#[test]
fn a_tool_that_fails_or_is_missing_refuses_the_change_in_its_own_words() {
    need!(private_etc());
    let mut site = site_with_a_neighbour();
    site.start_ready();
    let pid = site.status().pid("neighbour");
    // A name of 40 letters is valid, since a directory service may hold such an account; useradd
    // refuses to make it.
    let long = "a".repeat(40);
    let refused = format!("cannot create user {long}");
    let text = format!("user = '{long}'\ngroup = 'nogroup'\n");
    site.child("app", &["sleep"], &text);
    let told = site.ctl(&["reconfigure"]).expect_code(1);
    for word in [refused.as_str(), "useradd: ", "name"] {
        assert!(told.stderr.contains(word), "no {word:?} in {}", told.both());
    }
    let status = site.status();
    assert_eq!((status.services.len(), status.pid("neighbour")), (1, pid));
    assert_eq!(site.stop(), 0);
    // At the start the refusal of useradd fails the service alone.
    site.start();
    let status = site.wait_state("app", "failed");
    let reason = status.service("app").reason.clone().unwrap_or_default();
    assert!(
        reason.contains(&refused) && reason.contains("useradd: "),
        "{reason}"
    );
    site.wait_state("neighbour", "running");
}

#[test]
fn a_machine_without_the_tools_says_which_is_missing() {
    need!(private_etc());
    let mut site = Site::new();
    in_private_etc(&mut site, "mount --bind /dev/null /usr/sbin/groupadd &&");
    site.child("neighbour", &["sleep"], "");
    site.start_ready();
    site.child("app", &["sleep"], "user = 'app'\n");
    let told = site.ctl(&["reconfigure"]).expect_code(1);
    for word in ["cannot create group app", "/usr/sbin/groupadd"] {
        assert!(told.stderr.contains(word), "no {word:?} in {}", told.both());
    }
    assert_eq!(site.status().services.len(), 1);
}

fn directory(path: &str, keys: &str) -> String {
    format!(
        "
            [[directories]]
            path = '{path}'
            {keys}
        "
    )
}

fn app_with(site: &Site, tables: &str) {
    let keys = format!(
        "
            user = 'app'
            uid = 1234
            {tables}
        "
    );
    site.child("app", &["sleep"], &keys);
}

/// A declared directory gets its mode and owner, whether it is new or was there before. A symbolic
/// link of root's to another disk is followed, and the directory behind it keeps owner and mode; a
/// link of another account's is refused.
#[test]
fn directories_have_the_modes_and_owners_that_are_declared() {
    need!(private_etc());
    let mut site = site_with_a_neighbour();
    let (old, disk, link, trap) = (
        site.path("old"),
        site.path("disk"),
        site.path("link"),
        site.path("trap"),
    );
    fs::create_dir(&old).unwrap();
    fs::set_permissions(&old, fs::Permissions::from_mode(0o777)).unwrap();
    fs::create_dir(&disk).unwrap();
    let disk_before = fs::metadata(&disk).unwrap();
    symlink(&disk, &link).unwrap();
    let tables = [
        ("deep/new", "mode = '0750'"),
        ("old", "mode = '2770'\ngroup = 'web'"),
        ("link", "mode = '0700'"),
    ]
    .map(|(path, keys)| directory(&site.file(path), keys))
    .concat();
    app_with(&site, &tables);
    site.start();
    site.wait_state("app", "running");
    let seen = |path: &std::path::Path| {
        let it = fs::metadata(path).unwrap();
        (it.uid(), it.gid(), it.mode() & 0o7777)
    };
    let gid = |name: &str| -> u32 {
        let line = entry(&site, "group", name).unwrap();
        line.split(':').nth(2).unwrap().parse().unwrap()
    };
    let app = gid("app");
    assert_eq!(seen(&site.path("deep/new")), (1234, app, 0o750));
    assert_eq!(seen(&old), (1234, gid("web"), 0o2770));
    let disk_now = fs::metadata(&disk).unwrap();
    assert_eq!(
        (disk_now.uid(), disk_now.mode()),
        (disk_before.uid(), disk_before.mode())
    );
    // A reconfigure restores a mode that somebody has changed.
    fs::set_permissions(&old, fs::Permissions::from_mode(0o700)).unwrap();
    site.ctl(&["reconfigure"]).ok();
    assert_eq!(seen(&old), (1234, gid("web"), 0o2770));
    // A link that is not root's could point anywhere.
    symlink("/usr", &trap).unwrap();
    nix::unistd::fchownat(
        nix::fcntl::AT_FDCWD,
        &trap,
        Some(1234.into()),
        None,
        nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW,
    )
    .unwrap();
    let tables = tables + &directory(&trap.display().to_string(), "");
    app_with(&site, &tables);
    let told = site.ctl(&["reconfigure"]).expect_code(1);
    let said = format!("cannot make directory {}", trap.display());
    assert!(told.stderr.contains(&said), "{}", told.both());
}
