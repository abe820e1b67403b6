//! A stop in steps: the first signal, a second signal after a while, and SIGKILL at the timeout.

use engine::*;

use crate::common::*;

fn spec() -> Spec {
    Spec {
        stop: in_two_steps(),
        ..daemon()
    }
}

/// The stop signals of the last event.
fn asked(rig: &Rig) -> Vec<i32> {
    let signals = rig.last.iter().filter_map(|effect| match effect {
        Effect::Signal {
            signal,
            purpose: SignalPurpose::Stop,
            ..
        } => Some(*signal),
        _ => None,
    });
    signals.collect()
}

/// The stop signals of this many milliseconds.
fn asked_within(rig: &mut Rig, ms: u64) -> Vec<i32> {
    rig.last.clear();
    rig.pass(ms);
    asked(rig)
}

fn is_killed(rig: &Rig) -> bool {
    matches!(
        rig.state(0),
        State::Stopping {
            phase: StopPhase::Killed { .. },
            ..
        }
    )
}

#[test]
fn the_second_signal_comes_once_and_sigkill_at_the_timeout() {
    let mut rig = Rig::up(&[spec()]);
    rig.stop(0);
    assert_eq!(asked(&rig), [QUIT]);
    assert!(asked_within(&mut rig, SECOND_MS - 1).is_empty());
    rig.pass(1);
    assert_eq!((asked(&rig), is_killed(&rig)), (vec![TERM], false));
    assert!(asked_within(&mut rig, STOP_MS - SECOND_MS - 1).is_empty());
    assert!(!is_killed(&rig));
    rig.pass(1);
    assert!(is_killed(&rig));
    rig.calm(Mood::Stubborn);
    assert_eq!(rig.name(0), "stopped");
}

#[test]
fn what_ends_by_the_first_signal_gets_no_second_one() {
    let mut rig = Rig::up(&[spec()]);
    rig.restart(0);
    rig.calm(Mood::Obedient);
    assert_eq!(rig.name(0), "running");
    assert!(asked_within(&mut rig, STOP_MS).is_empty());
    assert_eq!(rig.name(0), "running");
}

#[test]
fn more_time_is_more_time_before_either() {
    let mut rig = Rig::up(&[spec()]);
    rig.stop(0);
    let run = rig.run(0);
    rig.fact(Fact::Notified {
        run,
        what: Notification::ExtendTimeout { ms: 500 },
    });
    assert!(asked_within(&mut rig, 499).is_empty());
    rig.pass(1);
    assert_eq!(asked(&rig), [TERM]);
    rig.pass(STOP_MS - SECOND_MS - 1);
    assert!(!is_killed(&rig));
    rig.fact(Fact::Notified {
        run,
        what: Notification::ExtendTimeout { ms: 700 },
    });
    rig.pass(699);
    assert!(!is_killed(&rig));
    rig.pass(1);
    assert!(is_killed(&rig));
}

/// The machine stood still for a while, so the signal may have reached the run only now.
#[test]
fn a_second_signal_that_is_noticed_late_has_its_time_once_more_and_so_has_the_kill() {
    let long = Stop {
        timeout_ms: 5000,
        ..in_two_steps()
    };
    let mut rig = Rig::up(&[Spec {
        stop: long,
        ..spec()
    }]);
    rig.stop(0);
    rig.last.clear();
    // Both deadlines are noticed in one event.
    rig.now = rig.now.after(4000);
    let heard = rig.now;
    rig.send(Event::Timeout { heard }).unwrap();
    assert!(asked(&rig).is_empty());
    rig.pass(SECOND_MS);
    assert_eq!(asked(&rig), [TERM]);
    rig.pass(4969);
    assert!(!is_killed(&rig));
    rig.pass(1);
    assert!(is_killed(&rig));
}

#[test]
fn a_new_control_process_says_again_what_was_said_last() {
    let mut rig = Rig::up(&[spec()]);
    rig.stop(0);
    let mut early = rig.reborn();
    early.apply(&[spec()], ProcessImpact::Keep).unwrap();
    assert_eq!(asked(&early), [QUIT]);
    early.pass(SECOND_MS);
    assert_eq!(asked(&early), [TERM]);
    rig.pass(SECOND_MS);
    let mut late = rig.reborn();
    late.apply(&[spec()], ProcessImpact::Keep).unwrap();
    assert_eq!(asked(&late), [TERM]);
    late.pass(STOP_MS - SECOND_MS);
    assert!(is_killed(&late));
}

#[test]
fn a_watchdogs_signal_is_followed_by_no_other() {
    let mut rig = Rig::up(&[Spec {
        watchdog: Some(watchdog(WatchdogAction::Restart)),
        ..spec()
    }]);
    rig.pass(STOP_MS);
    assert_eq!(asked(&rig), [ABRT]);
    assert!(asked_within(&mut rig, SECOND_MS).is_empty());
    assert!(!is_killed(&rig));
    rig.pass(STOP_MS - SECOND_MS);
    assert!(is_killed(&rig));
}
