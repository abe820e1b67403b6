//! Nothing of a run outlives it, with and without cgroups.

use keeper::message::{Exit, Request};

use crate::{
    Test,
    daemon::{Daemon, gone},
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
];

fn both(script: &str) {
    for cgroups in [true, false] {
        let mut daemon = Daemon::start_in(tempfile::tempdir().unwrap(), cgroups);
        daemon.main(1, "web", script);
        assert_eq!(daemon.exited(1).0, Exit::Code(0));
        assert!(daemon.swept(1).is_empty());
        let pid = daemon.pid_of("pid");
        assert!(gone(pid), "{pid} lives, cgroups: {cgroups}");
        // What was killed is not held against the next run.
        daemon.main(2, "web", "exit 5");
        assert_eq!(daemon.exited(2).0, Exit::Code(5), "cgroups: {cgroups}");
    }
}

fn on_request() {
    for cgroups in [true, false] {
        let mut daemon = Daemon::start_in(tempfile::tempdir().unwrap(), cgroups);
        // Without a trace, but seen to descend from the run while that lives.
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
