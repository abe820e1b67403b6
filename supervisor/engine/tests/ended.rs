//! The end of a main run is told: how, why, and what follows.

mod common;

use common::*;
use engine::*;

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
    assert_eq!((ended.cause, ended.next), (StopCause::Exited, Next::Start));
    rig.spawned(0);
    rig.exit(0, Exit::Code(1));
    assert!(matches!(told(&rig).next, Next::Pause { ms: 1.., early: 2 }));
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
    assert!(ended.killed);
    assert_eq!((ended.cause, ended.next), (StopCause::Asked, Next::Rest));
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

/// What somebody asks for while the rest is swept has not ended it.
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
        assert_eq!((ended.cause, ended.next), (StopCause::Exited, Next::Start));
        assert_ne!(rig.run(0), run);
    }
}
