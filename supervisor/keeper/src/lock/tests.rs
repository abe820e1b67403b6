//! The locks of a keeper. Invariant: either lock alone keeps a second keeper out.

use std::{fs, io::Read};

use super::*;

fn quiet() -> (std::os::fd::OwnedFd, std::os::fd::OwnedFd) {
    nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap()
}

/// Run directory and state directory of a keeper.
struct Root(tempfile::TempDir);

impl Root {
    fn new() -> Self {
        let root = Self(tempfile::tempdir().unwrap());
        root.make();
        root
    }

    fn make(&self) {
        fs::create_dir_all(self.run()).unwrap();
        fs::create_dir_all(self.state()).unwrap();
    }

    fn run(&self) -> PathBuf {
        self.0.path().join("run")
    }

    fn state(&self) -> PathBuf {
        self.0.path().join("state")
    }

    fn take(&self, signals: &OwnedFd) -> Result<Locks, LockError> {
        Locks::take(&self.run(), &self.state(), signals, &Init::none())
    }
}

fn named(file: &Path) -> String {
    let mut text = String::new();
    File::open(file).unwrap().read_to_string(&mut text).unwrap();
    text
}

#[test]
fn a_second_keeper_is_refused_with_the_pid_of_the_first() {
    let (root, (signals, _keep)) = (Root::new(), quiet());
    let _held = root.take(&signals).unwrap();
    let own = std::process::id();
    for file in [root.run(), root.state()].map(|dir| dir.join(NAME)) {
        assert!(named(&file).starts_with(&format!("{own} ")));
    }
    let refused = root.take(&signals).unwrap_err();
    let text = refused.to_string();
    assert!(matches!(refused, LockError::Held { .. }));
    assert!(text.contains(&format!("pid {own}")) && text.contains("--root"));
}

#[test]
fn either_lock_alone_keeps_a_second_keeper_out() {
    let (root, (signals, _keep)) = (Root::new(), quiet());
    let _held = root.take(&signals).unwrap();
    for gone in [root.run(), root.state()] {
        let away = gone.with_extension("away");
        fs::rename(&gone, &away).unwrap();
        root.make();
        let refused = root.take(&signals).unwrap_err();
        assert!(matches!(refused, LockError::Held { .. }), "{refused}");
        fs::remove_dir_all(&gone).unwrap();
        fs::rename(&away, &gone).unwrap();
    }
}

#[test]
fn a_lock_whose_file_has_gone_is_taken_again() {
    let (root, (signals, _keep)) = (Root::new(), quiet());
    let mut held = root.take(&signals).unwrap();
    assert!(held.take_again().is_empty(), "nothing is missing");
    fs::remove_dir_all(root.run()).unwrap();
    fs::remove_file(root.state().join(NAME)).unwrap();
    let taken = held.take_again();
    let paths: Vec<PathBuf> = taken.iter().map(|(path, _)| path.clone()).collect();
    assert_eq!(paths, [root.run(), root.state()].map(|dir| dir.join(NAME)));
    assert!(
        taken.iter().all(|(_, outcome)| outcome.is_ok()),
        "{taken:?}"
    );
    let refused = root.take(&signals).unwrap_err();
    assert!(matches!(refused, LockError::Held { .. }), "{refused}");
}

#[test]
fn a_lock_that_another_has_taken_meanwhile_is_told() {
    let (root, (signals, _keep)) = (Root::new(), quiet());
    let mut held = root.take(&signals).unwrap();
    fs::remove_file(root.run().join(NAME)).unwrap();
    let _other = take(&root.run(), &signals, &Init::none()).unwrap();
    let taken = held.take_again();
    let error = taken[0].1.as_ref().unwrap_err().to_string();
    let own = std::process::id();
    assert!(
        error.contains(&format!("another supervisor (pid {own})")),
        "{error}"
    );
}

#[test]
fn what_is_no_file_is_refused_at_once() {
    let (root, (signals, _keep)) = (Root::new(), quiet());
    let lock = root.run().join(NAME);
    let makes: [&dyn Fn(); 2] = [&|| fs::create_dir(&lock).unwrap(), &|| {
        nix::unistd::mkfifo(&lock, nix::sys::stat::Mode::S_IRUSR).unwrap();
    }];
    for make in makes {
        make();
        let refused = root.take(&signals).unwrap_err();
        assert!(matches!(refused, LockError::Io(..)), "{refused}");
        let _ = fs::remove_dir(&lock).or_else(|_| fs::remove_file(&lock));
    }
}

#[test]
fn with_its_keeper_gone_the_lock_is_waited_for() {
    let (root, (signals, keep)) = (Root::new(), quiet());
    let held = root.take(&signals).unwrap();
    for dir in [root.run(), root.state()] {
        fs::write(dir.join(NAME), b"1 99999999999\n").unwrap();
    }
    // A byte on `signals` ends the wait; a refusal would have ended it before.
    nix::unistd::write(&keep, b"x").unwrap();
    let waited = root.take(&signals).unwrap_err();
    assert!(matches!(waited, LockError::Interrupted(_)));
    drop(held);
    root.take(&signals).unwrap();
}

/// The keeper's integration tests cover what needs a second process.
#[test]
fn an_open_lock_is_seen_also_when_it_has_been_deleted() {
    let (root, (signals, _keep)) = (Root::new(), quiet());
    let held = root.take(&signals).unwrap();
    let own = i32::try_from(std::process::id()).unwrap();
    assert!(held.are_held_by(own));
    fs::remove_dir_all(root.run()).unwrap();
    fs::remove_dir_all(root.state()).unwrap();
    assert!(held.are_held_by(own) && !held.are_held_by(1));
}
