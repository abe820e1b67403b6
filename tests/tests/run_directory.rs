//! The run directory or the state directory is removed or replaced under a running supervisor: it
//! stays the only one, `ctl` reaches it again, and no service is touched.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use mattervisor_tests::{Ctl, LIMIT, Site, StatusExt, alive, eventually, kill, lines, run};
use nix::sys::signal::Signal;

/// Removes a directory, also while the keeper puts things back into it.
fn remove(dir: &Path) {
    eventually(&format!("{} can be removed", dir.display()), || {
        fs::remove_dir_all(dir).ok()
    });
}

/// Starts another supervisor, which must be refused with the pid of the first one.
fn second_is_refused(site: &Site) -> Ctl {
    let second = run(&mut site.supervisor()).expect_code(1);
    let pid = format!("(pid {})", site.keeper_pid());
    let said = second.both();
    assert!(said.contains(&pid), "it does not name the other: {said}");
    second
}

/// Waits until the control socket is there again and answers.
fn answers(site: &Site) {
    eventually("ctl is answered", || {
        (site.ctl(&["status"]).code == 0).then_some(())
    });
}

#[test]
fn a_removed_run_directory_makes_no_second_supervisor_and_comes_back() {
    let mut site = Site::new();
    let file = site.file("stamps");
    site.child("a", &[&format!("file={file}"), "sleep"], "");
    site.start_ready();
    let (keeper, control) = (site.keeper_pid(), site.control_pid());
    let pid = site.status().pid("a");
    let run_dir = site.path("run/mattervisor");
    remove(&run_dir);
    second_is_refused(&site);
    answers(&site);
    second_is_refused(&site);
    let supervisor = site.status().supervisor;
    assert_eq!((supervisor.keeper_pid, supervisor.pid), (keeper, control));
    assert_eq!(site.status().pid("a"), pid, "it was not touched");
    let record = fs::read_dir(run_dir.join("runs")).unwrap().count();
    assert_eq!(record, 1, "the living run has its record again");
    let said = site.supervisor_log();
    let socket = run_dir.join("ctl.sock").display().to_string();
    let lost = format!("{socket} was removed or replaced: made again");
    assert!(said.contains(&lost), "{said}");
    let told = site.ctl(&["events", "--format", "json"]).ok().stdout;
    let mut events = told.lines().filter(|line| line.contains("made again"));
    assert!(events.any(|line| line.contains(&socket)), "{told}");

    kill(pid, Signal::SIGKILL);
    site.wait_reborn("a", pid);
    assert_eq!(lines(file.as_ref()).len(), 2, "one after the other");
    assert_eq!(site.stop(), 0);
}

/// The next start finds leftovers by rewritten run records as by the original ones.
#[test]
fn leftovers_are_found_by_records_that_were_written_again() {
    let mut site = Site::new();
    site.env("MATTERVISOR_NO_CGROUP", "1");
    site.child("a", &["sleep"], "");
    site.start_ready();
    let (pid, control) = (site.status().pid("a"), site.control_pid());
    remove(&site.path("run/mattervisor"));
    answers(&site);
    kill(control, Signal::SIGSTOP);
    site.signal(Signal::SIGKILL);
    site.wait_end(LIMIT);
    kill(control, Signal::SIGKILL);
    eventually("control is gone", || (!alive(control)).then_some(()));
    assert!(alive(pid), "the service has outlived both");
    site.start_ready();
    assert!(!alive(pid), "the next start has not found it");
}

#[test]
fn both_directories_may_go_and_a_second_supervisor_is_refused() {
    let mut site = Site::new();
    site.child("a", &["sleep"], "");
    site.start_ready();
    let pid = site.status().pid("a");
    let state = site.path("var/lib/mattervisor");
    fs::rename(&state, site.path("away")).unwrap();
    remove(&site.path("run/mattervisor"));
    answers(&site);
    eventually("the second lock is taken again", || {
        state.join("lock").exists().then_some(())
    });
    second_is_refused(&site);
    assert_eq!(site.status().pid("a"), pid);
}

/// Until the keeper notices the loss, which here takes until SIGCONT, its open files show that a
/// supervisor lives.
#[test]
fn a_supervisor_whose_locks_are_deleted_is_found_by_its_open_files() {
    let mut site = Site::new();
    site.child("a", &["sleep"], "");
    site.start_ready();
    let pid = site.status().pid("a");
    site.signal(Signal::SIGSTOP);
    remove(&site.path("run/mattervisor"));
    remove(&site.path("var/lib/mattervisor"));
    second_is_refused(&site);
    site.signal(Signal::SIGCONT);
    answers(&site);
    second_is_refused(&site);
    assert_eq!(site.status().pid("a"), pid);
}

/// A new lock file is held by no process, but the parent of the processes in our cgroups is a
/// living keeper.
#[test]
fn children_of_a_living_keeper_are_no_leftovers() {
    let mut site = Site::new();
    site.child("a", &["sleep"], "");
    site.start_ready();
    let pid = site.status().pid("a");
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    if !groups.contains("/mattervisor-") {
        mattervisor_tests::skip!("needs a unified cgroup hierarchy");
    }
    site.signal(Signal::SIGSTOP);
    remove(&site.path("run/mattervisor"));
    let lock = site.path("var/lib/mattervisor/lock");
    fs::remove_file(&lock).unwrap();
    fs::write(&lock, "").unwrap();
    second_is_refused(&site);
    assert!(alive(pid), "it was taken for a leftover");
    site.signal(Signal::SIGCONT);
    answers(&site);
    assert_eq!(site.status().pid("a"), pid);
}

/// The control process holds the renewed locks like the first ones: a new supervisor waits while it
/// stops what its dead keeper has left.
#[test]
fn the_control_process_holds_the_locks_that_were_taken_again() {
    let mut site = Site::new();
    let file = site.file("stamps");
    site.child("a", &[&format!("file={file}"), "sleep"], "");
    site.start_ready();
    let (pid, control) = (site.status().pid("a"), site.control_pid());
    remove(&site.path("var/lib/mattervisor"));
    remove(&site.path("run/mattervisor"));
    answers(&site);
    eventually("the second lock is taken again", || {
        let lock = site.path("var/lib/mattervisor/lock");
        lock.exists().then_some(())
    });
    // The control process has received the locks before it answers this.
    site.ctl(&["status"]).ok();
    kill(control, Signal::SIGSTOP);
    site.signal(Signal::SIGKILL);
    site.wait_end(LIMIT);
    let mut second = site.spawn_supervisor();
    eventually("the second one waits", || {
        let log = site.supervisor_log();
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
    let mut site = Site::new();
    site.child("a", &["sleep"], "");
    site.start_ready();
    site.signal(Signal::SIGSTOP);
    let keeper = format!("(pid {}) runs", site.keeper_pid());
    let socket = site.path("run/mattervisor/ctl.sock");
    let removals: [&dyn Fn(); 2] = [&|| fs::remove_file(&socket).unwrap(), &|| {
        remove(&site.path("run/mattervisor"));
    }];
    for removal in removals {
        removal();
        let told = site.ctl(&["restart", "a"]).expect_code(5);
        assert!(told.stderr.contains(&keeper), "{}", told.stderr);
        assert!(told.stderr.contains("try again"), "{}", told.stderr);
        assert!(
            !told.stderr.contains("start mattervisor"),
            "{}",
            told.stderr
        );
    }
    site.signal(Signal::SIGCONT);
    // ctl waits for the socket that the keeper is about to make.
    site.ctl(&["restart", "a"]).ok();
    assert_eq!(site.stop(), 0);
    let told = site.ctl(&["status"]).expect_code(5);
    assert!(told.stderr.contains("systemctl start"), "{}", told.stderr);
}

/// A control socket that is removed or replaced is made again, also if the control process dies
/// with it.
#[test]
fn a_control_socket_that_is_replaced_or_removed_is_made_again() {
    let mut site = Site::new();
    site.child("a", &["sleep"], "");
    site.start_ready();
    let socket = site.path("run/mattervisor/ctl.sock");
    let replace = || {
        fs::write(site.path("other"), "").unwrap();
        fs::rename(site.path("other"), &socket).unwrap();
    };
    let kill_and_remove = || {
        kill(site.control_pid(), Signal::SIGKILL);
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
        answers(&site);
        site.ctl(&["restart", "a"]).ok();
    }
}
