//! Somebody cleans the run directory, or puts another state directory in the place of ours, while the
//! supervisor lives: it stays the only one, is reached again, and nothing it runs is touched.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use mattervisor_tests::{Ctl, LIMIT, StatusExt, World, alive, eventually, kill, lines, run};
use nix::sys::signal::Signal;

/// Removes a directory, also while the keeper puts things back into it.
fn remove(dir: &Path) {
    eventually(&format!("{} can be removed", dir.display()), || {
        fs::remove_dir_all(dir).ok()
    });
}

/// Starts another supervisor, which has to be refused by the first one's pid.
fn second_is_refused(world: &World) -> Ctl {
    let second = run(&mut world.supervisor()).expect_code(1);
    let pid = format!("(pid {})", world.keeper_pid());
    let said = second.both();
    assert!(said.contains(&pid), "it does not name the other: {said}");
    second
}

/// The control socket is there again, and somebody answers.
fn answers(world: &World) {
    eventually("ctl is answered", || {
        (world.ctl(&["status"]).code == 0).then_some(())
    });
}

#[test]
fn a_removed_run_directory_makes_no_second_supervisor_and_comes_back() {
    let mut world = World::new();
    let file = world.file("stamps");
    world.child("a", &[&format!("file={file}"), "sleep"], "");
    world.start_ready();
    let (keeper, control) = (world.keeper_pid(), world.control_pid());
    let pid = world.status().pid("a");
    let run_dir = world.path("run/mattervisor");
    remove(&run_dir);
    second_is_refused(&world);
    answers(&world);
    second_is_refused(&world);
    let supervisor = world.status().supervisor;
    assert_eq!((supervisor.keeper_pid, supervisor.pid), (keeper, control));
    assert_eq!(world.status().pid("a"), pid, "it was not touched");
    let record = fs::read_dir(run_dir.join("runs")).unwrap().count();
    assert_eq!(record, 1, "the living run has its record again");
    let said = world.supervisor_log();
    let socket = run_dir.join("ctl.sock").display().to_string();
    let lost = format!("{socket} was removed or replaced: made again");
    assert!(said.contains(&lost), "{said}");
    let told = world.ctl(&["events", "--format", "json"]).ok().stdout;
    let mut events = told.lines().filter(|line| line.contains("made again"));
    assert!(events.any(|line| line.contains(&socket)), "{told}");

    kill(pid, Signal::SIGKILL);
    world.wait_reborn("a", pid);
    assert_eq!(lines(file.as_ref()).len(), 2, "one after the other");
    assert_eq!(world.stop(), 0);
}

/// The records that were written again are as good as those that the runs wrote.
#[test]
fn leftovers_are_found_by_records_that_were_written_again() {
    let mut world = World::new();
    world.env("MATTERVISOR_NO_CGROUP", "1");
    world.child("a", &["sleep"], "");
    world.start_ready();
    let (pid, control) = (world.status().pid("a"), world.control_pid());
    remove(&world.path("run/mattervisor"));
    answers(&world);
    kill(control, Signal::SIGSTOP);
    world.signal(Signal::SIGKILL);
    world.wait_end(LIMIT);
    kill(control, Signal::SIGKILL);
    eventually("control is gone", || (!alive(control)).then_some(()));
    assert!(alive(pid), "the service has outlived both");
    world.start_ready();
    assert!(!alive(pid), "the next start has not found it");
}

#[test]
fn both_directories_may_go_and_a_second_supervisor_is_refused() {
    let mut world = World::new();
    world.child("a", &["sleep"], "");
    world.start_ready();
    let pid = world.status().pid("a");
    let state = world.path("var/lib/mattervisor");
    fs::rename(&state, world.path("away")).unwrap();
    remove(&world.path("run/mattervisor"));
    answers(&world);
    eventually("the second lock is taken again", || {
        state.join("lock").exists().then_some(())
    });
    second_is_refused(&world);
    assert_eq!(world.status().pid("a"), pid);
}

/// In the moment before the keeper notices, here for as long as it is stopped.
#[test]
fn a_supervisor_whose_locks_are_deleted_is_found_by_its_open_files() {
    let mut world = World::new();
    world.child("a", &["sleep"], "");
    world.start_ready();
    let pid = world.status().pid("a");
    world.signal(Signal::SIGSTOP);
    remove(&world.path("run/mattervisor"));
    remove(&world.path("var/lib/mattervisor"));
    second_is_refused(&world);
    world.signal(Signal::SIGCONT);
    answers(&world);
    second_is_refused(&world);
    assert_eq!(world.status().pid("a"), pid);
}

/// With a lock file that is nobody's: what is in our cgroups has a living keeper as its parent.
#[test]
fn children_of_a_living_keeper_are_no_leftovers() {
    let mut world = World::new();
    world.child("a", &["sleep"], "");
    world.start_ready();
    let pid = world.status().pid("a");
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    if !groups.contains("/mattervisor-") {
        mattervisor_tests::skip!("needs a unified cgroup hierarchy");
    }
    world.signal(Signal::SIGSTOP);
    remove(&world.path("run/mattervisor"));
    let lock = world.path("var/lib/mattervisor/lock");
    fs::remove_file(&lock).unwrap();
    fs::write(&lock, "").unwrap();
    second_is_refused(&world);
    assert!(alive(pid), "it was taken for a leftover");
    world.signal(Signal::SIGCONT);
    answers(&world);
    assert_eq!(world.status().pid("a"), pid);
}

/// As it holds those that it was born with: while it stops what its keeper has left, a start waits.
#[test]
fn the_control_process_holds_the_locks_that_were_taken_again() {
    let mut world = World::new();
    let file = world.file("stamps");
    world.child("a", &[&format!("file={file}"), "sleep"], "");
    world.start_ready();
    let (pid, control) = (world.status().pid("a"), world.control_pid());
    remove(&world.path("var/lib/mattervisor"));
    remove(&world.path("run/mattervisor"));
    answers(&world);
    eventually("the second lock is taken again", || {
        let lock = world.path("var/lib/mattervisor/lock");
        lock.exists().then_some(())
    });
    // Whatever it has been told before this is taken in.
    world.ctl(&["status"]).ok();
    kill(control, Signal::SIGSTOP);
    world.signal(Signal::SIGKILL);
    world.wait_end(LIMIT);
    let mut second = world.spawn_supervisor();
    eventually("the second one waits", || {
        let log = world.supervisor_log();
        log.contains("waits for an earlier control process")
            .then_some(())
    });
    assert!(alive(pid), "it has touched what is not its own");
    kill(control, Signal::SIGCONT);
    eventually("the second one has started it", || {
        (lines(file.as_ref()).len() == 2).then_some(())
    });
    assert!(!alive(pid) && !alive(control));
    kill(i32::try_from(second.id()).unwrap(), Signal::SIGTERM);
    assert_eq!(second.wait().unwrap().code(), Some(0));
}

#[test]
fn ctl_says_that_the_supervisor_lives_when_its_socket_is_gone() {
    let mut world = World::new();
    world.child("a", &["sleep"], "");
    world.start_ready();
    world.signal(Signal::SIGSTOP);
    let keeper = format!("(pid {}) runs", world.keeper_pid());
    let socket = world.path("run/mattervisor/ctl.sock");
    let removals: [&dyn Fn(); 2] = [&|| fs::remove_file(&socket).unwrap(), &|| {
        remove(&world.path("run/mattervisor"));
    }];
    for removal in removals {
        removal();
        let told = world.ctl(&["restart", "a"]).expect_code(5);
        assert!(told.stderr.contains(&keeper), "{}", told.stderr);
        assert!(told.stderr.contains("try again"), "{}", told.stderr);
        assert!(
            !told.stderr.contains("start mattervisor"),
            "{}",
            told.stderr
        );
    }
    world.signal(Signal::SIGCONT);
    // It waits for the socket that the keeper is about to make.
    world.ctl(&["restart", "a"]).ok();
    assert_eq!(world.stop(), 0);
    let told = world.ctl(&["status"]).expect_code(5);
    assert!(told.stderr.contains("systemctl start"), "{}", told.stderr);
}

/// Whatever somebody has put in its place, and whoever is there to serve it.
#[test]
fn a_control_socket_that_is_replaced_or_removed_is_made_again() {
    let mut world = World::new();
    world.child("a", &["sleep"], "");
    world.start_ready();
    let socket = world.path("run/mattervisor/ctl.sock");
    let replace = || {
        fs::write(world.path("other"), "").unwrap();
        fs::rename(world.path("other"), &socket).unwrap();
    };
    let kill_and_remove = || {
        kill(world.control_pid(), Signal::SIGKILL);
        fs::remove_file(&socket).unwrap();
    };
    let ways: [&dyn Fn(); 3] = [
        &|| fs::remove_file(&socket).unwrap(),
        &replace,
        &kill_and_remove,
    ];
    for way in ways {
        let before = fs::metadata(&socket).unwrap().ino();
        way();
        eventually("there is another socket", || {
            let now = fs::metadata(&socket).ok()?;
            (now.ino() != before && now.mode() & 0o170_000 == 0o140_000).then_some(())
        });
        answers(&world);
        world.ctl(&["restart", "a"]).ok();
    }
}
