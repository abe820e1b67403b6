//! What an account can lay out in its own directory, and that none of it is followed.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown, symlink},
        net::UnixListener,
    },
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use nix::{sys::stat::Mode, unistd::mkfifo};
use tempfile::TempDir;

use super::*;

mod folder;
mod tree;

/// An account that is neither root nor us.
const NOBODY: Account = Account {
    uid: 65_534,
    gid: 65_534,
};
const LIMIT: u64 = 100;

/// A directory of root's with one of that account's in it; none without root.
struct Fixture {
    dir: TempDir,
    theirs: PathBuf,
}

fn fixture() -> Option<Fixture> {
    if !nix::unistd::geteuid().is_root() {
        skip::skip!(=> None; "another account needs root");
    }
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    let theirs = dir.path().join("theirs");
    fs::create_dir(&theirs).unwrap();
    give(&theirs);
    Some(Fixture { dir, theirs })
}

impl Fixture {
    fn ours(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

fn give(path: &Path) {
    chown(path, Some(NOBODY.uid), Some(NOBODY.gid)).unwrap();
}

fn why(result: io::Result<impl Sized>) -> Untrusted {
    let error = result.err().expect("refused");
    *error
        .into_inner()
        .expect("with its reason")
        .downcast::<Untrusted>()
        .expect("of this crate")
}

#[test]
fn root_reads_below_its_own_directories_and_follows_its_own_links() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "text").unwrap();
    symlink("file", dir.path().join("link")).unwrap();
    symlink(dir.path(), dir.path().join("here")).unwrap();
    for path in ["file", "link", "here/link", "here/here/file"] {
        assert_eq!(
            read(&dir.path().join(path), LIMIT).unwrap(),
            b"text",
            "{path}"
        );
    }
    assert!(matches!(
        why(read(&file, 3)),
        Untrusted::Long { limit: 3, .. }
    ));
    assert_eq!(
        read(dir.path(), LIMIT).unwrap_err().kind(),
        io::ErrorKind::IsADirectory
    );
    assert_eq!(
        read(&dir.path().join("gone/x"), LIMIT).unwrap_err().kind(),
        io::ErrorKind::NotFound
    );
}

#[test]
fn a_fifo_or_a_device_holds_nobody_up() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("fifo");
    mkfifo(&fifo, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    let start = Instant::now();
    assert!(matches!(why(read(&fifo, LIMIT)), Untrusted::Kind { .. }));
    assert!(matches!(
        why(read(Path::new("/dev/zero"), LIMIT)),
        Untrusted::Kind { .. }
    ));
    let open = Dir::open(dir.path()).unwrap();
    assert!(matches!(
        why(open.append("fifo", 0o600)),
        Untrusted::Kind { .. }
    ));
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_link_loop_ends() {
    let dir = tempfile::tempdir().unwrap();
    symlink("b", dir.path().join("a")).unwrap();
    symlink("a", dir.path().join("b")).unwrap();
    let error = read(&dir.path().join("a/x"), LIMIT).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(nix::libc::ELOOP));
}

#[test]
fn a_link_in_a_foreign_directory_is_followed_by_nothing() {
    let Some(fixture) = fixture() else { return };
    fs::create_dir(fixture.ours("secret")).unwrap();
    fs::write(fixture.ours("secret/shadow"), "hash").unwrap();
    symlink(fixture.ours("secret"), fixture.theirs.join("dir")).unwrap();
    symlink(fixture.ours("secret/shadow"), fixture.theirs.join("file")).unwrap();
    let through = fixture.theirs.join("dir/shadow");
    for path in [&through, &fixture.theirs.join("file")] {
        assert!(matches!(
            why(read(path, LIMIT)),
            Untrusted::Link { uid: 0, .. }
        ));
        assert!(matches!(
            why(read_guest(path, LIMIT)),
            Untrusted::Link { .. }
        ));
    }
    let dir = fixture.theirs.join("dir");
    assert!(matches!(
        why(Dir::make(&dir, 0o700)),
        Untrusted::Link { .. }
    ));
    assert!(matches!(
        why(Dir::make_for(&dir.join("new"), 0o700, NOBODY)),
        Untrusted::Link { .. }
    ));
    assert!(!fixture.ours("secret/new").exists());
    let theirs = Dir::open_for(&fixture.theirs, NOBODY).unwrap();
    assert!(matches!(
        why(theirs.read("file", LIMIT)),
        Untrusted::Link { .. }
    ));
    assert!(matches!(
        why(theirs.append("file", 0o600)),
        Untrusted::Link { .. }
    ));
    assert!(matches!(
        why(theirs.make_dir("dir", 0o700)),
        Untrusted::Link { .. }
    ));
    let made = theirs.create("file", 0o600).unwrap_err();
    assert_eq!(made.kind(), io::ErrorKind::AlreadyExists);
}

#[test]
fn a_link_of_another_in_a_directory_of_ours_is_not_followed() {
    let Some(fixture) = fixture() else { return };
    let link = fixture.ours("link");
    symlink("theirs", &link).unwrap();
    assert!(Dir::open_for(&link, NOBODY).is_ok());
    std::os::unix::fs::lchown(&link, Some(NOBODY.uid), Some(NOBODY.gid)).unwrap();
    assert!(matches!(
        why(Dir::open_for(&link, NOBODY)),
        Untrusted::Link { uid: 65_534, .. }
    ));
}

#[test]
fn a_hard_link_lends_nobody_anothers_file() {
    let Some(fixture) = fixture() else { return };
    let shadow = fixture.ours("shadow");
    fs::write(&shadow, "hash").unwrap();
    fs::hard_link(&shadow, fixture.theirs.join("names")).unwrap();
    fs::write(fixture.theirs.join("roots"), "left by root").unwrap();
    let names = fixture.theirs.join("names");
    assert!(matches!(
        why(read_guest(&names, LIMIT)),
        Untrusted::Names { .. }
    ));
    let roots = fixture.theirs.join("roots");
    assert!(matches!(
        why(read_guest(&roots, LIMIT)),
        Untrusted::Owner { uid: 0, .. }
    ));
    give(&roots);
    assert_eq!(read_guest(&roots, LIMIT).unwrap(), b"left by root");
    assert!(matches!(
        why(read(&roots, LIMIT)),
        Untrusted::Foreign { uid: 65_534, .. }
    ));
    // In a directory that everybody may make names in, too.
    let shared = fixture.ours("shared");
    fs::create_dir(&shared).unwrap();
    fs::set_permissions(&shared, Permissions::from_mode(0o1777)).unwrap();
    fs::hard_link(&shadow, shared.join("names")).unwrap();
    assert!(matches!(
        why(read(&shared.join("names"), LIMIT)),
        Untrusted::Names { .. }
    ));
}

/// Where the kernel does not forbid it (`fs.protected_hardlinks = 0`).
#[test]
fn a_hard_link_lends_nobody_anothers_socket() {
    let Some(fixture) = fixture() else { return };
    let bind = |path: &Path| UnixListener::bind(path).unwrap();
    let roots = fixture.ours("roots");
    let _roots = bind(&roots);
    let linked = fixture.theirs.join("linked");
    fs::hard_link(&roots, &linked).unwrap();
    assert!(matches!(why(open_socket(&linked)), Untrusted::Names { .. }));
    // In our own directory nobody makes links.
    open_socket(&roots).unwrap();
    // The first name is gone since then, though somebody listens there.
    let another = fixture.ours("another");
    let _another = bind(&another);
    chown(&another, Some(NOBODY.uid - 1), None).unwrap();
    let kept = fixture.theirs.join("kept");
    fs::rename(&another, &kept).unwrap();
    assert!(matches!(
        why(open_socket(&kept)),
        Untrusted::Owner { uid, .. } if uid == NOBODY.uid - 1
    ));
    let own = fixture.theirs.join("own");
    let _own = bind(&own);
    open_socket(&own).unwrap();
    give(&own);
    open_socket(&own).unwrap();
    // Everybody can make links in a directory such as /tmp.
    let shared = fixture.ours("shared");
    fs::create_dir(&shared).unwrap();
    fs::set_permissions(&shared, Permissions::from_mode(0o1777)).unwrap();
    fs::hard_link(&own, shared.join("names")).unwrap();
    assert!(matches!(
        why(open_socket(&shared.join("names"))),
        Untrusted::Names { .. }
    ));
}

#[test]
fn nothing_is_changed_in_a_foreign_directory_but_by_its_owner() {
    let Some(fixture) = fixture() else { return };
    assert!(matches!(
        why(Dir::open(&fixture.theirs)),
        Untrusted::Foreign { uid: 65_534, .. }
    ));
    let below = fixture.theirs.join("a/b");
    assert!(matches!(
        why(Dir::make(&below, 0o700)),
        Untrusted::Foreign { .. }
    ));
    let other = Account {
        uid: 12_345,
        gid: 12_345,
    };
    assert!(matches!(
        why(Dir::make_for(&below, 0o700, other)),
        Untrusted::Foreign { .. }
    ));
    assert!(!fixture.theirs.join("a").exists());

    let made = Dir::make_for(&below, 0o700, NOBODY).unwrap();
    let meta = fs::metadata(&below).unwrap();
    assert_eq!(
        (meta.uid(), meta.gid(), meta.mode() & 0o7777),
        (NOBODY.uid, NOBODY.gid, 0o700)
    );
    assert!(made.is_foreign());
    made.create("file", 0o640).unwrap();
    assert_eq!(fs::metadata(below.join("file")).unwrap().uid(), NOBODY.uid);
    // With its rights and no more: what root has closed stays closed, and root stays root.
    chown(&below, Some(0), Some(0)).unwrap();
    assert_eq!(
        made.remove("file").unwrap_err().kind(),
        io::ErrorKind::PermissionDenied
    );
    fs::remove_file(below.join("file")).unwrap();
}

#[test]
fn a_directory_of_roots_below_a_foreign_one_is_given_to_nobody() {
    let Some(fixture) = fixture() else { return };
    let files = fixture.theirs.join("files");
    fs::create_dir(&files).unwrap();
    let dir = Dir::make_for(&files, 0o750, NOBODY).unwrap();
    let error = dir.set_owner_and_mode(Some(NOBODY), 0o750).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    assert_eq!(fs::metadata(&files).unwrap().uid(), 0);
}

#[test]
fn a_directory_open_to_everybody_is_not_trusted_but_tmp_is() {
    let dir = tempfile::tempdir().unwrap();
    let open = dir.path().join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(
        why(Dir::make(&open.join("x"), 0o700)),
        Untrusted::Open { .. }
    ));
    fs::set_permissions(&open, Permissions::from_mode(0o1777)).unwrap();
    Dir::make(&open.join("x"), 0o700).unwrap();
}

#[test]
fn what_is_made_has_the_mode_and_its_parents_let_everybody_in() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a/b");
    Dir::make(&path, 0o700).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
    assert_eq!((mode(&dir.path().join("a")), mode(&path)), (0o755, 0o700));
    Dir::make(&path, 0o755).unwrap();
    assert_eq!(mode(&path), 0o700, "what is there keeps its mode");
}

#[test]
fn a_name_is_one_part_of_a_path() {
    let dir = Dir::open(tempfile::tempdir().unwrap().path()).unwrap();
    for name in ["", ".", "..", "a/b", "/etc/shadow", "../x"] {
        let error = dir.create(name, 0o600).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{name}");
    }
}

#[test]
fn files_are_made_named_and_removed_in_their_directory() {
    let root = tempfile::tempdir().unwrap();
    let dir = Dir::open(root.path()).unwrap();
    dir.create("b", 0o600).unwrap();
    assert!(dir.create("b", 0o600).is_err());
    dir.link("b", "a").unwrap();
    dir.rename("b", "c").unwrap();
    assert_eq!(dir.names(9).unwrap(), ["a", "c"]);
    assert_eq!(dir.names(1).unwrap().len(), 1);
    assert!(dir.remove("a").unwrap() && !dir.remove("a").unwrap());
    assert!(dir.stat("c").unwrap().is_some() && dir.stat("a").unwrap().is_none());
    dir.make_dir("d", 0o755).unwrap();
    dir.remove_dir("d").unwrap();
    dir.sync().unwrap();
}
