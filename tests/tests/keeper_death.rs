//! The keeper dies, alone or with the control process: no service ever runs twice.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use mattervisor_tests::{
    Site, StatusExt, Tracer, alive, children, eventually, kill, run, stamps, within,
};
use nix::sys::signal::Signal;

/// When the keeper is killed, control stops everything, and the next start has no second copy.
#[test]
fn kill_9_of_the_keeper_stops_all_and_the_next_start_has_no_second_copy() {
    let mut site = Site::new();
    let file = site.file("stamps");
    site.child("a", &[&format!("file={file}"), "trap-term=0", "sleep"], "");
    site.child("b", &["setsid-child", "sleep"], "requires = ['a']");
    site.start_ready();
    let (a, control) = (site.status().pid("a"), site.control_pid());
    site.signal(Signal::SIGKILL);
    assert_eq!(site.wait_end(Duration::from_secs(5)), 137);
    eventually("control ends too", || (!alive(control)).then_some(()));
    eventually("nothing is left", || {
        site.leftovers().is_empty().then_some(())
    });
    assert!(!alive(a));
    site.start_ready();
    let status = site.status();
    assert!(status.ready("a") && status.ready("b"));
    assert_eq!(stamps(file.as_ref()).len(), 2);
    // The control process has read the rest of the output and marked the gap; the next keeper does
    // not mark it again.
    assert_eq!(gaps(&site, "a"), 1);
}

/// The number of marks for missing lines in the log of a service, once there is one.
fn gaps(site: &Site, service: &str) -> usize {
    let mark = |line: &&String| line.contains("the keeper has died; lines may be missing here");
    eventually("the gap is marked", || {
        let log = site.log(service);
        let marks = log.iter().filter(mark).count();
        (marks > 0).then_some(marks)
    })
}

/// When both are killed, the next start marks the gap in the log, also of a service that has ended
/// meanwhile.
#[test]
fn both_killed_the_gap_is_marked_also_for_what_has_ended_meanwhile() {
    let mut site = Site::new();
    site.child("a", &["print=begun", "sleep"], "");
    site.start_ready();
    site.wait_log("a", |line| line == "begun");
    let (a, control) = (site.status().pid("a"), site.control_pid());
    kill(control, Signal::SIGSTOP);
    site.signal(Signal::SIGKILL);
    site.wait_end(Duration::from_secs(5));
    kill(control, Signal::SIGKILL);
    kill(a, Signal::SIGKILL);
    eventually("both are gone", || {
        (!alive(control) && !alive(a)).then_some(())
    });
    site.start_ready();
    assert_eq!(gaps(&site, "a"), 1);
    // The next start, after an orderly stop, marks nothing.
    assert_eq!(site.stop(), 0);
    site.start_ready();
    site.ctl(&["restart", "a"]).ok();
    assert_eq!(gaps(&site, "a"), 1);
}

/// When both are killed, the next start stops what is left before it starts anything.
#[test]
fn both_killed_leftovers_are_stopped_before_anything_starts() {
    let mut site = Site::new();
    let (file, left) = (site.file("stamps"), site.file("left"));
    let verbs = [
        format!("file={file}"),
        format!("setsid-child={left}"),
        "print=left".to_owned(),
        "sleep".to_owned(),
    ];
    let verbs: Vec<&str> = verbs.iter().map(String::as_str).collect();
    site.child("a", &verbs, "");
    site.start_ready();
    site.wait_log("a", |line| line == "left");
    let (a, control) = (site.status().pid("a"), site.control_pid());
    kill(control, Signal::SIGSTOP);
    site.signal(Signal::SIGKILL);
    site.wait_end(Duration::from_secs(5));
    kill(control, Signal::SIGKILL);
    eventually("control is gone", || (!alive(control)).then_some(()));
    assert!(alive(a), "the service has outlived both");
    let old: BTreeSet<i32> = site.processes().into_iter().collect();
    site.start_ready();
    let status = site.status();
    assert_ne!(status.pid("a"), a);
    for pid in old {
        assert!(!alive(pid), "{pid} of the first life still lives");
    }
    assert_eq!(stamps(file.as_ref()).len(), 2);
    assert_eq!(gaps(&site, "a"), 1);
}

/// A second supervisor on the same root is refused at once, with the pid of the first.
#[test]
fn a_second_supervisor_on_the_same_root_is_refused() {
    let mut site = Site::new();
    site.child("a", &["sleep"], "");
    site.start_ready();
    let pid = site.status().pid("a");
    let started = Instant::now();
    let second = run(&mut site.supervisor());
    assert_ne!(second.code, 0);
    assert!(started.elapsed() < Duration::from_secs(5));
    let said = second.both();
    assert!(
        said.contains(&site.keeper_pid().to_string()),
        "it does not name the other: {said}"
    );
    assert_eq!(site.status().pid("a"), pid);
}

/// A daemon that has left the session, log pipe and parent of its service is found by the cookie in
/// its environment, and by its cgroup where it has one.
#[test]
fn kill_9_of_the_keeper_leaves_no_daemon_of_a_service() {
    for cgroups in [true, false] {
        let mut site = Site::new();
        if !cgroups {
            site.env("MATTERVISOR_NO_CGROUP", "1");
        }
        let left = site.file("left");
        let daemon = format!("double-fork={left}");
        site.child("a", &[&daemon, "print=left", "sleep"], "");
        site.start_ready();
        site.wait_log("a", |line| line == "left");
        let daemon: i32 = mattervisor_tests::lines(left.as_ref())[0].parse().unwrap();
        let control = site.control_pid();
        site.signal(Signal::SIGKILL);
        site.wait_end(Duration::from_secs(5));
        eventually("control ends", || (!alive(control)).then_some(()));
        assert!(!alive(daemon), "{daemon} lives, with cgroups: {cgroups}");
    }
}

/// A service that is to be down counts as failed while one of its processes from an earlier
/// supervisor lives, and as stopped once that process is gone.
#[test]
fn a_stopped_service_is_stopped_once_what_an_earlier_daemon_left_is_gone() {
    let mut site = Site::new();
    site.child("a", &["sleep"], "[stop]\ntimeout = '100ms'");
    site.start_ready();
    let (a, control) = (site.status().pid("a"), site.control_pid());
    let tracer = Tracer::hold(a);
    kill(control, Signal::SIGSTOP);
    site.signal(Signal::SIGKILL);
    site.wait_end(Duration::from_secs(5));
    kill(control, Signal::SIGKILL);
    eventually("control is gone", || (!alive(control)).then_some(()));
    site.start();
    site.wait_state("a", "failed");
    let _ = site.ctl(&["stop", "a"]);
    let status = site.wait_state("a", "failed");
    let reason = status.service("a").reason.clone().unwrap_or_default();
    assert!(reason.contains(&format!("pid {a}")), "{reason}");
    drop(tracer);
    site.wait_state("a", "stopped");
}

/// During a `ctl reexec` two control processes lose the same keeper. One alone may act for it,
/// since both would read the same log pipes.
#[test]
fn one_control_process_alone_acts_for_a_keeper_that_dies_during_a_reexec() {
    let mut site = Site::new();
    site.child("a", &["print=begun", "sleep"], "");
    site.start_ready();
    let (keeper, a) = (site.keeper_pid(), site.status().pid("a"));
    let controls = || -> Vec<i32> {
        let mut children = children(keeper);
        children.retain(|pid| *pid != a && alive(*pid));
        children
    };
    let threads = |pid: &i32| {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task"));
        tasks.map_or(0, Iterator::count)
    };
    let killed = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !killed.load(Ordering::Relaxed) {
                site.ctl(&["reexec"]);
            }
        });
        // The keeper is stopped, so that it ends neither control process. A control process with
        // more than one thread has received its state and serves clients.
        let both = eventually("there are two at work", || {
            if controls().len() < 2 {
                return None;
            }
            kill(keeper, Signal::SIGSTOP);
            let both = controls();
            let at_work = || both.iter().all(|pid| threads(pid) > 1).then_some(());
            if both.len() == 2 && within(Duration::from_millis(200), at_work).is_some() {
                return Some(both);
            }
            kill(keeper, Signal::SIGCONT);
            None
        });
        killed.store(true, Ordering::Relaxed);
        kill(keeper, Signal::SIGKILL);
        eventually("both have ended", || {
            both.iter().all(|pid| !alive(*pid)).then_some(())
        });
    });
    assert!(!alive(a));
    assert_eq!(gaps(&site, "a"), 1, "{}", site.supervisor_log());
}
