//! How long a service waits for a service that it merely wants: before its first start, and after
//! it has been up.

use engine::*;

use crate::common::*;

/// A service that is ready when it says so.
fn slow() -> Spec {
    Spec {
        ready: Ready::Notify,
        ready_timeout_ms: None,
        ..daemon()
    }
}

fn wanting(ids: &[u32]) -> Spec {
    Spec {
        wants: set(ids),
        ..daemon()
    }
}

/// The slow service 0 is starting again, and the others are up.
fn dependency_starts(others: &[Spec]) -> Rig {
    let specs = [&[slow()], others].concat();
    let mut rig = Rig::up(&specs);
    rig.restart(0);
    rig.calm(Mood::NeverReady);
    assert_eq!((rig.name(0), rig.name(1)), ("starting", "running"));
    rig
}

#[test]
fn a_first_start_waits_for_what_it_wants() {
    let mut rig = Rig::with(&[slow(), wanting(&[0])]);
    rig.calm(Mood::NeverReady);
    assert_eq!((rig.name(0), rig.name(1)), ("starting", "waiting"));
    rig.stop(1);
    rig.start(1);
    assert_eq!(rig.name(1), "waiting", "it has never been up");
}

#[test]
fn a_restart_of_what_was_up_does_not_wait_for_what_it_wants_and_is_only_starting() {
    let mut rig = dependency_starts(&[wanting(&[0])]);
    rig.restart(1);
    rig.calm(Mood::NeverReady);
    assert_eq!((rig.name(0), rig.name(1)), ("starting", "running"));
    let specs = [slow(), wanting(&[0])];
    let plan = (0..)
        .zip(specs)
        .zip([ProcessImpact::Keep, ProcessImpact::Restart]);
    let plan = plan.map(|((n, spec), impact)| (id(n), Box::new(spec), impact));
    rig.apply_plan(plan.collect()).unwrap();
    rig.calm(Mood::NeverReady);
    assert_eq!((rig.name(0), rig.name(1)), ("starting", "running"));
}

#[test]
fn a_crash_of_what_was_up_does_not_either() {
    let mut rig = dependency_starts(&[wanting(&[0])]);
    rig.exit(1, Exit::Signal(9));
    assert_eq!(rig.name(1), "spawning");
    // The crash happens before service 1 is up, and a new control process takes over.
    rig.spawned(1);
    rig.exit(1, Exit::Signal(9));
    let mut rig = rig.reborn();
    rig.apply(&[slow(), wanting(&[0])], ProcessImpact::Keep)
        .unwrap();
    rig.calm(Mood::NeverReady);
    rig.pass(100);
    rig.calm(Mood::NeverReady);
    assert_eq!((rig.name(0), rig.name(1)), ("starting", "running"));
}

#[test]
fn what_restarts_together_comes_up_in_order() {
    for reversed in [false, true] {
        let specs = if reversed {
            [wanting(&[1]), slow()]
        } else {
            [slow(), wanting(&[0])]
        };
        let (on, of) = (u32::from(reversed), u32::from(!reversed));
        let in_order = |rig: &mut Rig| {
            rig.calm(Mood::NeverReady);
            assert_eq!((rig.name(on), rig.name(of)), ("starting", "waiting"));
            rig.calm(Mood::Obedient);
            assert_eq!((rig.name(on), rig.name(of)), ("running", "running"));
        };
        let mut rig = Rig::up(&specs);
        rig.command(Command::Restart(set(&[0, 1]))).unwrap();
        in_order(&mut rig);
        rig.apply(&specs, ProcessImpact::Restart).unwrap();
        in_order(&mut rig);
        // A dependency that was once not waited for is waited for after it has been up.
        rig.restart(on);
        rig.calm(Mood::NeverReady);
        rig.restart(of);
        rig.calm(Mood::Obedient);
        rig.command(Command::Restart(set(&[0, 1]))).unwrap();
        in_order(&mut rig);
    }
}

#[test]
fn an_order_that_is_asked_for_is_kept() {
    let ordered = Spec {
        after: set(&[0]),
        ..wanting(&[0])
    };
    let mut rig = dependency_starts(&[ordered]);
    rig.restart(1);
    rig.calm(Mood::NeverReady);
    assert_eq!((rig.name(0), rig.name(1)), ("starting", "waiting"));
}
