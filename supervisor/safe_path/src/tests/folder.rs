//! Root copies an account's tree: nothing that the account lays out has another's file read.

use std::{
    ffi::OsStr,
    io::Read,
    os::unix::fs::{lchown, symlink},
};

use super::*;

fn open(path: &Path) -> io::Result<Folder> {
    Folder::open(path, Some(NOBODY))
}

fn found(folder: &Folder, name: &str) -> Found {
    folder.find(OsStr::new(name)).unwrap().expect("it is there")
}

#[test]
fn what_was_looked_at_is_what_is_read() {
    let Some(fixture) = fixture() else { return };
    let secret = fixture.ours("secret");
    fs::write(&secret, "ours").unwrap();
    let file = fixture.theirs.join("file");
    fs::write(&file, "theirs").unwrap();
    let folder = open(&fixture.theirs).unwrap();
    let looked_at = found(&folder, "file");
    let mut text = String::new();
    folder
        .read(&looked_at)
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(text, "theirs");
    // Another file, and a link, take its name.
    for _ in 0..2 {
        fs::remove_file(&file).unwrap();
        symlink(&secret, &file).unwrap();
        assert_eq!(
            folder.read(&looked_at).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
        fs::remove_file(&file).unwrap();
        fs::rename(fixture.ours("secret"), &file).unwrap();
        assert_eq!(
            folder.read(&looked_at).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
        fs::copy(&file, &secret).unwrap();
    }
    assert!(folder.find(OsStr::new("gone")).unwrap().is_none());
    assert!(folder.find(OsStr::new("../secret")).is_err());
}

#[test]
fn a_further_name_of_anothers_file_is_lent() {
    let Some(fixture) = fixture() else { return };
    let secret = fixture.ours("secret");
    fs::write(&secret, "ours").unwrap();
    fs::hard_link(&secret, fixture.theirs.join("lent")).unwrap();
    let own = fixture.theirs.join("own");
    fs::write(&own, "theirs").unwrap();
    give(&own);
    fs::hard_link(&own, fixture.theirs.join("second")).unwrap();
    fs::write(fixture.theirs.join("of root"), "put there").unwrap();
    let folder = open(&fixture.theirs).unwrap();
    assert!(found(&folder, "lent").is_lent());
    for name in ["own", "second", "of root"] {
        assert!(!found(&folder, name).is_lent(), "{name}");
    }
}

#[test]
fn a_link_at_the_top_is_followed_where_that_lends_nothing() {
    let Some(fixture) = fixture() else { return };
    let (theirs, link) = (fixture.theirs.join("data"), fixture.theirs.join("link"));
    fs::create_dir(&theirs).unwrap();
    give(&theirs);
    fs::create_dir(fixture.ours("private")).unwrap();
    fs::write(fixture.ours("private").join("file"), "ours").unwrap();

    // Theirs, to a directory of theirs.
    symlink(&theirs, &link).unwrap();
    lchown(&link, Some(NOBODY.uid), Some(NOBODY.gid)).unwrap();
    let folder = open(&link).unwrap();
    assert!(folder.is_followed());
    assert_eq!(folder.path(), theirs);

    // Theirs, to one of ours.
    fs::remove_file(&link).unwrap();
    symlink(fixture.ours("private"), &link).unwrap();
    lchown(&link, Some(NOBODY.uid), Some(NOBODY.gid)).unwrap();
    assert!(matches!(
        why(open(&link)),
        Untrusted::Link { uid: 65_534, .. }
    ));

    // Ours.
    fs::remove_file(&link).unwrap();
    symlink(fixture.ours("private"), &link).unwrap();
    assert!(open(&link).unwrap().is_followed());

    // And nobody else's directory is a top.
    assert!(matches!(
        why(Folder::open(&theirs, None)),
        Untrusted::Foreign { .. }
    ));
}

#[test]
fn a_name_is_given_only_where_there_is_none() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a"), "a").unwrap();
    fs::write(dir.path().join("b"), "b").unwrap();
    let opened = Dir::open(dir.path()).unwrap();
    let refused = opened.rename_new("a", "b").unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(fs::read(dir.path().join("b")).unwrap(), b"b");
    opened.rename_new("a", "c").unwrap();
    assert_eq!(fs::read(dir.path().join("c")).unwrap(), b"a");
}
