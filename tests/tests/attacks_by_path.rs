//! What an account lays out in its own directories hangs nothing, has nothing given to it, and
//! breaks its own service alone.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink},
    path::Path,
};

use mattervisor_tests::{World, skip};
use nix::{
    sys::stat::Mode,
    unistd::{geteuid, mkfifo},
};

/// An account of every machine, neither root's nor ours.
const ACCOUNT: u32 = 65_534;

/// A service of that account's with a directory of its own, `OWN`, and another service beside it.
fn world(more: &str) -> World {
    let world = World::new();
    fs::set_permissions(world.root(), fs::Permissions::from_mode(0o755)).unwrap();
    let text = format!(
        "command = ['/bin/sleep', '1000']\nuser = '{ACCOUNT}'\n\
         [[directories]]\npath = 'OWN'\nmode = '0755'\n{more}"
    );
    world.service("a", &text.replace("OWN", &world.file("own")));
    world.service("b", "command = ['/bin/sleep', '1000']\n");
    world
}

const CONF: &str = "[[files]]\npath = 'OWN/conf'\ncontent = 'one'\n";

/// As the account would: in place of what is there.
fn lay(path: &Path, make: impl FnOnce(&Path)) {
    if path.is_dir() && !path.is_symlink() {
        fs::remove_dir_all(path).unwrap();
    } else {
        let _ = fs::remove_file(path);
    }
    make(path);
    lchown(path, Some(ACCOUNT), Some(ACCOUNT)).unwrap();
}

fn fifo(path: &Path) {
    mkfifo(path, Mode::from_bits_truncate(0o644)).unwrap();
}

fn running(world: &World, service: &str) -> bool {
    let said = world.ctl(&["status", service]);
    said.both().contains("running")
}

/// A fifo where the supervisor reads neither hangs a dry run, nor a reconfigure, nor the next start.
#[test]
fn a_fifo_in_a_service_s_directory_hangs_nothing() {
    if !geteuid().is_root() {
        skip!("another account needs root");
    }
    let mut world = world(CONF);
    world.start_ready();
    let conf = world.path("own/conf");
    assert_eq!(fs::metadata(&conf).unwrap().uid(), ACCOUNT);
    lay(&conf, fifo);
    world.ctl(&["reconfigure", "--dry-run"]).ok();
    world.ctl(&["reconfigure"]).ok();
    assert_eq!(fs::read_to_string(&conf).unwrap(), "one");
    lay(&conf, fifo);
    assert_eq!(world.stop(), 0);
    world.start_ready();
    assert_eq!(fs::read_to_string(&conf).unwrap(), "one");
}

/// A directory where a file goes breaks that service, and no other service's change.
#[test]
fn one_service_s_directory_vetoes_nobody_else_s_change() {
    if !geteuid().is_root() {
        skip!("another account needs root");
    }
    let mut world = world(CONF);
    world.start_ready();
    let conf = world.path("own/conf");
    lay(&conf, |path| fs::create_dir(path).unwrap());
    world.service("b", "command = ['/bin/sleep', '2000']\n");
    let said = world.ctl(&["reconfigure"]).ok().both();
    assert!(said.contains("b restarts"), "{said}");
    assert!(said.contains("a cannot start any more"), "{said}");
    assert!(running(&world, "a") && running(&world, "b"));
    // Its own restart says what is wrong, and is mended by whoever mends the directory.
    let said = world.ctl(&["restart", "a"]).expect_code(1).both();
    assert!(said.contains("cannot write"), "{said}");
    fs::remove_dir(&conf).unwrap();
    world.ctl(&["reconfigure"]).ok();
    assert!(running(&world, "a"));
}

/// A link on the way to a directory of a service gives nothing of root's away.
#[test]
fn a_link_on_the_way_gives_no_directory_away() {
    if !geteuid().is_root() {
        skip!("another account needs root");
    }
    let mut world = world("[[directories]]\npath = 'OWN/store/files'\nmode = '0750'\n");
    world.start_ready();
    let roots = world.path("roots/files");
    fs::create_dir_all(&roots).unwrap();
    fs::set_permissions(&roots, fs::Permissions::from_mode(0o700)).unwrap();
    lay(&world.path("own/store"), |path| {
        symlink(world.path("roots"), path).unwrap();
    });
    let said = world.ctl(&["reconfigure"]).ok().both();
    assert!(said.contains("symbolic link"), "{said}");
    let now = fs::metadata(&roots).unwrap();
    assert_eq!((now.uid(), now.gid(), now.mode() & 0o777), (0, 0, 0o700));
}

/// What an account has laid out before its directory changes hands takes nothing of others' along.
#[test]
fn a_directory_that_changes_hands_takes_nothing_else_along() {
    if !geteuid().is_root() {
        skip!("another account needs root");
    }
    let mut world = world("recursive = true\n");
    world.start_ready();
    let (roots, others) = (world.path("roots"), world.path("others"));
    for (dir, uid) in [(&roots, 0), (&others, ACCOUNT)] {
        fs::create_dir(dir).unwrap();
        fs::write(dir.join("file"), "").unwrap();
        chown(dir.join("file"), Some(uid), Some(uid)).unwrap();
    }
    lay(&world.path("own/link"), |path| {
        symlink(&others, path).unwrap();
    });
    fs::hard_link(others.join("file"), world.path("own/second")).unwrap();
    fs::hard_link(roots.join("file"), world.path("own/third")).unwrap();
    fs::write(world.path("own/roots"), "").unwrap();
    lay(&world.path("own/plain"), |path| {
        fs::write(path, "").unwrap();
    });
    world.service(
        "a",
        &format!(
            "command = ['/bin/sleep', '1000']\nuser = '1'\n[[directories]]\npath = '{}'\n\
             recursive = true\n",
            world.file("own")
        ),
    );
    world.ctl(&["reconfigure"]).ok();
    assert!(running(&world, "a"));
    let uid = |path: &str| fs::symlink_metadata(world.path(path)).unwrap().uid();
    assert_eq!([uid("own"), uid("own/plain"), uid("own/link")], [1, 1, 1]);
    assert_eq!([uid("others/file"), uid("own/second")], [ACCOUNT, ACCOUNT]);
    assert_eq!(
        [uid("roots/file"), uid("own/third"), uid("own/roots")],
        [0, 0, 0]
    );
    let log = world.supervisor_log();
    assert!(
        log.contains("own/second keeps its owner: it has other names"),
        "{log}"
    );
}

/// The version that an account's file says is looked for without waiting and through no link.
#[test]
fn a_version_file_of_an_account_hangs_no_check_and_shows_no_secret() {
    if !geteuid().is_root() {
        skip!("another account needs root");
    }
    let mut world = world("");
    let (own, bin) = (world.file("own"), world.file("opt/*/bin/program"));
    let program = world.path("opt/15/bin/program");
    fs::create_dir_all(program.parent().unwrap()).unwrap();
    fs::copy("/bin/sleep", &program).unwrap();
    let text = format!(
        "command = ['{{{{ program }}}}', '1000']\nuser = '{ACCOUNT}'\n[settings]\n\
         program = {{ type = 'path', find = ['{bin}'], version_file = '{own}/VERSION' }}\n\
         [[directories]]\npath = '{own}'\nmode = '0755'\n"
    );
    world.service("a", &text);
    world.start_ready();
    let secret = world.path("secret");
    fs::write(&secret, "SEKRET = 'hush'").unwrap();
    let version = world.path("own/VERSION");
    for what in ["fifo", "link", "zero"] {
        lay(&version, |path| match what {
            "fifo" => fifo(path),
            "link" => symlink(&secret, path).unwrap(),
            _ => symlink("/dev/zero", path).unwrap(),
        });
        let said = world.ctl(&["check-config"]).both();
        assert!(!said.contains("SEKRET"), "{what}: {said}");
        assert!(said.contains("VERSION"), "{what}: {said}");
    }
    assert!(running(&world, "b"));
}

/// A log directory that was given to the account is taken back: its links lead nowhere.
#[test]
fn a_log_directory_of_an_account_takes_no_line_elsewhere() {
    if !geteuid().is_root() {
        skip!("another account needs root");
    }
    let mut world = world("");
    world.start_ready();
    assert_eq!(world.stop(), 0);
    let dir = world.path("var/log/mattervisor/a");
    chown(&dir, Some(ACCOUNT), Some(ACCOUNT)).unwrap();
    let target = world.path("ld.so.preload");
    fs::write(&target, "root only\n").unwrap();
    lay(&dir.join("current"), |path| symlink(&target, path).unwrap());
    let old = dir.join("2026-01-01T00-00-00.000000Z.log");
    lay(&old, |path| symlink(&target, path).unwrap());
    world.child(
        "a",
        &["print=hello", "sleep"],
        &format!("user = '{ACCOUNT}'\n"),
    );
    world.start_ready();
    let said = world.ctl(&["logs", "a"]).both();
    assert!(!said.contains("root only"), "{said}");
    assert_eq!(fs::read_to_string(&target).unwrap(), "root only\n");
    assert_eq!(fs::metadata(&dir).unwrap().uid(), 0);
    assert!(fs::symlink_metadata(dir.join("current")).unwrap().is_file());
}
