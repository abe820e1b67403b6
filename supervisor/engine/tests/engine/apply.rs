//! A new plan: the services that it keeps, replaces, adds and removes, and the plans that are
//! refused.

use engine::*;

use crate::common::*;

/// peers' behaviour 39
#[test]
fn plan_keeps_changes_adds_and_removes() {
    let old = [
        daemon(),
        daemon(),
        requiring(&[1]),
        requiring(&[0]),
        daemon(),
    ];
    let mut rig = Rig::up(&old);
    let before: Vec<_> = (0..5).map(|n| rig.run(n)).collect();
    let changed = Spec {
        stop: Stop {
            signal: 3,
            escalation: None,
            timeout_ms: 9,
        },
        ..daemon()
    };
    let accepted = rig
        .apply_plan(vec![
            (id(0), keep(daemon()), ProcessImpact::Keep),
            (id(1), keep(changed), ProcessImpact::Restart),
            (id(2), keep(requiring(&[1])), ProcessImpact::Keep),
            (id(3), keep(requiring(&[0])), ProcessImpact::Keep),
            (id(9), keep(daemon()), ProcessImpact::Keep),
        ])
        .unwrap();
    assert_eq!(
        (accepted.affected, accepted.dependents),
        (set(&[1, 4]), set(&[2]))
    );
    rig.exit(2, Exit::Code(0));
    let asked = Effect::Signal {
        service: id(1),
        run: before[1],
        signal: TERM,
        purpose: SignalPurpose::Stop,
    };
    assert!(
        rig.last.contains(&asked),
        "the old process is stopped in the old way"
    );
    rig.calm(Mood::Obedient);
    assert_eq!(rig.engine.view(id(4)), None);
    assert!(!rig.specs.contains_key(&id(4)), "forgotten");
    assert_eq!(names(&rig), ["running"; 5]);
    let same: Vec<_> = (0..4).map(|n| rig.run(n) == before[n as usize]).collect();
    assert_eq!(same, [true, false, false, true]);
    assert_eq!(
        rig.command(Command::Start(set(&[4]))),
        Err(Refusal::Unknown(id(4)))
    );
}

#[test]
fn plan_removes_dependents_before_what_they_require_and_can_take_them_back() {
    let mut rig = Rig::up(&chain());
    rig.apply_plan(vec![]).unwrap();
    assert_eq!(names(&rig), ["running", "running", "stopping"]);
    rig.apply(&chain(), ProcessImpact::Keep).unwrap();
    rig.calm(Mood::Obedient);
    assert_eq!(names(&rig), ["running"; 3]);
    rig.apply_plan(vec![]).unwrap();
    rig.calm(Mood::Obedient);
    assert!(rig.specs.is_empty() && rig.procs.is_empty());
}

/// peers' behaviour 39
#[test]
fn plan_that_a_reload_can_take_reloads_what_runs_and_restarts_what_cannot() {
    let can = Spec {
        reload: Some(hup()),
        ..daemon()
    };
    let mut rig = Rig::up(&[can.clone(), daemon()]);
    let before = [rig.run(0), rig.run(1)];
    rig.apply(&[can, daemon()], ProcessImpact::Reload).unwrap();
    let hup = Effect::Signal {
        service: id(0),
        run: before[0],
        signal: 1,
        purpose: SignalPurpose::Reload,
    };
    assert!(rig.last.contains(&hup));
    rig.calm(Mood::Obedient);
    assert_eq!(rig.run(0), before[0]);
    assert_ne!(rig.run(1), before[1]);
}

#[test]
fn plan_never_lifts_a_hold_and_retries_what_failed_and_has_changed() {
    let never = Spec {
        restart: Restart {
            policy: Policy::Never,
            ..daemon().restart
        },
        ..daemon()
    };
    let mut rig = Rig::up(&[daemon(), never.clone()]);
    rig.stop(0);
    rig.exit(0, Exit::Code(0));
    rig.exit(1, Exit::Code(1));
    rig.apply(&[daemon(), never.clone()], ProcessImpact::Keep)
        .unwrap();
    assert_eq!(names(&rig), ["stopped", "failed"]);
    rig.apply(&[daemon(), never], ProcessImpact::Restart)
        .unwrap();
    assert_eq!(names(&rig), ["stopped", "spawning"]);
}

/// peers' behaviour 40
#[test]
fn plan_with_a_loop_is_refused_with_the_loop_and_changes_nothing() {
    let mut rig = Rig::up(&chain());
    let loops = [requiring(&[2]), requiring(&[0]), requiring(&[1])];
    let refusal = rig.apply(&loops, ProcessImpact::Restart);
    assert_eq!(refusal, Err(Refusal::Cycle(vec![id(0), id(2), id(1)])));
    assert_eq!(names(&rig), ["running"; 3]);
    rig.specs = (0..).zip(chain()).map(|(n, spec)| (id(n), spec)).collect();
    rig.stop(0);
    rig.calm(Mood::Obedient);
    assert_eq!(names(&rig), ["stopped", "waiting", "waiting"]);
}
