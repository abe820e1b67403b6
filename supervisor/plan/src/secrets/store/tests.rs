//! Writes of the secrets file: none is lost, and owner, mode and links of the file stay.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    sync::Barrier,
    thread,
};

use super::*;
use crate::secrets::generate::{insert_into, set_in};

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<String> = entries
        .map(|it| it.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// The supervisor makes secrets while a command of `ctl` sets others: both keep all of theirs.
#[test]
fn writers_at_the_same_time_lose_nothing() {
    const EACH: usize = 30;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secrets.toml");
    let together = Barrier::new(3);
    let key = |number: usize| format!("key{number}");
    thread::scope(|scope| {
        scope.spawn(|| {
            together.wait();
            for number in 0..EACH {
                let row = ("made".to_owned(), key(number), "m".to_owned());
                rewrite(&path, |text| insert_into(text, &[row]).map(Some)).unwrap();
            }
        });
        scope.spawn(|| {
            together.wait();
            for number in 0..EACH {
                let row = ("told".to_owned(), key(number), "t".into());
                let reserved = Reserved::new(&path, "room").unwrap();
                reserved
                    .rewrite(|text| set_in(text, &[row]).map(Some))
                    .unwrap();
            }
        });
        scope.spawn(|| {
            together.wait();
            for _ in 0..EACH {
                assert!(!rewrite(&path, |_| Ok(None)).unwrap());
            }
        });
    });
    let table: toml::Table = toml::from_str(&read(&path).unwrap().unwrap()).unwrap();
    for number in 0..EACH {
        assert_eq!(table["made"][&key(number)].as_str(), Some("m"));
        assert_eq!(table["told"][&key(number)].as_str(), Some("t"));
    }
    assert_eq!(names(dir.path()), ["secrets.toml"]);
}

#[test]
fn the_file_keeps_what_its_owner_may_do_and_is_for_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secrets.toml");
    for (before, after) in [(0o644, 0o600), (0o600, 0o600), (0o700, 0o600)] {
        fs::write(&path, "a.b = 1\n").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(before)).unwrap();
        let written = rewrite(&path, |text| Ok(Some(format!("{text}a.c = 2\n"))));
        assert!(written.unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "a.b = 1\na.c = 2\n");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, after);
    }
    if nix::unistd::Uid::effective().is_root() {
        std::os::unix::fs::chown(&path, Some(1234), Some(5678)).unwrap();
        rewrite(&path, |_| Ok(Some(String::new()))).unwrap();
        let now = fs::metadata(&path).unwrap();
        assert_eq!((now.uid(), now.gid()), (1234, 5678));
    }
}

#[test]
fn a_link_stays_one_and_may_lead_to_nothing_yet() {
    let dir = tempfile::tempdir().unwrap();
    let (path, real) = (dir.path().join("secrets.toml"), dir.path().join("kept"));
    symlink(&real, &path).unwrap();
    for text in ["a.b = 1\n", "a.b = 2\n"] {
        rewrite(&path, |_| Ok(Some(text.to_owned()))).unwrap();
        assert!(fs::symlink_metadata(&path).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&real).unwrap(), text);
    }
}

#[test]
fn what_is_not_changed_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secrets.toml");
    assert!(!rewrite(&path, |_| Ok(None)).unwrap());
    let refused = rewrite(&path, |_| Err("no".to_owned())).unwrap_err();
    assert_eq!(refused.to_string(), "no");
    drop(Reserved::new(&path, "room").unwrap());
    assert_eq!(names(dir.path()), [""; 0]);
    // The temporary file of a crashed writer is no obstacle.
    fs::write(dir.path().join(".secrets.new"), "half").unwrap();
    rewrite(&path, |_| Ok(Some("a.b = 1\n".to_owned()))).unwrap();
    assert_eq!(names(dir.path()), ["secrets.toml"]);
    let refused = rewrite(&path, |_| Err("no".to_owned()));
    assert!(refused.is_err());
    assert_eq!(fs::read_to_string(&path).unwrap(), "a.b = 1\n");
}
