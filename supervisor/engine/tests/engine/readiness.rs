//! From exec to ready: accepted notifications, timeouts, and extensions of them.

use engine::*;

use crate::common::*;

/// peers' behaviour 14
#[test]
fn exit_before_readiness_is_a_failed_start_and_dependents_wait_or_start_by_kind() {
    let soft = Spec {
        wants: set(&[0]),
        ..daemon()
    };
    let first = Spec {
        restart: policy(Policy::Never).restart,
        ..notify()
    };
    let mut rig = Rig::with(&[first, requiring(&[0]), soft]);
    rig.spawned(0);
    rig.exit(0, Exit::Code(1));
    assert_eq!(rig.name(0), "failed");
    assert_eq!(rig.state(1), State::Waiting { on: set(&[0]) });
    assert_eq!(rig.settled(1), Settled::WaitingOn(id(0)));
    assert_eq!(rig.name(2), "spawning");
}

/// peers' behaviours 15 and 22
#[test]
fn ready_timeout_stops_the_run_and_says_so() {
    let spec = Spec {
        restart: policy(Policy::Never).restart,
        ..notify()
    };
    let mut rig = Rig::with(&[spec]);
    rig.spawned(0);
    rig.pass(100);
    assert!(matches!(
        rig.state(0),
        State::Stopping {
            cause: StopCause::ReadyTimeout,
            ..
        }
    ));
    rig.pass(STOP_MS);
    assert!(rig.last.iter().any(|it| matches!(it, Effect::Kill { .. })));
    rig.calm(Mood::Obedient);
    assert_eq!(
        rig.state(0),
        State::Failed {
            reason: Failure::ReadyTimeout
        }
    );
}

/// peers' behaviour 16
#[test]
fn ready_timeout_of_a_soft_dependency_does_not_fail_its_dependent() {
    let mut rig = Rig::with(&[
        notify(),
        Spec {
            wants: set(&[0]),
            ..daemon()
        },
    ]);
    rig.calm(Mood::NeverReady);
    assert_eq!(rig.name(1), "waiting");
    for _ in 0..3 {
        rig.pass(100);
        rig.calm(Mood::NeverReady);
    }
    assert_eq!(rig.name(1), "running");
}

#[test]
fn ready_timeout_counts_as_an_early_death() {
    let mut rig = Rig::with(&[notify()]);
    rig.spawned(0);
    rig.pass(100);
    rig.exit(0, Exit::Signal(TERM));
    assert_eq!(rig.name(0), "spawning", "the first starts at once");
    rig.spawned(0);
    rig.pass(100);
    rig.exit(0, Exit::Signal(TERM));
    assert_eq!(backoff_pause(&rig), Some(10));
}

#[test]
fn ready_said_by_a_run_that_was_not_asked_to_is_not_believed() {
    let mut rig = Rig::with(&[Spec {
        ready: Ready::Probe(probe(3)),
        ..daemon()
    }]);
    rig.spawned(0);
    rig.ready(0);
    assert_eq!(rig.name(0), "starting");
}

#[test]
fn ready_before_spawned_is_not_lost() {
    let mut rig = Rig::with(&[notify()]);
    rig.ready(0);
    assert_eq!(rig.name(0), "running");
    rig.spawned(0);
    assert_eq!(rig.name(0), "running");
}

#[test]
fn ready_probe_failures_never_end_a_run_and_its_first_success_is_ready() {
    let ready = Ready::Probe(ProbeSpec {
        delay_ms: 5,
        ..probe(1)
    });
    let mut rig = Rig::with(&[Spec {
        ready,
        ready_timeout_ms: None,
        ..daemon()
    }]);
    rig.spawned(0);
    assert!(rig.probes.is_empty(), "its delay is not over");
    rig.pass(5);
    for _ in 0..50 {
        rig.probed(0, ProbeKind::Ready, false);
        rig.pass(10);
    }
    assert_eq!(rig.name(0), "starting");
    assert_eq!(rig.engine.view(id(0)).unwrap().detail.what, "no");
    rig.probed(0, ProbeKind::Ready, true);
    assert_eq!(rig.name(0), "running");
}

#[test]
fn one_that_gives_up_its_descriptor_for_readiness_has_failed_to_start() {
    let mut rig = Rig::with(&[Spec {
        ready: Ready::ReadySignal,
        ..daemon()
    }]);
    rig.spawned(0);
    let run = rig.run(0);
    rig.fact(Fact::Notified {
        run,
        what: Notification::ReadyClosed,
    });
    assert_eq!(rig.name(0), "stopping");
    rig.exit(0, Exit::Signal(15));
    let view = rig.engine.view(id(0)).unwrap();
    assert!(view.detail.what.contains("closed"), "{view:?}");
    // The same notification of a service that is ready by exec has no effect.
    let mut rig = Rig::up(&[daemon()]);
    let run = rig.run(0);
    rig.fact(Fact::Notified {
        run,
        what: Notification::ReadyClosed,
    });
    assert_eq!(rig.name(0), "running");
}

/// peers' behaviour 20
#[test]
fn extend_prolongs_start_reload_and_stop() {
    let spec = Spec {
        reload: Some(hup()),
        ..notify()
    };
    let mut rig = Rig::with(&[spec]);
    rig.spawned(0);
    let run = rig.run(0);
    rig.pass(90);
    rig.fact(Fact::Notified {
        run,
        what: Notification::ExtendTimeout { ms: 500 },
    });
    rig.pass(499);
    assert_eq!(rig.name(0), "starting");
    rig.ready(0);
    rig.command(Command::Reload(set(&[0]))).unwrap();
    rig.fact(Fact::Notified {
        run,
        what: Notification::ExtendTimeout { ms: 500 },
    });
    rig.pass(499);
    assert_eq!(rig.name(0), "reloading");
    rig.pass(1);
    assert_eq!(rig.name(0), "running");
    rig.stop(0);
    rig.fact(Fact::Notified {
        run,
        what: Notification::ExtendTimeout { ms: 500 },
    });
    rig.pass(499);
    assert!(matches!(
        rig.state(0),
        State::Stopping {
            phase: StopPhase::Asked { .. },
            ..
        }
    ));
    rig.pass(1);
    assert!(matches!(
        rig.state(0),
        State::Stopping {
            phase: StopPhase::Killed { .. },
            ..
        }
    ));
}

#[test]
fn extend_never_shortens() {
    let mut rig = Rig::with(&[notify()]);
    rig.spawned(0);
    let run = rig.run(0);
    rig.fact(Fact::Notified {
        run,
        what: Notification::ExtendTimeout { ms: 1 },
    });
    rig.pass(99);
    assert_eq!(rig.name(0), "starting");
}
