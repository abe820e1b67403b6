//! A failed liveness probe ends a run; a failed health probe only changes the shown state. Each run
//! counts from zero.

use engine::*;

use crate::common::*;

fn answer(rig: &mut Rig, probe: ProbeKind, answers: &[bool]) {
    for ok in answers {
        rig.pass(10);
        rig.probed(0, probe, *ok);
    }
}

/// peers' behaviour 36
#[test]
fn liveness_below_its_threshold_does_nothing_and_at_it_restarts() {
    let mut rig = Rig::up(&[live()]);
    answer(
        &mut rig,
        ProbeKind::Liveness,
        &[false, false, true, false, false],
    );
    assert_eq!(rig.name(0), "running");
    answer(&mut rig, ProbeKind::Liveness, &[false]);
    assert!(matches!(
        rig.state(0),
        State::Stopping {
            cause: StopCause::Liveness,
            ..
        }
    ));
    assert_eq!(signals(&rig), [TERM]);
    rig.exit(0, Exit::Code(0));
    assert_eq!(rig.name(0), "spawning");
    assert_eq!(rig.engine.view(id(0)).unwrap().restarts, 1);
}

#[test]
fn liveness_restarts_also_when_the_policy_is_on_failure_and_it_ends_well() {
    let restart = policy(Policy::OnFailure).restart;
    let mut rig = Rig::up(&[Spec { restart, ..live() }]);
    answer(&mut rig, ProbeKind::Liveness, &[false; 3]);
    rig.exit(0, Exit::Code(0));
    assert_eq!(rig.name(0), "spawning");
}

/// The probe's earlier answer would hide why the run ended.
#[test]
fn the_reason_of_a_death_while_starting_is_the_exit() {
    let mut rig = Rig::with(&[Spec {
        ready: Ready::Probe(probe(1)),
        ..daemon()
    }]);
    for _ in 0..2 {
        rig.spawned(0);
        rig.pass(10);
        rig.probed(0, ProbeKind::Ready, false);
        assert_eq!(rig.engine.view(id(0)).unwrap().detail.what, "no");
        rig.exit(0, Exit::Code(1));
    }
    assert_eq!(rig.name(0), "backoff");
    assert_eq!(rig.engine.view(id(0)).unwrap().detail.what, "");
}

#[test]
fn health_is_shown_and_restarts_nothing() {
    let mut rig = Rig::up(&[live()]);
    let healthy = |rig: &Rig| rig.engine.view(id(0)).unwrap().healthy;
    answer(&mut rig, ProbeKind::Health, &[true, false]);
    assert_eq!(healthy(&rig), Some(true));
    answer(&mut rig, ProbeKind::Health, &[false, false]);
    assert_eq!((healthy(&rig), rig.name(0)), (Some(false), "running"));
    let unhealthy = |rig: &Rig| rig.engine.view(id(0)).unwrap().unhealthy;
    assert_eq!(unhealthy(&rig), Some(Unhealthy::Probe("no".to_owned())));
    answer(&mut rig, ProbeKind::Health, &[true]);
    assert_eq!(unhealthy(&rig), None);
}

/// peers' behaviour 37
#[test]
fn probe_answer_during_backoff_does_not_restart_twice() {
    let mut rig = Rig::up(&[live()]);
    rig.exit(0, Exit::Code(1));
    rig.calm(Mood::Obedient);
    rig.pass(10);
    let run = rig.run(0);
    rig.exit(0, Exit::Code(1));
    let before = rig.engine.view(id(0));
    assert_eq!(rig.name(0), "backoff");
    let probe = ProbeKind::Liveness;
    for _ in 0..3 {
        let fact = Fact::Probed {
            run,
            probe,
            ok: false,
            detail: "late".into(),
        };
        rig.send(Event::Fact(fact)).unwrap();
    }
    assert_eq!(rig.engine.view(id(0)), before);
}

/// peers' behaviour 38
#[test]
fn probe_counts_are_zero_after_a_restart() {
    let mut rig = Rig::up(&[live()]);
    answer(&mut rig, ProbeKind::Liveness, &[false, false]);
    rig.restart(0);
    rig.calm(Mood::Obedient);
    answer(&mut rig, ProbeKind::Liveness, &[false, false]);
    assert_eq!(rig.name(0), "running");
}

#[test]
fn liveness_and_health_probes_start_after_ready() {
    let mut rig = Rig::with(&[Spec {
        ready: Ready::Notify,
        ..live()
    }]);
    rig.spawned(0);
    rig.pass(50);
    assert!(rig.probes.is_empty());
    rig.ready(0);
    rig.pass(0);
    assert_eq!(rig.probes.len(), 2);
}
