//! Attacks by an unprivileged account through its own directories: no file or link there hangs the
//! supervisor, gives the account another's file, or breaks any service but the account's own.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink},
    path::Path,
};

use mattervisor_tests::{Site, skip};
use nix::{
    sys::stat::Mode,
    unistd::{geteuid, mkfifo},
};

/// The uid of `nobody`: an account of every machine, neither root nor one of ours.
const ACCOUNT: u32 = 65_534;

/// Service `a` runs as [`ACCOUNT`] and has a directory of the account's, `OWN` in `more`; service
/// `b` runs beside it.
fn site(more: &str) -> Site {
    let site = Site::new();
    fs::set_permissions(site.root(), fs::Permissions::from_mode(0o755)).unwrap();
    let text = format!(
        "
            command = ['/bin/sleep', '1000']
            user = '{ACCOUNT}'
            [[directories]]
            path = 'OWN'
            mode = '0755'
            {more}
        "
    );
    site.service("a", &text.replace("OWN", &site.file("own")));
    site.service("b", "command = ['/bin/sleep', '1000']\n");
    site
}

const CONF: &str = "
    [[files]]
    path = 'OWN/conf'
    content = 'one'
";

/// Replaces `path` by what `make` makes and gives it to the account, as the account itself could.
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

fn running(site: &Site, service: &str) -> bool {
    let said = site.ctl(&["status", service]);
    said.both().contains("running")
}

/// A fifo in place of a file that the supervisor reads hangs neither a dry run, nor a reconfigure,
/// nor the next start.
#[test]
fn a_fifo_in_a_service_s_directory_hangs_nothing() {
    if !geteuid().is_root() {
        skip!("another account needs root");
    }
    let mut site = site(CONF);
    site.start_ready();
    let conf = site.path("own/conf");
    assert_eq!(fs::metadata(&conf).unwrap().uid(), ACCOUNT);
    lay(&conf, fifo);
    site.ctl(&["reconfigure", "--dry-run"]).ok();
    site.ctl(&["reconfigure"]).ok();
    assert_eq!(fs::read_to_string(&conf).unwrap(), "one");
    lay(&conf, fifo);
    assert_eq!(site.stop(), 0);
    site.start_ready();
    assert_eq!(fs::read_to_string(&conf).unwrap(), "one");
}

/// A directory in place of a rendered file breaks its own service alone; a change of another
/// service is applied.
#[test]
fn one_service_s_directory_vetoes_nobody_else_s_change() {
    if !geteuid().is_root() {
        skip!("another account needs root");
    }
    let mut site = site(CONF);
    site.start_ready();
    let conf = site.path("own/conf");
    lay(&conf, |path| fs::create_dir(path).unwrap());
    site.service("b", "command = ['/bin/sleep', '2000']\n");
    let said = site.ctl(&["reconfigure"]).ok().both();
    assert!(said.contains("b restarts"), "{said}");
    assert!(said.contains("a cannot start any more"), "{said}");
    assert!(running(&site, "a") && running(&site, "b"));
    // `ctl restart a` names the fault; once the directory is gone, a reconfigure mends the service.
    let said = site.ctl(&["restart", "a"]).expect_code(1).both();
    assert!(said.contains("cannot write"), "{said}");
    fs::remove_dir(&conf).unwrap();
    site.ctl(&["reconfigure"]).ok();
    assert!(running(&site, "a"));
}

/// A symbolic link within the path of a declared directory does not lead the supervisor to change
/// the owner or mode of a directory of root's.
#[test]
fn a_link_on_the_way_gives_no_directory_away() {
    if !geteuid().is_root() {
        skip!("another account needs root");
    }
    let mut site = site(
        "
            [[directories]]
            path = 'OWN/store/files'
            mode = '0750'
        ",
    );
    site.start_ready();
    let roots = site.path("roots/files");
    fs::create_dir_all(&roots).unwrap();
    fs::set_permissions(&roots, fs::Permissions::from_mode(0o700)).unwrap();
    lay(&site.path("own/store"), |path| {
        symlink(site.path("roots"), path).unwrap();
    });
    let said = site.ctl(&["reconfigure"]).ok().both();
    assert!(said.contains("symbolic link"), "{said}");
    let now = fs::metadata(&roots).unwrap();
    assert_eq!((now.uid(), now.gid(), now.mode() & 0o777), (0, 0, 0o700));
}

/// A recursive change of owner takes only the old account's files that have no other name: links
/// are not followed, and hard links and files of other accounts keep their owner.
#[test]
fn a_directory_that_changes_hands_takes_nothing_else_along() {
    if !geteuid().is_root() {
        skip!("another account needs root");
    }
    let mut site = site("recursive = true\n");
    site.start_ready();
    let (roots, others) = (site.path("roots"), site.path("others"));
    for (dir, uid) in [(&roots, 0), (&others, ACCOUNT)] {
        fs::create_dir(dir).unwrap();
        fs::write(dir.join("file"), "").unwrap();
        chown(dir.join("file"), Some(uid), Some(uid)).unwrap();
    }
    lay(&site.path("own/link"), |path| {
        symlink(&others, path).unwrap();
    });
    fs::hard_link(others.join("file"), site.path("own/second")).unwrap();
    fs::hard_link(roots.join("file"), site.path("own/third")).unwrap();
    fs::write(site.path("own/roots"), "").unwrap();
    lay(&site.path("own/plain"), |path| {
        fs::write(path, "").unwrap();
    });
    site.service(
        "a",
        &format!(
            "
                command = ['/bin/sleep', '1000']
                user = '1'
                [[directories]]
                path = '{}'
                recursive = true
            ",
            site.file("own")
        ),
    );
    site.ctl(&["reconfigure"]).ok();
    assert!(running(&site, "a"));
    let uid = |path: &str| fs::symlink_metadata(site.path(path)).unwrap().uid();
    assert_eq!([uid("own"), uid("own/plain"), uid("own/link")], [1, 1, 1]);
    assert_eq!([uid("others/file"), uid("own/second")], [ACCOUNT, ACCOUNT]);
    assert_eq!(
        [uid("roots/file"), uid("own/third"), uid("own/roots")],
        [0, 0, 0]
    );
    let log = site.supervisor_log();
    assert!(
        log.contains("own/second keeps its owner: it has other names"),
        "{log}"
    );
}

/// The version file lies in the account's directory, so reading it neither blocks on a fifo nor
/// prints what a link leads to.
#[test]
fn a_version_file_of_an_account_hangs_no_check_and_shows_no_secret() {
    if !geteuid().is_root() {
        skip!("another account needs root");
    }
    let mut site = site("");
    let (own, bin) = (site.file("own"), site.file("opt/*/bin/program"));
    let program = site.path("opt/15/bin/program");
    fs::create_dir_all(program.parent().unwrap()).unwrap();
    fs::copy("/bin/sleep", &program).unwrap();
    let text = format!(
        "
            command = ['{{{{ program }}}}', '1000']
            user = '{ACCOUNT}'
            [settings]
            program = {{ type = 'path', find = ['{bin}'], version_file = '{own}/VERSION' }}
            [[directories]]
            path = '{own}'
            mode = '0755'
        "
    );
    site.service("a", &text);
    site.start_ready();
    let secret = site.path("secret");
    fs::write(&secret, "SEKRET = 'hush'").unwrap();
    let version = site.path("own/VERSION");
    for what in ["fifo", "link", "zero"] {
        lay(&version, |path| match what {
            "fifo" => fifo(path),
            "link" => symlink(&secret, path).unwrap(),
            _ => symlink("/dev/zero", path).unwrap(),
        });
        let said = site.ctl(&["check-config"]).both();
        assert!(!said.contains("SEKRET"), "{what}: {said}");
        assert!(said.contains("VERSION"), "{what}: {said}");
    }
    assert!(running(&site, "b"));
}

/// A log directory that was given to the account is root's again at the next start, and links in it
/// are not followed.
#[test]
fn a_log_directory_of_an_account_takes_no_line_elsewhere() {
    if !geteuid().is_root() {
        skip!("another account needs root");
    }
    let mut site = site("");
    site.start_ready();
    assert_eq!(site.stop(), 0);
    let dir = site.path("var/log/mattervisor/a");
    chown(&dir, Some(ACCOUNT), Some(ACCOUNT)).unwrap();
    let target = site.path("ld.so.preload");
    fs::write(&target, "root only\n").unwrap();
    lay(&dir.join("current"), |path| symlink(&target, path).unwrap());
    let old = dir.join("2026-01-01T00-00-00.000000Z.log");
    lay(&old, |path| symlink(&target, path).unwrap());
    site.child(
        "a",
        &["print=hello", "sleep"],
        &format!("user = '{ACCOUNT}'\n"),
    );
    site.start_ready();
    let said = site.ctl(&["logs", "a"]).both();
    assert!(!said.contains("root only"), "{said}");
    assert_eq!(fs::read_to_string(&target).unwrap(), "root only\n");
    assert_eq!(fs::metadata(&dir).unwrap().uid(), 0);
    assert!(fs::symlink_metadata(dir.join("current")).unwrap().is_file());
}
