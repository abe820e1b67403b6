//! Existing files change only after every check has passed, and owners change only at a start.

use std::{cell::Cell, collections::BTreeMap, path::Path};

use engine::RunId;
use safe_path::Account;

use super::*;

/// Another account of every machine.
const DAEMON: u32 = 1;

const WANTED: &str = "[[directories]]\npath = 'DIR/theirs'\nuser = '1'\ngroup = '1'\nmode = '0750'\n\
                      recursive = true\n\
                      [[directories]]\npath = 'DIR/ours'\nuser = '0'\ngroup = '0'\nmode = '0700'\n\
                      [[directories]]\npath = 'DIR/new/below'\nmode = '0700'\n\
                      [[files]]\npath = 'DIR/ours/conf'\ncontent = 'new'\n\
                      [[files]]\npath = 'DIR/ours/mode'\ncontent = 'same'\nmode = '0600'\n";

/// Owner, mode, time and content of every file, by path.
fn everything(dir: &Path) -> BTreeMap<PathBuf, String> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let it = fs::symlink_metadata(&path).unwrap();
        if it.is_dir() {
            all.extend(everything(&path));
        }
        let content = fs::read_to_string(&path).unwrap_or_default();
        // The time of a directory would only show that candidates were there.
        let changed = (!it.is_dir()).then(|| it.modified().unwrap());
        let ids = (it.uid(), it.gid(), it.mode(), it.ino());
        all.insert(path, format!("{ids:?} {changed:?} {content}"));
    }
    all
}

fn owned(path: &Path, uid: u32) {
    chown(path, Some(uid), Some(uid)).unwrap();
}

fn file(path: &Path, uid: u32) {
    fs::write(path, "kept").unwrap();
    owned(path, uid);
}

impl World {
    fn service(&self) -> &Service {
        &self.plan.services["app"]
    }

    fn settled(&self, in_use: &[InUse], wanted: &dyn Fn() -> bool) -> Result<Settled, String> {
        let terms = Terms {
            state_dir: &self.plan.paths.state_dir,
            in_use,
            wanted,
        };
        settle(self.service(), &terms).map_err(|why| why.reason)
    }

    fn start(&self) -> Vec<String> {
        match self.settled(&[], &|| true).unwrap() {
            Settled::Done(said) => said,
            Settled::InUse(by) => panic!("in use by {by:?}"),
        }
    }

    fn uids(&self, dir: &str) -> Vec<u32> {
        let all = fs::read_dir(self.at(dir)).unwrap();
        let uids = all.map(|it| it.unwrap().metadata().unwrap().uid());
        let mut uids: Vec<_> = uids.collect();
        uids.sort_unstable();
        uids
    }
}

#[test]
fn a_plan_that_is_refused_leaves_everything_as_it_was() {
    let Some(world) = world(WANTED) else { return };
    file(&world.at("theirs/file"), NOBODY);
    for name in ["conf", "mode"] {
        fs::write(world.at("ours").join(name), "same").unwrap();
    }
    let before = everything(world.dir.path());
    let staged = stage(&world.plan);
    assert!(staged.broken.is_empty(), "{:?}", staged.broken);
    assert_eq!(world.look("new/below"), "d 700 65534:65534");
    assert_eq!((staged.files.len(), staged.modes.len()), (2, 1));
    assert_eq!(staged.owners["app"].len(), 1);
    let (files, made) = staged.leftovers();
    discard(&files, &made);
    assert_eq!(everything(world.dir.path()), before);
}

#[test]
fn modes_change_by_the_swap_and_owners_at_the_start() {
    let Some(world) = world(WANTED) else { return };
    file(&world.at("theirs/file"), NOBODY);
    fs::write(world.at("ours/mode"), "same").unwrap();
    world.apply();
    assert_eq!(world.look("ours"), "d 700 0:0");
    assert_eq!(world.look("ours/mode"), "- 600 0:65534");
    assert_eq!(world.look("theirs"), "d 755 65534:65534");
    let said = world.start();
    assert_eq!(world.look("theirs"), "d 750 1:1");
    assert_eq!(world.look("theirs/file"), "- 644 1:1");
    assert!(said[0].contains("changed the owner of") && said[0].contains("(2 entries)"));
    assert!(world.start().is_empty(), "it is done once");
    assert!(stage(&world.plan).owners.is_empty());
}

#[test]
fn a_swap_that_fails_puts_modes_back() {
    let Some(world) = world(WANTED) else { return };
    let staged = stage(&world.plan);
    let mut modes = staged.modes.clone();
    modes.push(StagedDirectory {
        path: world.at("ours/missing"),
        ..modes[0].clone()
    });
    swap(&staged.files, &modes).unwrap_err();
    assert_eq!(world.look("ours"), "d 755 0:0");
    assert!(!world.at("ours/conf").exists());
}

/// After an interruption the next start finishes the change of owners, or takes it back, as its
/// plan says.
#[test]
fn an_interruption_is_made_up_for_by_the_next_start() {
    let Some(mut world) = world(WANTED) else {
        return;
    };
    for number in 0..6 {
        file(&world.at("theirs").join(number.to_string()), NOBODY);
    }
    let interrupt = |world: &World| {
        let left = Cell::new(3);
        let why = world.settled(&[], &|| left.replace(left.get() - 1) > 0);
        let why = why.unwrap_err();
        assert!(why.contains("cannot change the owner of"), "{why}");
    };
    interrupt(&world);
    assert_eq!(world.uids("theirs"), [1, 1, 1, NOBODY, NOBODY, NOBODY]);
    assert_eq!(world.look("theirs"), "d 755 65534:65534");
    assert_eq!(stage(&world.plan).owners["app"].len(), 1);
    world.start();
    assert_eq!(world.uids("theirs"), [DAEMON; 6]);
    // A plan with the former account takes the change back, though the directory itself never
    // changed.
    owned(&world.at("theirs"), NOBODY);
    (0..6).for_each(|number| owned(&world.at("theirs").join(number.to_string()), NOBODY));
    interrupt(&world);
    let service = world.plan.services.get_mut("app").unwrap();
    for it in &mut service.directories {
        it.user = Some(NOBODY.to_string());
        it.group = Some(NOBODY.to_string());
    }
    world.start();
    assert_eq!(world.uids("theirs"), [NOBODY; 6]);
    assert!(stage(&world.plan).owners.is_empty(), "nothing is left over");
}

#[test]
fn what_another_run_has_keeps_its_owner_until_that_has_gone() {
    let Some(world) = world(WANTED) else { return };
    let user = |path: &str, ending| InUse {
        path: world.at(path),
        run: RunId(7),
        service: "other".to_owned(),
        ending,
    };
    let ending = world.settled(&[user("theirs/below", true)], &|| true);
    assert!(matches!(ending, Ok(Settled::InUse(RunId(7)))), "{ending:?}");
    let runs = world.settled(&[user("theirs", false)], &|| true);
    assert!(matches!(&runs, Ok(Settled::Done(said)) if said.is_empty()));
    assert_eq!(world.look("theirs"), "d 755 65534:65534");
    world.settled(&[user("their", false)], &|| true).unwrap();
    assert_eq!(world.look("theirs"), "d 750 1:1");
}

/// No directory is given to an account that another account could then attack.
#[test]
fn a_directory_in_a_third_account_s_is_refused_before_anything() {
    let text = "[[directories]]\npath = 'DIR/theirs/data'\nuser = '1'\ngroup = '1'\n";
    let Some(world) = world(text) else { return };
    fs::create_dir(world.at("theirs/data")).unwrap();
    owned(&world.at("theirs/data"), NOBODY);
    let broken = world.broken();
    assert!(broken.own.is_none(), "it refuses the change");
    assert!(
        broken.why.contains("lies in a directory of uid 65534"),
        "{}",
        broken.why
    );
    let refused = world.settled(&[], &|| true).unwrap_err();
    assert!(
        refused.contains("lies in a directory of uid 65534"),
        "{refused}"
    );
    assert_eq!(world.look("theirs/data"), "d 755 65534:65534");
}

/// A file in a directory that changes its owner is written after the directory has its owner.
#[test]
fn a_file_in_a_directory_that_changes_hands_is_written_at_the_start() {
    let text = "[[directories]]\npath = 'DIR/theirs'\nmode = '0700'\nrecursive = true\n\
                [[files]]\npath = 'DIR/theirs/conf'\ncontent = 'new'\nmode = '0600'\n\
                validate = ['/bin/true']\n";
    let Some(world) = world(text) else { return };
    owned(&world.at("theirs"), DAEMON);
    fs::write(world.at("theirs/conf"), "old").unwrap();
    owned(&world.at("theirs/conf"), DAEMON);
    for staged in [stage(&world.plan), rehearse(&world.plan)] {
        assert!(staged.broken.is_empty(), "{:?}", staged.broken);
        assert!(staged.left_out[0].detail.contains("changes hands first"));
        let change = staged.owners["app"].first().unwrap();
        let daemon = Account { uid: 1, gid: 1 };
        assert_eq!((change.from, change.recursive), (daemon, true));
        discard(&staged.files, &staged.made);
    }
    assert_eq!(fs::read(world.at("theirs/conf")).unwrap(), b"old");
    world.start();
    assert_eq!(world.look("theirs/conf"), "- 600 65534:65534");
    assert_eq!(fs::read(world.at("theirs/conf")).unwrap(), b"new");
    assert_eq!(fs::read_dir(world.at("theirs")).unwrap().count(), 1);
}
