//! Services that the search explores, with short times, so that their states are few.

use engine::*;

use super::DEP;
use crate::common::*;

pub(crate) fn quick(spec: Spec) -> Spec {
    let restart = Restart {
        delay_ms: 10,
        max_delay_ms: 20,
        reset_after_ms: 20,
        ..spec.restart
    };
    let stop = Stop {
        signal: TERM,
        escalation: spec
            .stop
            .escalation
            .map(|it| Escalation { after_ms: 10, ..it }),
        timeout_ms: 20,
    };
    let ready_timeout_ms = spec.ready_timeout_ms.map(|_| 20);
    let watchdog = spec.watchdog.map(|it| Watchdog {
        timeout_ms: 20,
        ..it
    });
    let reload = spec.reload.map(|it| Reload {
        timeout_ms: 20,
        ..it
    });
    Spec {
        reload,
        watchdog,
        restart,
        stop,
        ready_timeout_ms,
        ..spec
    }
}

pub(crate) fn subjects() -> Vec<(&'static str, Spec)> {
    let limit = Some(StartLimit {
        starts: 2,
        within_ms: 50,
    });
    let on_failure = Restart {
        policy: Policy::OnFailure,
        limit,
        ..daemon().restart
    };
    let never = Restart {
        policy: Policy::Never,
        ..daemon().restart
    };
    let mut all = special();
    all.extend([
        (
            "plain",
            quick(Spec {
                reload: Some(hup()),
                ..requiring(&[DEP])
            }),
        ),
        (
            "full",
            quick(Spec {
                ready: Ready::Notify,
                validated: true,
                reload: Some(by_command()),
                liveness: Some(probe(2)),
                ..daemon()
            }),
        ),
        (
            "probed",
            quick(Spec {
                ready: Ready::Probe(probe(2)),
                restart: on_failure,
                ..daemon()
            }),
        ),
        (
            "bound",
            quick(Spec {
                binds_to: set(&[DEP]),
                ..daemon()
            }),
        ),
        (
            "once",
            quick(Spec {
                validated: true,
                ..Spec {
                    requires: set(&[DEP]),
                    ..oneshot()
                }
            }),
        ),
        (
            "never",
            quick(Spec {
                ready: Ready::Notify,
                restart: never,
                reload: Some(hup()),
                ..daemon()
            }),
        ),
    ]);
    all
}

/// Services with a watchdog, with a schedule, and with other kinds of readiness.
pub(crate) fn special() -> Vec<(&'static str, Spec)> {
    vec![
        (
            "watched",
            quick(Spec {
                ready: Ready::ReadySignal,
                watchdog: Some(watchdog(WatchdogAction::Restart)),
                ..daemon()
            }),
        ),
        (
            "degrading",
            quick(Spec {
                ready: Ready::Delay(5),
                watchdog: Some(watchdog(WatchdogAction::Degrade)),
                reload: Some(by_command()),
                ..daemon()
            }),
        ),
        (
            "confirmed",
            quick(Spec {
                ready: Ready::Notify,
                reload: Some(confirmed(hup())),
                ..daemon()
            }),
        ),
        (
            "validated and confirmed",
            quick(Spec {
                validated: true,
                reload: Some(confirmed(by_command())),
                health: Some(probe(1)),
                ..daemon()
            }),
        ),
        (
            "asked twice",
            quick(Spec {
                stop: in_two_steps(),
                reload: Some(hup()),
                ..daemon()
            }),
        ),
        (
            "scheduled",
            quick(Spec {
                scheduled: true,
                requires: set(&[DEP]),
                ..oneshot()
            }),
        ),
        ("job", quick_job()),
    ]
}

/// A job that may lease its neighbour, and gives up after one more try.
pub(crate) fn quick_job() -> Spec {
    let mut spec = quick(job());
    spec.restart.limit = Some(StartLimit {
        starts: 1,
        within_ms: 50,
    });
    spec
}
