//! Completed services: a daemon that ended with success and is not restarted, and oneshots that a
//! command or a plan runs again.

use engine::*;

use crate::common::*;

fn with_policy(policy: Policy) -> Spec {
    let success = ExitSet {
        codes: [130].into(),
        signals: [TERM].into(),
    };
    Spec {
        restart: Restart {
            policy,
            success,
            ..daemon().restart
        },
        ..daemon()
    }
}

#[test]
fn a_daemon_that_ends_with_success_and_is_not_restarted_is_completed() {
    let ends = [Exit::Code(0), Exit::Code(130), Exit::Signal(TERM)];
    for policy in [Policy::OnFailure, Policy::Never] {
        for exit in ends {
            let mut rig = Rig::up(&[with_policy(policy), requiring(&[0])]);
            rig.exit(0, exit);
            assert_eq!(rig.name(0), "completed", "{policy:?} {exit:?}");
            assert_eq!(rig.settled(0), Settled::Completed);
            assert_eq!(rig.name(1), "running", "an end is no stop");
            rig.restart(1);
            rig.calm(Mood::Obedient);
            assert_eq!(rig.name(1), "running", "what it requires is completed");
            assert_eq!(rig.name(0), "completed", "and is left alone");
        }
        let mut rig = Rig::up(&[with_policy(policy)]);
        rig.exit(0, Exit::Code(1));
        let failed = matches!(rig.state(0), State::Failed { .. });
        assert_eq!(failed, policy == Policy::Never);
    }
    let mut rig = Rig::up(&[with_policy(Policy::Always)]);
    rig.exit(0, Exit::Code(0));
    assert_eq!(rig.name(0), "spawning");
}

#[test]
fn a_completed_daemon_runs_again_when_it_is_named_or_changed_and_not_with_what_it_requires() {
    let p = Spec {
        requires: set(&[0]),
        ..with_policy(Policy::OnFailure)
    };
    let mut rig = Rig::up(&[daemon(), p.clone()]);
    let completes = |rig: &mut Rig| {
        rig.calm(Mood::Obedient);
        assert_eq!(rig.name(1), "running");
        rig.exit(1, Exit::Code(0));
        assert_eq!(rig.name(1), "completed");
    };
    completes(&mut rig);
    let accepted = rig.restart(0);
    assert_eq!((accepted.dependents, accepted.reruns), (set(&[]), set(&[])));
    rig.calm(Mood::Obedient);
    assert_eq!(rig.name(1), "completed");
    assert_eq!(rig.start(1).affected, set(&[1]));
    completes(&mut rig);
    rig.restart(1);
    completes(&mut rig);
    let plan = [(daemon(), ProcessImpact::Keep), (p, ProcessImpact::Restart)];
    let plan = (0..).zip(plan);
    let plan = plan.map(|(n, (spec, impact))| (id(n), Box::new(spec), impact));
    rig.apply_plan(plan.collect()).unwrap();
    completes(&mut rig);
}

fn setup_on(ids: &[u32]) -> Spec {
    Spec {
        requires: set(ids),
        ..oneshot()
    }
}

#[test]
fn a_completed_oneshot_that_a_command_runs_again_is_named() {
    // 1 (setup) requires 0, 2 (setup) and 3 (daemon) require 1; 4 waits for its time.
    let timed = Spec {
        scheduled: true,
        ..setup_on(&[0])
    };
    let specs = [
        daemon(),
        setup_on(&[0]),
        setup_on(&[1]),
        requiring(&[1]),
        timed,
    ];
    let mut rig = Rig::up(&specs);
    let before = rig.run(3);
    let accepted = rig.restart(0);
    assert_eq!(accepted.reruns, set(&[1, 2]));
    assert_eq!(accepted.dependents, set(&[3]));
    assert_eq!(rig.settled(1), Settled::No);
    rig.calm(Mood::Obedient);
    let runs = rig.engine.view(id(1)).unwrap();
    assert_eq!((rig.name(1), runs.last_exit.is_some()), ("completed", true));
    assert_ne!(rig.run(3), before);
    let accepted = rig.stop(0);
    assert_eq!(accepted.reruns, set(&[1, 2]));
    assert_eq!(accepted.dependents, set(&[3]));
    rig.calm(Mood::Obedient);
    assert_eq!(rig.name(1), "waiting");
    assert_eq!(rig.stop(0).reruns, set(&[]), "it waits already");
    assert_eq!(rig.start(0).reruns, set(&[]));
}

#[test]
fn a_completed_oneshot_that_a_plan_runs_again_is_named() {
    let specs = [daemon(), setup_on(&[0])];
    let mut rig = Rig::up(&specs);
    let plan = (0..)
        .zip(specs)
        .zip([ProcessImpact::Restart, ProcessImpact::Keep]);
    let plan = plan.map(|((n, spec), impact)| (id(n), Box::new(spec), impact));
    let accepted = rig.apply_plan(plan.collect()).unwrap();
    assert_eq!(accepted.reruns, set(&[1]));
    rig.calm(Mood::Obedient);
    assert_eq!(rig.name(1), "completed");
}

#[test]
fn a_completed_oneshot_does_not_run_again_when_what_it_requires_was_down_anyway() {
    let never = Spec {
        restart: Restart {
            policy: Policy::Never,
            ..daemon().restart
        },
        ..daemon()
    };
    let mut rig = Rig::up(&[never, setup_on(&[0])]);
    rig.exit(0, Exit::Code(1));
    assert_eq!((rig.name(0), rig.name(1)), ("failed", "completed"));
    assert_eq!(rig.restart(0).reruns, set(&[]));
    rig.calm(Mood::Obedient);
    assert_eq!((rig.name(0), rig.name(1)), ("running", "completed"));
}
