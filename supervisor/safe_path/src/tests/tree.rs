//! A directory changes hands with what its former owner has in it, and with nothing else.

use std::{cell::Cell, os::unix::net::UnixListener};

use nix::errno::Errno;

use super::*;

const OTHER: Account = Account {
    uid: 65_533,
    gid: 65_533,
};
/// Neither of the two.
const THIRD: u32 = 65_532;

fn handover() -> Handover {
    Handover {
        from: vec![NOBODY],
        to: OTHER,
    }
}

fn ids(path: &Path) -> (u32, u32) {
    let now = fs::symlink_metadata(path).unwrap();
    (now.uid(), now.gid())
}

const OTHERS: (u32, u32) = (OTHER.uid, OTHER.gid);
const THEIRS: (u32, u32) = (NOBODY.uid, NOBODY.gid);

/// A file of that account's.
fn file(path: &Path) {
    fs::write(path, "kept").unwrap();
    give(path);
}

fn give_all(fixture: &Fixture) -> Result<Tally, At> {
    let tree = Tree::open(&fixture.theirs).unwrap();
    tree.give(&handover(), 0o750, true, &|| true)
}

#[test]
fn what_the_former_owner_has_in_it_goes_along() {
    let Some(fixture) = fixture() else { return };
    let (sub, link) = (fixture.theirs.join("sub"), fixture.theirs.join("link"));
    fs::create_dir(&sub).unwrap();
    give(&sub);
    file(&sub.join("file"));
    fs::set_permissions(sub.join("file"), Permissions::from_mode(0o640)).unwrap();
    symlink("/etc/passwd", &link).unwrap();
    std::os::unix::fs::lchown(&link, Some(NOBODY.uid), Some(NOBODY.gid)).unwrap();
    let socket = fixture.theirs.join("socket");
    let _listener = UnixListener::bind(&socket).unwrap();
    give(&socket);
    let group = fixture.theirs.join("group");
    fs::write(&group, "root's, that the account may read").unwrap();
    chown(&group, Some(0), Some(NOBODY.gid)).unwrap();
    let tree = Tree::open(&fixture.theirs).unwrap();
    let counted = tree.count(&handover(), u64::MAX, &|| true).unwrap();
    assert_eq!((counted.changed, counted.left), (5, 1));
    assert_eq!(ids(&sub), THEIRS, "a count changes nothing");
    let tally = give_all(&fixture).unwrap();
    assert_eq!((tally.changed, tally.left), (6, 1), "{tally:?}");
    for path in [&fixture.theirs, &sub, &sub.join("file"), &link, &socket] {
        assert_eq!(ids(path), OTHERS, "{}", path.display());
    }
    assert_eq!(ids(&group), (0, OTHER.gid));
    assert_eq!(ids(Path::new("/etc/passwd")), (0, 0));
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
    assert_eq!(
        (mode(&fixture.theirs), mode(&sub.join("file"))),
        (0o750, 0o640)
    );
    assert_eq!(fs::read(sub.join("file")).unwrap(), b"kept");
}

#[test]
fn what_is_another_s_or_has_other_names_stays() {
    let Some(fixture) = fixture() else { return };
    let (third, roots) = (fixture.theirs.join("third"), fixture.theirs.join("roots"));
    for (path, uid) in [(&third, THIRD), (&roots, 0)] {
        fs::write(path, "").unwrap();
        chown(path, Some(uid), Some(uid)).unwrap();
    }
    let outside = fixture.ours("outside");
    file(&outside);
    fs::hard_link(&outside, fixture.theirs.join("second")).unwrap();
    let tally = give_all(&fixture).unwrap();
    assert_eq!(tally.left, 3, "{tally:?}");
    for (name, why) in [
        ("third", Left::Owner(THIRD)),
        ("roots", Left::Owner(0)),
        ("second", Left::Names),
    ] {
        let found = (fixture.theirs.join(name), why);
        assert!(tally.named.contains(&found), "{tally:?}");
    }
    assert_eq!(ids(&third), (THIRD, THIRD));
    assert_eq!(ids(&roots), (0, 0));
    assert_eq!(ids(&outside), THEIRS);
}

#[test]
fn a_link_in_the_place_of_a_directory_leads_nowhere() {
    let Some(fixture) = fixture() else { return };
    let outside = fixture.ours("outside");
    fs::create_dir(&outside).unwrap();
    give(&outside);
    file(&outside.join("file"));
    symlink(&outside, fixture.theirs.join("sub")).unwrap();
    std::os::unix::fs::lchown(
        fixture.theirs.join("sub"),
        Some(NOBODY.uid),
        Some(NOBODY.gid),
    )
    .unwrap();
    give_all(&fixture).unwrap();
    assert_eq!(ids(&outside), THEIRS);
    assert_eq!(ids(&outside.join("file")), THEIRS);
    let refused = Tree::open(&fixture.theirs.join("sub"));
    assert!(matches!(why(refused), Untrusted::Link { .. }));
}

/// An account that can move what is root's, or another's, into its own directory does not get it.
#[test]
fn in_an_account_s_directory_only_its_own_changes_hands() {
    let Some(fixture) = fixture() else { return };
    let inner = fixture.theirs.join("inner");
    fs::create_dir(&inner).unwrap();
    let tree = || Tree::open(&inner).unwrap();
    for uid in [0, THIRD] {
        chown(&inner, Some(uid), Some(uid)).unwrap();
        let from = Account { uid, gid: uid };
        let handover = Handover {
            from: vec![from],
            to: OTHER,
        };
        let refused = tree().may_change_hands(&handover);
        let above = NOBODY.uid;
        assert!(
            matches!(why(refused), Untrusted::Below { uid, .. } if uid == above),
            "{uid}"
        );
    }
    give(&inner);
    tree().may_change_hands(&handover()).unwrap();
    // After an interruption: what it lies in has changed hands already.
    chown(&fixture.theirs, Some(OTHER.uid), Some(OTHER.gid)).unwrap();
    tree().may_change_hands(&handover()).unwrap();
    let unknown = Handover {
        from: Vec::new(),
        to: OTHER,
    };
    assert!(matches!(
        why(tree().may_change_hands(&unknown)),
        Untrusted::Foreign { .. }
    ));
}

/// The owner of the directory itself says that not all is done.
#[test]
fn one_that_is_interrupted_is_finished_or_taken_back() {
    let Some(fixture) = fixture() else { return };
    for number in 0..10 {
        file(&fixture.theirs.join(number.to_string()));
    }
    let left = Cell::new(5);
    let go_on = || left.replace(left.get() - 1) > 0;
    let tree = Tree::open(&fixture.theirs).unwrap();
    let stopped = tree.give(&handover(), 0o755, true, &go_on).unwrap_err();
    assert_eq!(
        stopped.error.raw_os_error(),
        Some(Errno::ECANCELED as i32),
        "{stopped}"
    );
    let of = |wanted: (u32, u32)| {
        let all = fs::read_dir(&fixture.theirs).unwrap();
        all.filter(|it| ids(&it.as_ref().unwrap().path()) == wanted)
            .count()
    };
    assert_eq!((of(OTHERS), of(THEIRS)), (5, 5));
    assert_eq!(ids(&fixture.theirs), THEIRS);
    let back = Handover {
        from: vec![OTHER],
        to: NOBODY,
    };
    tree.give(&back, 0o755, true, &|| true).unwrap();
    assert_eq!(of(THEIRS), 10);
    give_all(&fixture).unwrap();
    assert_eq!(of(OTHERS), 10);
}

#[test]
fn a_limited_count_says_that_there_are_more() {
    let Some(fixture) = fixture() else { return };
    for number in 0..4 {
        file(&fixture.theirs.join(number.to_string()));
    }
    let tree = Tree::open(&fixture.theirs).unwrap();
    let counted = |limit| tree.count(&handover(), limit, &|| true).unwrap();
    assert_eq!((counted(3).changed, counted(3).more), (3, true));
    assert_eq!((counted(4).changed, counted(4).more), (4, false));
}
