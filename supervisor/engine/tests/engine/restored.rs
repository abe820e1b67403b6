//! A new control process restarts nothing, repeats what its predecessor may not have said, and
//! keeps holds.

use engine::*;

use crate::common::*;

#[test]
fn rebirth_restarts_nothing_and_hears_what_it_missed() {
    let live = Spec {
        liveness: Some(probe(2)),
        ..daemon()
    };
    let mut old = Rig::up(&[live, requiring(&[0]), daemon(), oneshot()]);
    old.stop(2);
    old.calm(Mood::Obedient);
    old.pass(10);
    assert_eq!(old.probes.len(), 1, "one is under way");
    let mut new = old.reborn();
    let specs: Vec<_> = old.specs.values().cloned().collect();
    new.apply(&specs, ProcessImpact::Keep).unwrap();
    assert!(
        !new.last
            .iter()
            .any(|it| matches!(it, Effect::Spawn { .. } | Effect::Signal { .. }))
    );
    assert_eq!(names(&new), ["running", "running", "stopped", "completed"]);
    assert_eq!(new.run(0), old.run(0));
    new.pass(0);
    assert_eq!(new.probes.len(), 1, "it is asked again");
    new.spawned(0);
    assert_eq!(new.name(0), "running");
    assert!(new.engine.allocate_run() > old.run(0).max(old.run(1)));
    let run = new.run(1);
    new.fact(Fact::SpawnFailed {
        run,
        transient: true,
        reason: "the keeper has no such run".into(),
    });
    assert_eq!(new.name(1), "spawning");
    new.calm(Mood::Obedient);
    new.exit(0, Exit::Signal(9));
    assert_eq!(names(&new), ["spawning", "running", "stopped", "completed"]);
}

#[test]
fn rebirth_in_a_stop_says_the_stop_again() {
    let mut old = Rig::up(&[daemon()]);
    old.stop(0);
    let mut new = old.reborn();
    new.apply(&[daemon()], ProcessImpact::Keep).unwrap();
    assert!(matches!(
        new.last[..],
        [
            _,
            Effect::Signal {
                signal: TERM,
                purpose: SignalPurpose::Stop,
                ..
            }
        ]
    ));
    new.calm(Mood::Obedient);
    assert_eq!(new.name(0), "stopped");
}

#[test]
fn rebirth_without_a_service_in_the_plan_stops_and_forgets_it() {
    let spec = Spec {
        stop: Stop {
            signal: 3,
            escalation: None,
            timeout_ms: 7,
        },
        ..daemon()
    };
    let old = Rig::up(&[spec]);
    let mut new = old.reborn();
    new.apply_plan(vec![]).unwrap();
    assert!(new.last.contains(&Effect::Signal {
        service: id(0),
        run: old.run(0),
        signal: 3,
        purpose: SignalPurpose::Stop
    }));
    new.calm(Mood::Obedient);
    assert_eq!(new.engine.view(id(0)), None);
}

#[test]
fn rebirth_into_a_shutdown_starts_nothing() {
    let mut old = Rig::up(&[daemon(), daemon()]);
    old.command(Command::Shutdown { deadline_ms: 1000 })
        .unwrap();
    old.exit(0, Exit::Code(0));
    let mut new = old.reborn();
    new.command(Command::Shutdown { deadline_ms: 1000 })
        .unwrap();
    assert_eq!(new.complete, None);
    new.apply(&[daemon(), daemon()], ProcessImpact::Keep)
        .unwrap();
    assert_eq!(new.name(0), "stopped");
    new.calm(Mood::Obedient);
    assert_eq!(new.complete, Some(true));
}

#[test]
fn restored_holds_stay_down() {
    let mut rig = Rig::new();
    rig.engine
        .restore(id(0), Record::at_rest(Goal::Down, Some(hold())));
    rig.engine.restore(id(1), Record::at_rest(Goal::Up, None));
    rig.apply(&[daemon(), daemon()], ProcessImpact::Keep)
        .unwrap();
    assert_eq!(names(&rig), ["stopped", "spawning"]);
}
