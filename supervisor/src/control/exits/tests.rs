//! Ends of runs: one record each, whoever asked, and not too many of a service that ends all the time.

use api::Action;
use keeper::message;

use super::{
    unwritten::{BURST, REFILL_MS, WAITING_MAX},
    *,
};
use crate::control::{Handled, whole::World};

fn record(number: u64, next: NextRun) -> ExitRecord {
    ExitRecord {
        id: number.to_string(),
        at: words::time(number),
        service: "a".to_owned(),
        pid: None,
        code: Some(1),
        signal: None,
        core: false,
        ran_ms: None,
        killed: false,
        cause: ExitCause::Itself,
        next,
        left_out: 0,
    }
}

/// A service that dies every second for a day.
#[test]
fn what_ends_all_the_time_is_thinned_out_and_every_end_is_counted() {
    const ENDS: u64 = 24 * 60 * 60;
    let mut known = Unwritten::new(Moment(0));
    let mut written = Vec::new();
    let mut longest = 0;
    for number in 0..ENDS {
        let now = Moment(1000 * number);
        known.take(now, record(number, NextRun::Start));
        known.release(now, false);
        longest = longest.max(known.waiting.len());
        written.append(&mut known.waiting);
    }
    known.release(Moment(1000 * ENDS), true);
    written.append(&mut known.waiting);
    assert!(longest <= 2, "{longest}");
    let most = u64::from(BURST) + ENDS * 1000 / REFILL_MS + 1;
    assert!(written.len() as u64 <= most, "{} records", written.len());
    let counted: u64 = written.iter().map(|it| 1 + it.left_out).sum();
    assert_eq!(counted, ENDS);
    assert_eq!(
        written.last().map(|it| it.id.clone()),
        Some((ENDS - 1).to_string())
    );
}

#[test]
fn of_those_that_are_left_out_the_last_failure_is_kept() {
    let mut known = Unwritten::new(Moment(0));
    known.room = 0;
    let nexts = [NextRun::Rest, NextRun::Start, NextRun::Rest, NextRun::Rest];
    for (number, next) in (0..).zip(nexts) {
        known.take(Moment(number), record(number, next));
    }
    assert!(!known.release(Moment(5), false), "there is no room");
    assert!(known.release(Moment(REFILL_MS), false));
    assert_eq!(
        (known.waiting[0].id.as_str(), known.waiting[0].left_out),
        ("1", 3)
    );
}

#[test]
fn a_full_disk_leaves_ends_out_and_counts_them() {
    let mut known = Unwritten::new(Moment(0));
    for number in 0..30 {
        known.take(Moment(number), record(number, NextRun::Start));
    }
    assert_eq!(known.waiting.len(), WAITING_MAX);
    assert_eq!(known.held.as_ref().map(|it| it.left_out), Some(13));
}

#[test]
fn an_end_says_who_asked_for_it_and_what_follows() {
    let services = [("a", "command = ['/bin/a']\n[restart]\npolicy = 'always'\n")];
    let mut world = World::new(&services, Handled::default());
    let first = world.spawned[0].1;
    world.spawned(first);
    world.fact(message::Fact::Exited {
        run: first,
        exit: message::Exit::Signal(9),
        core: true,
        at_ms: world.now.moment.0 + 300,
        timed_out: false,
        output: String::new(),
    });
    world.fact(message::Fact::Swept {
        run: first,
        left: Vec::new(),
    });
    let crash = world.exits[0].clone();
    assert_eq!((crash.signal.as_deref(), crash.core), (Some("KILL"), true));
    assert_eq!(
        (&crash.cause, &crash.next),
        (&ExitCause::Itself, &NextRun::Start)
    );
    let told = world.control.feed.history("a", 100);
    let told = told.iter().filter_map(|it| it.exit.as_deref());
    assert_eq!(told.collect::<Vec<_>>(), [&crash]);

    let second = world.spawned[1].1;
    world.spawned(second);
    world.act(Action::Stop, "a");
    world.recorded();
    world.ended(second);
    let stopped = &world.exits[1];
    assert_ne!(stopped.id, crash.id);
    assert_eq!(stopped.next, NextRun::Rest);
    let ExitCause::Change { by, what, .. } = &stopped.cause else {
        panic!("{stopped:?}");
    };
    assert_eq!((by.as_str(), what.as_str()), ("root", "stop"));
}
