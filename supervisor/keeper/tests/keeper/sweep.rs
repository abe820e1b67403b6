//! Nothing of a run outlives the run, with and without cgroups.

use std::{path::PathBuf, sync::mpsc};

use keeper::message::{Exit, Fact, Kept, Notice, Request, SpawnStage};
use nix::libc;

use crate::{
    Test,
    daemon::Daemon,
    process::{cgroup_of, gone, is_root, kill},
};

pub(crate) const TESTS: &[Test] = &[
    ("a_sweep_takes_the_same_group", || {
        both("sleep 300 & echo $! > pid");
    }),
    ("a_sweep_takes_the_same_session", || {
        both("set -m; sleep 300 & echo $! > pid");
    }),
    ("a_sweep_takes_a_session_of_its_own", || {
        both(
            "setsid sh -c 'echo $$ > pid; exec sleep 300' & while [ ! -s pid ]; do sleep 0.01; done",
        );
    }),
    ("a_sweep_takes_a_double_fork", || {
        both(
            "(setsid sh -c 'echo $$ > pid; exec sleep 300' &) & wait; \
             while [ ! -s pid ]; do sleep 0.01; done",
        );
    }),
    ("a_sweep_takes_what_descends_from_a_daemon", || {
        both(
            "(setsid sh -c '(sh -c \"echo \\$\\$ > pid; exec sleep 300\" >/dev/null 2>&1); :' &) & \
             wait; while [ ! -s pid ]; do sleep 0.01; done",
        );
    }),
    ("a_living_run_is_swept_on_request", on_request),
    ("a_sweep_leaves_others_alone", others),
    ("a_daemon_without_a_trace_is_swept", traceless),
    ("what_has_left_its_cgroup_is_swept", left_its_cgroup),
    ("what_belongs_to_nobody_is_named", stray),
    ("a_control_process_on_its_way_out_is_no_stray", retired),
    (
        "a_main_process_that_sigkill_does_not_end_is_named",
        immortal,
    ),
    ("a_keeper_alone_ends_over_what_will_not_go", immortal_alone),
];

fn both(script: &str) {
    for cgroups in [true, false] {
        let mut daemon = Daemon::start_in(tempfile::tempdir().unwrap(), cgroups);
        daemon.main(1, "web", script);
        assert_eq!(daemon.exited(1).0, Exit::Code(0));
        assert!(daemon.swept(1).is_empty());
        let pid = daemon.pid_of("pid");
        assert!(gone(pid), "{pid} lives, cgroups: {cgroups}");
        // Killed leftovers do not count against the next run.
        daemon.main(2, "web", "exit 5");
        assert_eq!(daemon.exited(2).0, Exit::Code(5), "cgroups: {cgroups}");
    }
}

fn on_request() {
    for cgroups in [true, false] {
        let mut daemon = Daemon::start_in(tempfile::tempdir().unwrap(), cgroups);
        // The process has no trace of its run, but was seen as a descendant while the run lived.
        let script = "trap '' TERM; setsid sleep 300 >/dev/null 2>&1 & echo $! > pid; \
                      while :; do sleep 0.05; done";
        daemon.main(1, "web", script);
        let pid = daemon.pid_of("pid");
        daemon.ask(Request::Sweep { run: 1 });
        assert_eq!(daemon.exited(1).0, Exit::Signal(9));
        assert!(daemon.swept(1).is_empty());
        assert!(gone(pid), "cgroups: {cgroups}");
    }
}

fn others() {
    for cgroups in [true, false] {
        let mut daemon = Daemon::start_in(tempfile::tempdir().unwrap(), cgroups);
        let daemonized = "(setsid sleep 300 & echo $! > pid); exec sleep 300";
        let main = daemon.main(1, "db", daemonized);
        let double_fork = daemon.pid_of("pid");
        daemon.main(2, "web", "setsid sleep 300 & exit 0");
        daemon.exited(2);
        assert!(daemon.swept(2).is_empty());
        assert!(!gone(main) && !gone(double_fork), "cgroups: {cgroups}");
        daemon.ask(Request::Sweep { run: 1 });
        daemon.swept(1);
        assert!(gone(main) && gone(double_fork), "cgroups: {cgroups}");
    }
}

fn traceless() {
    let script = "(setsid sh -c 'echo $$ > pid; exec sleep 300' >/dev/null 2>&1 &) & wait; \
                  while [ ! -s pid ]; do sleep 0.01; done";
    both(script);
}

/// Root has moved a process into another cgroup: the keeper finds it by its cookie or by its
/// parent.
fn left_its_cgroup() {
    if !is_root() || Daemon::start().cgroup().is_none() {
        skip::note("needs root and cgroups");
        return;
    }
    let quiet = ">/dev/null 2>&1";
    // A daemon with only its cookie, and a child that is seen when the run is stopped.
    let daemon = format!("(setsid sh -c 'echo $$ > pid; exec sleep 300' {quiet} &) & wait");
    let child = format!("env -i setsid /bin/sleep 300 {quiet} & echo $! > pid");
    for (script, stop) in [(daemon, false), (child, true)] {
        let mut daemon = Daemon::start();
        let script = format!("{script}; while [ ! -e go ]; do sleep 0.01; done; exec sleep 300");
        let main = daemon.main(1, "web", &script);
        let pid = daemon.pid_of("pid");
        let elsewhere = Elsewhere::make(&daemon);
        elsewhere.take(pid);
        assert_ne!(cgroup_of(&pid.to_string()), cgroup_of(&main.to_string()));
        std::fs::write(daemon.dir.path().join("go"), "").unwrap();
        if stop {
            daemon.ask(Request::Sweep { run: 1 });
        } else {
            kill(main, 9);
        }
        daemon.exited(1);
        assert!(daemon.swept(1).is_empty());
        assert!(gone(pid), "{pid} lives, asked to sweep: {stop}");
    }
}

/// After a double fork, with a session of its own, no descriptors and an empty environment, the
/// process is a child of the keeper, which cannot know its run.
fn stray() {
    let mut daemon = Daemon::start_in(tempfile::tempdir().unwrap(), false);
    let script = "(setsid env -i /bin/sh -c 'echo $$ > pid; exec /bin/sleep 300' >/dev/null 2>&1 &) & wait; \
                  while [ ! -s pid ]; do sleep 0.01; done";
    daemon.main(1, "web", script);
    let pid = daemon.pid_of("pid");
    let strays = daemon.strays();
    assert_eq!(strays.len(), 1, "{strays:?}");
    assert_eq!((strays[0].pid, strays[0].command.as_str()), (pid, "sleep"));
    assert!(!gone(pid), "what cannot be attributed is not killed");
    // The next control process hears of the stray process too, and of its end.
    daemon.replace_control();
    assert_eq!(daemon.strays()[0].pid, pid);
    kill(pid, 9);
    assert!(daemon.strays().is_empty());
}

/// The old control process was killed for its successor, and its end takes a while.
fn retired() {
    let mut daemon = Daemon::start();
    daemon.ask(Request::Reexec);
    let successor = daemon.successor();
    let old = daemon.become_successor(successor);
    let hold = Tracer::hold(old.pid);
    daemon.ask(Request::TookOver);
    daemon.spawn_main(1, "web", "exit 0");
    daemon.until_notice(|notice| {
        assert!(!matches!(notice, Notice::Strays { .. }), "{notice:?}");
        matches!(notice, Notice::Fact(numbered) if matches!(numbered.fact, Fact::Swept { .. }))
    });
    assert!(!gone(old.pid));
    drop(hold);
}

/// A tracer stops the process on its way out: SIGKILL does not end the process until the tracer
/// lets it go.
fn immortal() {
    let mut daemon = Daemon::start();
    let pid = daemon.main(1, "web", "trap '' TERM; echo > set; exec sleep 300");
    daemon.line_of("set");
    let hold = Tracer::hold(pid);
    daemon.ask(Request::Sweep { run: 1 });
    let left = daemon.swept(1);
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!((left[0].pid, left[0].kept), (pid, Kept::Traced));
    // No second copy starts beside the process.
    daemon.spawn_main(2, "web", "exec sleep 300");
    assert_eq!(daemon.failed(2).0, SpawnStage::Unswept);
    // The same holds if the service left the plan meanwhile and came back.
    daemon.ask(Request::Forget {
        service: "web".into(),
    });
    daemon.spawn_main(3, "web", "exec sleep 300");
    assert_eq!(daemon.failed(3).0, SpawnStage::Unswept);
    // A later control process hears of it too.
    daemon.replace_control();
    let info = daemon.hello.runs.iter().find(|info| info.run == 1);
    assert_eq!(info.unwrap().left[0].pid, pid);
    drop(hold);
    assert_eq!(daemon.exited(1).0, Exit::Signal(9));
    assert!(daemon.swept(1).is_empty());
    daemon.main(4, "web", "exec sleep 300");
}

fn immortal_alone() {
    let mut daemon = Daemon::start();
    let pid = daemon.main(1, "web", "echo > set; exec sleep 300");
    daemon.line_of("set");
    let hold = Tracer::hold(pid);
    let begin = std::time::Instant::now();
    assert_eq!(daemon.quit(0), 0);
    assert!(begin.elapsed() < std::time::Duration::from_secs(30));
    drop(hold);
}

/// A thread that traces a process, so that the process stops when it is about to end.
struct Tracer {
    go: Option<mpsc::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Tracer {
    #[expect(unsafe_code, reason = "ptrace by hand: one call with integers")]
    fn hold(pid: i32) -> Self {
        const PTRACE_SEIZE: libc::c_uint = 0x4206;
        const PTRACE_O_TRACEEXIT: usize = 0x40;
        let (go, wait) = mpsc::channel();
        let (seized, is_seized) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            // SAFETY: the call takes no memory of ours.
            let done = unsafe { libc::ptrace(PTRACE_SEIZE as _, pid, 0, PTRACE_O_TRACEEXIT) };
            seized.send(done).unwrap();
            // The end of the tracing thread lets the process go.
            let _ = wait.recv();
        });
        assert_eq!(is_seized.recv().unwrap(), 0, "cannot trace {pid}");
        Self {
            go: Some(go),
            thread: Some(thread),
        }
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        drop(self.go.take());
        let _ = self.thread.take().unwrap().join();
    }
}

/// A cgroup outside the daemon's cgroups.
struct Elsewhere(PathBuf);

impl Elsewhere {
    fn make(daemon: &Daemon) -> Self {
        let base = daemon.cgroup().unwrap();
        let name = base.file_name().unwrap().to_string_lossy().into_owned();
        let dir = base.with_file_name(format!("{name}-elsewhere"));
        std::fs::create_dir(&dir).unwrap();
        Self(dir)
    }

    fn take(&self, pid: i32) {
        std::fs::write(self.0.join("cgroup.procs"), pid.to_string()).unwrap();
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}
