//! From the wish to start to exec: the validator, the spawn and its failures, and run numbers.

use engine::*;

use crate::common::*;

#[test]
fn start_without_ready_is_running_once_exec_has_succeeded() {
    let mut rig = Rig::with(&[daemon()]);
    assert_eq!(rig.name(0), "spawning");
    rig.spawned(0);
    assert_eq!(rig.name(0), "running");
    assert_eq!(rig.settled(0), Settled::Ready);
}

/// The control process asks this before a start whose preparation took a while.
#[test]
fn a_validator_is_wanted_until_its_start_is_taken_back() {
    let mut rig = Rig::with(&[Spec {
        validated: true,
        ..daemon()
    }]);
    let validator = *rig.procs.keys().next().unwrap();
    assert!(rig.engine.is_wanted(validator));
    rig.stop(0);
    assert!(!rig.engine.is_wanted(validator));
}

#[test]
fn validator_refusal_on_start_is_tried_again_and_a_fixed_file_is_taken() {
    let mut rig = Rig::with(&[Spec {
        validated: true,
        ..daemon()
    }]);
    let run = *rig.procs.first_key_value().unwrap().0;
    rig.fact(Fact::Validated {
        run,
        verdict: refused(),
    });
    assert_eq!(backoff_pause(&rig), Some(10));
    assert!(
        rig.engine
            .view(id(0))
            .unwrap()
            .detail
            .what
            .contains("validator")
    );
    rig.pass(10);
    rig.calm(Mood::Obedient);
    assert_eq!(rig.name(0), "running");
}

/// peers' behaviour 12
#[test]
fn spawn_failure_that_cannot_pass_is_failed_with_stage_and_errno() {
    let mut rig = Rig::with(&[daemon()]);
    let run = rig.run(0);
    let reason = "exec: no such file or directory (ENOENT)";
    rig.fact(Fact::SpawnFailed {
        run,
        transient: false,
        reason: reason.into(),
    });
    assert_eq!(
        rig.state(0),
        State::Failed {
            reason: Failure::Spawn(reason.into())
        }
    );
    let view = rig.engine.view(id(0)).unwrap();
    assert_eq!((view.detail.what.as_str(), view.last_exit), (reason, None));
}

#[test]
fn spawn_failure_that_can_pass_is_tried_again_whatever_the_policy() {
    let mut rig = Rig::with(&[policy(Policy::Never)]);
    for pause in [10, 10, 20, 40] {
        let run = rig.run(0);
        rig.fact(Fact::SpawnFailed {
            run,
            transient: true,
            reason: "fork: EAGAIN".into(),
        });
        assert_eq!(backoff_pause(&rig), Some(pause));
        rig.pass(pause);
    }
    rig.calm(Mood::Obedient);
    assert_eq!(rig.name(0), "running");
    assert_eq!(rig.engine.view(id(0)).unwrap().detail.what, "");
}

/// peers' behaviour 13
#[test]
fn exit_before_exec_status_is_handled_once() {
    let mut rig = Rig::with(&[policy(Policy::Never)]);
    let run = rig.run(0);
    rig.fact(Fact::Exited {
        run,
        exit: Exit::Code(3),
    });
    rig.send(Event::Fact(Fact::Spawned { run })).unwrap();
    rig.fact(Fact::Swept { run, left: 0 });
    assert_eq!(
        rig.state(0),
        State::Failed {
            reason: Failure::Exited(Exit::Code(3))
        }
    );
    let before = rig.engine.view(id(0));
    rig.send(Event::Fact(Fact::Spawned { run })).unwrap();
    assert_eq!(rig.engine.view(id(0)), before);
}

#[test]
fn facts_about_a_run_that_is_over_are_dropped() {
    let mut rig = Rig::up(&[live()]);
    let run = rig.run(0);
    rig.restart(0);
    rig.calm(Mood::Obedient);
    let before = rig.engine.record(id(0));
    for fact in [
        Fact::Exited {
            run,
            exit: Exit::Code(0),
        },
        Fact::Swept { run, left: 1 },
        Fact::Notified {
            run,
            what: Notification::Ready,
        },
        Fact::SpawnFailed {
            run,
            transient: false,
            reason: Detail::NONE,
        },
        Fact::Validated {
            run,
            verdict: refused(),
        },
        Fact::Notified {
            run,
            what: Notification::ExtendTimeout { ms: 9 },
        },
        Fact::Reloaded {
            run,
            outcome: refused(),
        },
    ] {
        rig.send(Event::Fact(fact)).unwrap();
        assert!(rig.last.is_empty());
    }
    assert_eq!(rig.engine.record(id(0)), before);
}

#[test]
fn run_numbers_are_shared_and_never_used_twice() {
    let mut rig = Rig::up(&[daemon()]);
    let run = rig.run(0);
    let other = rig.engine.allocate_run();
    rig.restart(0);
    rig.calm(Mood::Obedient);
    assert!(run < other && other < rig.run(0));
    assert_eq!(rig.engine.service_of(run), None);
    assert_eq!(rig.engine.service_of(rig.run(0)), Some(id(0)));
}
