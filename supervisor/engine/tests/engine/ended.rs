//! The end of a main run is reported with how, why, and what follows.

use engine::*;

use crate::common::*;

fn told(rig: &Rig) -> Ended {
    let mut told = rig.last.iter().filter_map(|it| match it {
        Effect::Ended(ended) => Some((**ended).clone()),
        _ => None,
    });
    let first = told.next().expect("an end is told");
    assert_eq!(told.next(), None);
    first
}

#[test]
fn a_crash_is_told_before_the_record_that_shows_what_follows() {
    let mut rig = Rig::up(&[daemon()]);
    let run = rig.run(0);
    rig.fact(Fact::Exited {
        run,
        exit: Exit::Signal(9),
    });
    assert!(rig.ended.is_empty(), "not before all is gone");
    rig.fact(Fact::Swept { run, left: 0 });
    assert!(matches!(rig.last[0], Effect::Ended(_)), "{:?}", rig.last);
    let ended = told(&rig);
    assert_eq!((ended.run, ended.exit), (run, Exit::Signal(9)));
    assert_eq!(
        (ended.cause, ended.next),
        (StopCause::Exited, AfterRun::Start)
    );
    rig.spawned(0);
    rig.exit(0, Exit::Code(1));
    let next = told(&rig).next;
    assert!(matches!(
        next,
        AfterRun::Pause {
            ms: 1..,
            early: 2,
            failed: true
        }
    ));
}

#[test]
fn a_stop_that_needed_sigkill_says_so() {
    let mut rig = Rig::up(&[daemon()]);
    let run = rig.run(0);
    rig.stop(0);
    rig.pass(STOP_MS);
    rig.fact(Fact::Exited {
        run,
        exit: Exit::Signal(9),
    });
    rig.fact(Fact::Swept { run, left: 0 });
    let ended = told(&rig);
    assert_eq!(ended.killed, Some(Kill::StopTimeout));
    let asked = StopCause::Asked(StopReason::Stop);
    assert_eq!((ended.cause, ended.next), (asked, AfterRun::Rest));
}

#[test]
fn what_outlives_sigkill_is_told_when_it_has_ended() {
    let mut rig = Rig::up(&[daemon()]);
    let run = rig.run(0);
    rig.stop(0);
    rig.pass(STOP_MS);
    rig.fact(Fact::Swept { run, left: 1 });
    assert!(rig.ended.is_empty());
    rig.fact(Fact::Exited {
        run,
        exit: Exit::Signal(9),
    });
    assert_eq!(told(&rig).cause, StopCause::Outlived);
    rig.fact(Fact::Swept { run, left: 0 });
    assert_eq!(rig.ended.len(), 1);
}

/// A command that comes while leftovers are swept is not the cause of the end.
#[test]
fn a_start_after_a_crash_is_not_its_cause() {
    for command in [Command::Start(set(&[0])), Command::Restart(set(&[0]))] {
        let mut rig = Rig::up(&[daemon()]);
        let run = rig.run(0);
        rig.fact(Fact::Exited {
            run,
            exit: Exit::Signal(11),
        });
        rig.command(command).unwrap();
        rig.fact(Fact::Swept { run, left: 0 });
        let ended = told(&rig);
        assert_eq!(
            (ended.cause, ended.next),
            (StopCause::Exited, AfterRun::Start)
        );
        assert_ne!(rig.run(0), run);
    }
}

fn end_of(rig: &mut Rig, n: u32) -> StopCause {
    let run = rig.run(n);
    let exit = Exit::Code(0);
    rig.fact(Fact::Exited { run, exit });
    rig.fact(Fact::Swept { run, left: 0 });
    told(rig).cause
}

/// Service 0, a chain of two that require it, and a service bound to 0.
fn family() -> [Spec; 4] {
    let bound = Spec {
        binds_to: set(&[0]),
        ..daemon()
    };
    [daemon(), requiring(&[0]), requiring(&[1]), bound]
}

#[test]
fn who_goes_down_along_says_with_what() {
    let along = |on| StopCause::Asked(StopReason::Requirement(id(on)));
    let commands = [
        (Command::Stop(set(&[0]), hold()), StopReason::Stop),
        (Command::Restart(set(&[0])), StopReason::Restart),
    ];
    for (command, order) in commands {
        let mut rig = Rig::up(&family());
        rig.command(command).unwrap();
        let causes: Vec<_> = [3, 2, 1, 0].map(|n| end_of(&mut rig, n)).into();
        let own = StopCause::Asked(order);
        assert_eq!(causes, [along(0), along(1), along(0), own]);
    }
    // The restarted service may be down itself.
    let mut rig = Rig::up(&family());
    for _ in 0..2 {
        rig.exit(0, Exit::Code(1));
        if rig.name(0) == "spawning" {
            rig.spawned(0);
        }
    }
    assert_eq!(rig.name(0), "backoff");
    rig.restart(0);
    assert_eq!(end_of(&mut rig, 2), along(1));
    assert_eq!(end_of(&mut rig, 1), along(0));
}

#[test]
fn each_order_is_told_as_itself() {
    let asked = |order| StopCause::Asked(order);
    let mut rig = Rig::up(&family());
    rig.exit(0, Exit::Signal(9));
    assert_eq!(end_of(&mut rig, 3), asked(StopReason::Binding(id(0))));

    let mut rig = Rig::up(&family());
    rig.apply(&family(), ProcessImpact::Restart).unwrap();
    let causes: Vec<_> = [3, 2, 1, 0].map(|n| end_of(&mut rig, n)).into();
    assert_eq!(
        causes,
        [asked(StopReason::Plan); 4],
        "each has changed itself"
    );

    let mut rig = Rig::up(&family());
    rig.apply(&family()[..2], ProcessImpact::Keep).unwrap();
    assert_eq!(end_of(&mut rig, 2), asked(StopReason::Removed));
    assert_eq!(end_of(&mut rig, 3), asked(StopReason::Removed));

    let mut rig = Rig::up(&family());
    let deadline_ms = 10_000;
    rig.command(Command::Shutdown { deadline_ms }).unwrap();
    assert_eq!(end_of(&mut rig, 3), asked(StopReason::Shutdown));
}

#[test]
fn sigkill_says_why_it_was_sent() {
    let slow = Spec {
        stop: Stop {
            timeout_ms: 10_000,
            ..daemon().stop
        },
        ..daemon()
    };
    // Service 1 stops first, so the deadline passes before service 0 is even asked.
    let mut rig = Rig::up(&[
        slow.clone(),
        Spec {
            requires: set(&[0]),
            ..slow
        },
    ]);
    let deadline_ms = 20;
    rig.command(Command::Shutdown { deadline_ms }).unwrap();
    rig.pass(deadline_ms);
    let mut killed = |n| {
        let run = rig.run(n);
        let exit = Exit::Signal(9);
        rig.fact(Fact::Exited { run, exit });
        rig.fact(Fact::Swept { run, left: 0 });
        told(&rig).killed
    };
    assert_eq!(killed(1), Some(Kill::ShutdownDeadline));
    assert_eq!(killed(0), Some(Kill::Unasked));
}

#[test]
fn ends_with_success_are_no_failures_in_a_row() {
    let next = |exits: &[Exit]| {
        let mut rig = Rig::up(&[daemon()]);
        for exit in exits {
            rig.exit(0, *exit);
            if rig.name(0) == "spawning" {
                rig.spawned(0);
            }
        }
        match rig.state(0) {
            State::Backoff { failed, .. } => failed,
            other => panic!("{other:?}"),
        }
    };
    let (good, bad) = (Exit::Code(0), Exit::Code(1));
    assert!(next(&[bad, bad]));
    assert!(!next(&[good, good]));
    assert!(!next(&[good, bad]));
}
