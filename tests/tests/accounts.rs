//! Users, groups and directories that services name: made where they are missing, refused where a
//! number is another's.
//!
//! Each supervisor here sees a copy of /etc in a mount namespace of its own: the machine's accounts
//! stay as they are.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    process::Command,
};

use mattervisor_tests::{StatusExt, World, need, nginx, postgres, run, status_field};

use crate::stack::Stack;

/// Whether a supervisor can have an /etc of its own here.
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

/// Gives the supervisor a copy of /etc without the accounts that the tests make, and perhaps more
/// mounts: shell commands.
pub(crate) fn in_private_etc(world: &mut World, mounts: &str) {
    run(Command::new("cp").args(["-a", "/etc"]).arg(world.root())).ok();
    fs::rename(world.path("etc"), world.path("machine-etc")).unwrap();
    fs::create_dir_all(world.path("etc")).unwrap();
    fs::rename(
        world.path("machine-etc/mattervisor"),
        world.path("etc/mattervisor"),
    )
    .unwrap();
    for name in ["passwd", "group", "shadow", "gshadow"] {
        let path = world.path("machine-etc").join(name);
        let text = fs::read_to_string(&path).unwrap();
        let made = ["mattermost:", "mattervisor-www:", "app:", "web:"];
        let kept = text
            .lines()
            .filter(|line| !made.iter().any(|made| line.starts_with(made)));
        let kept: Vec<&str> = kept.collect();
        fs::write(&path, kept.join("\n") + "\n").unwrap();
    }
    let wrapper = world.path("in-private-etc");
    let program = mattervisor_tests::binary("supervisor");
    fs::write(
        &wrapper,
        format!(
            "#!/bin/sh\nexec unshare --mount --propagation private -- sh -c '\
             mount --bind {etc} /etc && {mounts} exec {program} \"$@\"' sh \"$@\"\n",
            etc = world.file("machine-etc"),
            program = program.display(),
        ),
    )
    .unwrap();
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).unwrap();
    world.program(&wrapper);
}

/// A world with /etc of its own and one service that runs.
fn world_with_a_neighbour() -> World {
    let mut world = World::new();
    in_private_etc(&mut world, "");
    world.child("neighbour", &["sleep"], "");
    world
}

/// The line of an account in the supervisor's own `passwd` or `group`.
fn entry(world: &World, file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(world.path("machine-etc").join(file)).unwrap();
    let mut lines = text.lines();
    lines
        .find(|line| line.starts_with(&format!("{name}:")))
        .map(str::to_owned)
}

fn databases(world: &World) -> [String; 2] {
    ["passwd", "group"]
        .map(|name| fs::read_to_string(world.path("machine-etc").join(name)).unwrap())
}

/// The seed's example: `mattermost.uid = 1234` and `mattermost.gid = 1234`, with the shipped
/// catalogue from nothing to the page, and again.
#[test]
fn the_accounts_of_the_shipped_services_are_made_with_the_numbers_of_the_site_file() {
    need!(private_etc());
    let bin = need!(postgres());
    need!(nginx());
    let mut stack = Stack::new(bin, "STANDIN_STOP_MS = \"100\"");
    in_private_etc(&mut stack.world, "");
    let file = stack.world.path("etc/mattervisor/mattervisor.toml");
    let site = fs::read_to_string(file).unwrap();
    let ours = site
        .lines()
        .filter(|line| !line.contains("\"nobody\"") && !line.contains("\"nogroup\""));
    let ours: Vec<&str> = ours.collect();
    stack.world.site(&format!(
        "{}\nmattermost.uid = 1234\nmattermost.gid = 1234\n",
        ours.join("\n")
    ));
    stack.start();
    let world = &stack.world;
    let user = entry(world, "passwd", "mattermost").expect("the user is made");
    let home = world.file("var/lib/mattervisor/mattermost");
    assert_eq!(
        user,
        format!("mattermost:x:1234:1234::{home}:/usr/sbin/nologin")
    );
    assert_eq!(
        entry(world, "group", "mattermost").as_deref(),
        Some("mattermost:x:1234:")
    );
    assert!(entry(world, "passwd", "mattervisor-www").is_some());
    let machine = fs::read_to_string("/etc/passwd").unwrap();
    assert!(
        !machine.contains(&format!("::{home}:")),
        "the machine's accounts were touched: {machine}"
    );
    let pid = world.status().pid("mattermost");
    for field in ["Uid", "Gid"] {
        let ids = status_field(pid, field).unwrap();
        assert_eq!(ids, "1234\t1234\t1234\t1234", "{field}");
    }
    for (path, mode) in [("", 0o750), ("data", 0o750), ("config.json", 0o600)] {
        let found = fs::metadata(world.path("var/lib/mattervisor/mattermost").join(path)).unwrap();
        let seen = (found.uid(), found.gid(), found.mode() & 0o7777);
        assert_eq!(seen, (1234, 1234, mode), "{path}");
    }
    // They are made once: what is there is as wanted.
    let before = databases(world);
    world.ctl(&["reconfigure"]).ok();
    assert_eq!(stack.world.stop(), 0);
    stack.start();
    assert_eq!(databases(&stack.world), before);
    assert_eq!(stack.world.stop(), 0);
}

/// Every way in which numbers clash is found before anything is applied, and names who has it.
#[test]
fn a_clash_refuses_the_change_and_names_who_has_the_number() {
    need!(private_etc());
    let mut world = world_with_a_neighbour();
    world.start_ready();
    let pid = world.status().pid("neighbour");
    let before = databases(&world);
    let plan = fs::read(world.path("var/lib/mattervisor/plan.json")).unwrap();
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
            "user = 'backup'\ngroup = 'backup'\ngid = 1234\n",
            "app: group backup exists with gid 34, but gid 1234 is wanted",
        ),
        (
            "user = 'backup'\ngid = 1234\n",
            "app: user backup has the group with gid 34, but gid 1234 is wanted",
        ),
    ] {
        world.child("app", &["sleep"], keys);
        // It would change too, were anything applied.
        world.child("neighbour", &["sleep"], "[env]\nNEW = '1'");
        let told = world.ctl(&["reconfigure"]).expect_code(1);
        assert!(told.stderr.contains(said), "{keys}: {}", told.both());
        assert!(told.stderr.contains("nothing has changed"), "{told:#?}");
    }
    world.child("app", &["sleep"], "user = 'app'\nuid = 1234\n");
    world.child("other", &["sleep"], "user = 'app'\nuid = 1235\n");
    let told = world.ctl(&["reconfigure"]).expect_code(1);
    let said = "user app is wanted with uid 1234 by app and with uid 1235 by other";
    assert!(told.stderr.contains(said), "{}", told.both());
    assert_eq!(databases(&world), before);
    let now = fs::read(world.path("var/lib/mattervisor/plan.json")).unwrap();
    assert!(now == plan, "the stored plan has changed");
    let status = world.status();
    assert_eq!(status.pid("neighbour"), pid);
    assert_eq!(status.services.len(), 1);
    // Once they agree, it is applied, and both run as the account.
    world.child("other", &["sleep"], "user = 'app'\n");
    world.ctl(&["reconfigure"]).ok();
    let status = world.wait_for("both run", |status| {
        status.services.len() == 3 && status.services.iter().all(|it| it.ready)
    });
    for name in ["app", "other"] {
        let ids = status_field(status.pid(name), "Uid").unwrap();
        assert_eq!(ids, "1234\t1234\t1234\t1234", "{name}");
    }
    assert_ne!(status.pid("neighbour"), pid);
}

/// At the daemon's start a clash fails that service alone, also for a control process that takes
/// over; the others run.
#[test]
fn at_the_start_a_clash_fails_the_service_that_has_it_and_no_other() {
    need!(private_etc());
    let mut world = world_with_a_neighbour();
    world.child("app", &["sleep"], "user = 'backup'\nuid = 1234\n");
    world.start();
    let said = "user backup exists with uid 34, but uid 1234 is wanted";
    let clashes = |world: &World| {
        let status = world.wait_for("app has failed, the other runs", |status| {
            status.state("app") == "failed" && status.ready("neighbour")
        });
        let reason = status.service("app").reason.clone().unwrap_or_default();
        assert!(reason.contains(said), "{reason}");
    };
    clashes(&world);
    let why = world.ctl(&["why", "app"]);
    assert!(why.stdout.contains(said), "{}", why.both());
    let control = world.control_pid();
    mattervisor_tests::kill(control, nix::sys::signal::Signal::SIGKILL);
    world.wait_for("another control process", |status| {
        status.supervisor.pid != control
    });
    world.ctl(&["start", "app"]).expect_code(1);
    clashes(&world);
    // Mended, it runs.
    world.child("app", &["sleep"], "user = 'backup'\n");
    world.ctl(&["reconfigure"]).ok();
    world.wait_state("app", "running");
}

#[test]
fn accounts_are_left_alone_where_they_are_not_to_be_managed() {
    need!(private_etc());
    let mut world = world_with_a_neighbour();
    world.site("manage_accounts.enable = false\n");
    world.child("app", &["sleep"], "user = 'app'\nuid = 1234\n");
    world.start();
    let before = databases(&world);
    let status = world.wait_state("app", "failed");
    let reason = status.service("app").reason.clone().unwrap_or_default();
    assert!(reason.contains("there is no user 'app'"), "{reason}");
    assert!(reason.contains("manage_accounts.enable = true"), "{reason}");
    assert_eq!(databases(&world), before);
    world.site("");
    world.ctl(&["reconfigure"]).ok();
    world.wait_state("app", "running");
    assert!(entry(&world, "passwd", "app").is_some());
}

/// What groupadd and useradd say is what the administrator reads.
#[test]
fn a_tool_that_fails_or_is_missing_refuses_the_change_in_its_own_words() {
    need!(private_etc());
    let mut world = world_with_a_neighbour();
    world.start_ready();
    let pid = world.status().pid("neighbour");
    // A directory service may have such a long name; useradd makes none.
    let long = "a".repeat(40);
    let refused = format!("cannot create user {long}");
    let text = format!("user = '{long}'\ngroup = 'nogroup'\n");
    world.child("app", &["sleep"], &text);
    let told = world.ctl(&["reconfigure"]).expect_code(1);
    for word in [refused.as_str(), "useradd: ", "name"] {
        assert!(told.stderr.contains(word), "no {word:?} in {}", told.both());
    }
    let status = world.status();
    assert_eq!((status.services.len(), status.pid("neighbour")), (1, pid));
    assert_eq!(world.stop(), 0);
    // At the start it fails the service alone.
    world.start();
    let status = world.wait_state("app", "failed");
    let reason = status.service("app").reason.clone().unwrap_or_default();
    assert!(
        reason.contains(&refused) && reason.contains("useradd: "),
        "{reason}"
    );
    world.wait_state("neighbour", "running");
}

#[test]
fn a_machine_without_the_tools_says_which_is_missing() {
    need!(private_etc());
    let mut world = World::new();
    in_private_etc(&mut world, "mount --bind /dev/null /usr/sbin/groupadd &&");
    world.child("neighbour", &["sleep"], "");
    world.start_ready();
    world.child("app", &["sleep"], "user = 'app'\n");
    let told = world.ctl(&["reconfigure"]).expect_code(1);
    for word in ["cannot create group app", "/usr/sbin/groupadd"] {
        assert!(told.stderr.contains(word), "no {word:?} in {}", told.both());
    }
    assert_eq!(world.status().services.len(), 1);
}

/// A directory gets mode and owner as declared, one that is there too; root's link to another disk
/// is taken as it is, another's is not followed.
#[test]
fn directories_have_the_modes_and_owners_that_are_declared() {
    need!(private_etc());
    let mut world = world_with_a_neighbour();
    let (old, disk, link, trap) = (
        world.path("old"),
        world.path("disk"),
        world.path("link"),
        world.path("trap"),
    );
    fs::create_dir(&old).unwrap();
    fs::set_permissions(&old, fs::Permissions::from_mode(0o777)).unwrap();
    fs::create_dir(&disk).unwrap();
    let disk_before = fs::metadata(&disk).unwrap();
    symlink(&disk, &link).unwrap();
    let entries = [
        ("deep/new", "mode = '0750'"),
        ("old", "mode = '2770'\ngroup = 'web'"),
        ("link", "mode = '0700'"),
    ];
    let entries = entries
        .map(|(path, keys)| format!("[[directories]]\npath = '{}'\n{keys}\n", world.file(path)));
    let tables = entries.concat();
    world.child(
        "app",
        &["sleep"],
        &format!("user = 'app'\nuid = 1234\n{tables}"),
    );
    world.start();
    world.wait_state("app", "running");
    let seen = |path: &std::path::Path| {
        let it = fs::metadata(path).unwrap();
        (it.uid(), it.gid(), it.mode() & 0o7777)
    };
    let gid = |name: &str| -> u32 {
        let line = entry(&world, "group", name).unwrap();
        line.split(':').nth(2).unwrap().parse().unwrap()
    };
    let app = gid("app");
    assert_eq!(seen(&world.path("deep/new")), (1234, app, 0o750));
    assert_eq!(seen(&old), (1234, gid("web"), 0o2770));
    let disk_now = fs::metadata(&disk).unwrap();
    assert_eq!(
        (disk_now.uid(), disk_now.mode()),
        (disk_before.uid(), disk_before.mode())
    );
    // What somebody has changed since is put right.
    fs::set_permissions(&old, fs::Permissions::from_mode(0o700)).unwrap();
    world.ctl(&["reconfigure"]).ok();
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
    let tables = format!("{tables}[[directories]]\npath = '{}'\n", trap.display());
    world.child(
        "app",
        &["sleep"],
        &format!("user = 'app'\nuid = 1234\n{tables}"),
    );
    let told = world.ctl(&["reconfigure"]).expect_code(1);
    let said = format!("cannot make directory {}", trap.display());
    assert!(told.stderr.contains(&said), "{}", told.both());
}

/// Writes the supervisor's own `passwd` or `group` anew, without this name and with this line.
fn set_entry(world: &World, file: &str, name: &str, line: Option<&str>) {
    let path = world.path("machine-etc").join(file);
    let text = fs::read_to_string(&path).unwrap();
    let begins = format!("{name}:");
    let kept = text.lines().filter(|line| !line.starts_with(&begins));
    let kept: Vec<&str> = kept.chain(line).collect();
    fs::write(&path, kept.join("\n") + "\n").unwrap();
}

fn uid_of(world: &World, name: &str) -> String {
    let ids = status_field(world.status().pid(name), "Uid").unwrap();
    ids.split('\t').next().unwrap_or_default().to_owned()
}

/// Whoever changes an account and restarts what runs as it has it so, without a word to the
/// supervisor; one that is gone fails what names it, and nothing runs under its number.
#[test]
fn every_start_takes_the_account_as_it_is_now() {
    need!(private_etc());
    let mut world = world_with_a_neighbour();
    world.site("manage_accounts.enable = false\n");
    let account = |world: &World, uid: u32| {
        let line = format!("app:x:{uid}:7770::/:/bin/false");
        set_entry(world, "passwd", "app", Some(&line));
    };
    account(&world, 7770);
    set_entry(&world, "group", "app", Some("app:x:7770:"));
    world.child("app", &["sleep"], "user = 'app'\n");
    world.start_ready();
    assert_eq!(uid_of(&world, "app"), "7770");
    let pid = world.status().pid("app");

    account(&world, 7771);
    set_entry(&world, "group", "extra", Some("extra:x:7800:app"));
    let said = "runs with uid 7770, but its account has uid 7771 now";
    let foretold = world.ctl(&["reconfigure", "--dry-run"]).ok().stdout;
    assert!(foretold.contains(said), "{foretold}");
    let told = world.ctl(&["reconfigure"]).ok().stdout;
    assert!(
        told.contains("app runs with uid 7770, but its account has uid 7771 now")
            && told.contains("ctl restart app"),
        "{told}"
    );
    assert_eq!(world.status().pid("app"), pid, "it goes on");
    world.ctl(&["restart", "app"]).ok();
    assert_eq!(uid_of(&world, "app"), "7771");
    let groups = status_field(world.status().pid("app"), "Groups").unwrap();
    assert!(groups.split(' ').any(|gid| gid == "7800"), "{groups}");

    account(&world, 7772);
    let pid = world.status().pid("app");
    mattervisor_tests::kill(pid, nix::sys::signal::Signal::SIGKILL);
    world.wait_for("it is back with its new number", |status| {
        let now = status.service("app").pid.filter(|now| *now != pid);
        now.and_then(|now| status_field(now, "Uid"))
            .is_some_and(|ids| ids.starts_with("7772"))
    });

    set_entry(&world, "passwd", "app", None);
    world.ctl(&["restart", "app"]).expect_code(1);
    let status = world.wait_state("app", "failed");
    let reason = status.service("app").reason.clone().unwrap_or_default();
    assert!(reason.contains("there is no user 'app'"), "{reason}");
    assert!(status.ready("neighbour"));
    account(&world, 7773);
    world.ctl(&["start", "app"]).ok();
    assert_eq!(uid_of(&world, "app"), "7773");
}

/// As systemd has it: a number needs no account. Its group must be named, since it has none.
#[test]
fn a_number_without_an_account_will_do_for_a_user() {
    need!(private_etc());
    let mut world = world_with_a_neighbour();
    world.child("app", &["sleep"], "user = '54321'\ngroup = '54322'\n");
    world.child("web", &["sleep"], "user = '54321'\n");
    world.start();
    world.wait_state("app", "running");
    let pid = world.status().pid("app");
    for (field, wanted) in [("Uid", "54321"), ("Gid", "54322")] {
        let ids = status_field(pid, field).unwrap();
        assert!(ids.split('\t').all(|id| id == wanted), "{field} {ids}");
    }
    assert_eq!(status_field(pid, "Groups").as_deref(), Some(""));
    let status = world.wait_state("web", "failed");
    let reason = status.service("web").reason.clone().unwrap_or_default();
    assert!(
        reason.contains("uid 54321 has no account, and so no group: give `group` too"),
        "{reason}"
    );
}
