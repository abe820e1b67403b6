//! Services that are started once, oneshots that wait for their time, and states that a stop must
//! not hide.

use engine::*;

use crate::common::*;

fn scheduled() -> Spec {
    Spec {
        scheduled: true,
        ..oneshot()
    }
}

fn once(rig: &mut Rig, n: u32) -> Accepted {
    rig.command(Command::Once(set(&[n])))
        .expect("it can be started")
}

fn run(rig: &mut Rig, n: u32) -> Result<Accepted, Refusal> {
    rig.command(Command::Run(set(&[n])))
}

#[test]
fn once_lifts_the_hold_and_a_good_end_is_the_end() {
    let mut rig = Rig::up(&[daemon(), requiring(&[0])]);
    rig.stop(0);
    rig.calm(Mood::Obedient);
    assert_eq!(once(&mut rig, 0).lifted, [(id(0), hold())]);
    rig.calm(Mood::Obedient);
    assert!(rig.engine.view(id(0)).unwrap().once);
    rig.exit(0, Exit::Code(0));
    let end = (rig.name(0), rig.settled(0));
    assert_eq!(end, ("completed", Settled::Completed));
    assert_eq!(rig.name(1), "running", "an end is no stop");
    rig.pass(100_000);
    assert_eq!(rig.name(0), "completed");
    rig.start(0);
    rig.calm(Mood::Obedient);
    rig.exit(0, Exit::Code(0));
    assert_eq!(rig.name(0), "spawning", "a start is a start again");
}

#[test]
fn once_that_ends_badly_has_failed_and_a_restart_forgets_it() {
    let mut rig = Rig::up(&[daemon()]);
    let affected = once(&mut rig, 0).affected;
    assert_eq!((rig.name(0), affected), ("running", set(&[0])));
    assert_eq!(once(&mut rig, 0).affected, set(&[]), "it is so already");
    rig.exit(0, Exit::Code(1));
    let reason = Failure::Exited(Exit::Code(1));
    assert_eq!(rig.state(0), State::Failed { reason });
    once(&mut rig, 0);
    rig.calm(Mood::Obedient);
    rig.restart(0);
    rig.calm(Mood::Obedient);
    rig.exit(0, Exit::Code(1));
    assert_eq!(rig.name(0), "spawning");
}

#[test]
fn a_scheduled_oneshot_rests_until_its_time_and_then_runs_each_time() {
    let mut rig = Rig::up(&[scheduled(), requiring(&[0])]);
    let view = rig.engine.view(id(0)).unwrap();
    assert_eq!((view.state.name(), view.unrun), ("completed", true));
    assert_eq!(rig.name(1), "running", "nobody waits for a schedule");
    for _ in 0..2 {
        run(&mut rig, 0).unwrap();
        assert_eq!(rig.name(0), "spawning");
        let again = run(&mut rig, 0);
        assert_eq!(again, Err(Refusal::AlreadyRunning(id(0))));
        rig.calm(Mood::Obedient);
        assert_eq!(rig.name(0), "completed");
    }
    assert!(!rig.engine.view(id(0)).unwrap().unrun);
    assert_eq!(rig.name(1), "running");
}

#[test]
fn a_run_lifts_no_hold_and_a_start_after_a_stop_waits_for_its_time() {
    let mut rig = Rig::up(&[scheduled(), daemon()]);
    rig.stop(0);
    let service = id(0);
    let refused = run(&mut rig, 0);
    assert_eq!(
        refused,
        Err(Refusal::Held {
            service,
            hold: hold()
        })
    );
    rig.start(0);
    assert_eq!(rig.name(0), "completed");
    rig.start(0);
    assert_eq!(rig.name(0), "spawning", "named while it rests, it runs now");
    assert_eq!(run(&mut rig, 1), Err(Refusal::NotOneshot(id(1))));
}

#[test]
fn a_scheduled_run_that_fails_is_tried_by_its_policy_and_runs_anew_at_its_next_time() {
    let mut spec = scheduled();
    spec.restart.policy = Policy::Never;
    let mut rig = Rig::up(&[spec]);
    run(&mut rig, 0).unwrap();
    rig.spawned(0);
    rig.exit(0, Exit::Code(1));
    assert_eq!(rig.name(0), "failed");
    run(&mut rig, 0).unwrap();
    rig.calm(Mood::Obedient);
    assert_eq!(rig.name(0), "completed");
}

/// A start was refused because of leftovers, and a stop follows: the leftovers are still known.
#[test]
fn what_is_left_is_not_forgotten_by_a_stop() {
    let mut rig = Rig::up(&[daemon()]);
    rig.stop(0);
    let old = rig.run(0);
    let exit = Exit::Signal(9);
    rig.fact(Fact::Exited { run: old, exit });
    rig.fact(Fact::Swept { run: old, left: 2 });
    rig.start(0);
    let new = rig.run(0);
    rig.fact(Fact::SpawnRefused { run: new, left: 2 });
    rig.stop(0);
    let left = |state| {
        matches!(
            state,
            State::Failed {
                reason: Failure::Leftovers { count: 2, .. }
            }
        )
    };
    assert!(left(rig.state(0)));
    rig.fact(Fact::Swept { run: old, left: 0 });
    assert_eq!(rig.name(0), "stopped");
}

/// The scheduled oneshot rests and so counts as ready; its requirement is held all the same.
#[test]
fn a_hold_below_one_that_waits_for_its_time_keeps_down_what_requires_that() {
    let between = Spec {
        requires: set(&[0]),
        ..scheduled()
    };
    let mut rig = Rig::up(&[daemon(), between, requiring(&[1])]);
    assert_eq!(rig.name(2), "running");
    rig.stop(0);
    rig.calm(Mood::Obedient);
    assert_eq!((rig.name(0), rig.name(1)), ("stopped", "completed"));
    assert_eq!(rig.settled(2), Settled::WaitingOn(id(1)));
    rig.start(0);
    rig.calm(Mood::Obedient);
    assert_eq!(rig.name(2), "running");
}

/// Resting services look ready until their own turn comes. The world checks the rules at every
/// effect.
#[test]
fn all_that_rest_are_started_before_what_needs_them() {
    let on = |ids: &[u32], spec: Spec| Spec {
        requires: set(ids),
        ..spec
    };
    // The order is independent of the numbers.
    let specs = [
        on(&[2, 3], daemon()),
        on(&[3], scheduled()),
        scheduled(),
        scheduled(),
    ];
    let mut rig = Rig::with(&specs);
    rig.calm(Mood::Obedient);
    rig.stop(0);
    rig.calm(Mood::Obedient);
    rig.command(Command::Start(set(&[0, 1, 2, 3]))).unwrap();
    assert_eq!((rig.name(0), rig.name(1)), ("waiting", "waiting"));
    rig.calm(Mood::Obedient);
    let ends: Vec<_> = (0..4).map(|n| rig.name(n)).collect();
    assert_eq!(ends, ["running", "completed", "completed", "completed"]);
    rig.command(Command::Run(set(&[1, 2, 3]))).unwrap();
    assert_eq!(rig.name(1), "waiting");
}
