//! Ends of runs: one record for each, whatever ended the run, and few records of a service that
//! ends again and again.

use api::{Action, ExitCause};
use keeper::message;

use super::{
    unwritten::{BURST, REFILL_MS, WAITING_MAX},
    *,
};
use crate::{control::harness::Harness, store::Handled};

fn record(number: u64, next: NextRun) -> ExitRecord {
    ExitRecord {
        id: number.to_string(),
        at: text::time(number),
        service: "a".to_owned(),
        pid: None,
        code: Some(1),
        signal: None,
        core: false,
        ran_ms: None,
        killed: None,
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
    let mut world = Harness::new(&services, Handled::default());
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
    let told = world.control.cx.events.history("a", 100);
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

/// The control process dies after it has taken an end in and before the keeper has the
/// acknowledgement.
#[test]
fn an_end_that_is_taken_in_twice_counts_once_though_it_is_left_out() {
    let mut known = Unwritten::new(Moment(0));
    known.room = 0;
    let take = |known: &mut Unwritten, number, next| {
        let record = record(number, next);
        if !known.knows(&record.id) {
            known.take(Moment(number), record);
        }
    };
    take(&mut known, 0, NextRun::Start);
    take(&mut known, 1, NextRun::Rest);
    let stored = serde_json::to_string(&known).unwrap();
    let mut known: Unwritten = serde_json::from_str(&stored).unwrap();
    // This end is the left-out one, not the held one.
    take(&mut known, 1, NextRun::Rest);
    assert_eq!(known.held.as_ref().map(|it| it.left_out), Some(1));
    // An end that is written meanwhile is not written twice either.
    let mut written = Unwritten::new(Moment(0));
    take(&mut written, 2, NextRun::Start);
    written.are_written(Moment(2), &["2".to_owned()]);
    take(&mut written, 2, NextRun::Start);
    assert!(written.is_written());
}

#[test]
fn what_the_keeper_has_of_a_removed_service_is_forgotten_once_it_is_on_the_disk() {
    let services = [
        ("a", "command = ['/bin/a']\n"),
        ("b", "command = ['/bin/b']\n"),
    ];
    let mut world = Harness::new(&services, Handled::default());
    let key = format!("{EXITS}a");
    let run = world.spawned[0].1;
    world.spawned(run);
    // Without room the record of this end is held back.
    let now = world.now.moment;
    let mut full = Unwritten::new(now);
    full.room = 0;
    let a = world.control.cx.names.id("a").unwrap();
    world.control.exits.services.insert(a, full);
    world.exits_hang = true;
    world.remove_and_apply("a");
    world.ended(run);
    assert!(
        world.records.contains_key(&key),
        "it is not on the disk yet"
    );
    assert!(!world.records.contains_key("a"));
    world.done(crate::control::input::Done::ExitsRecorded(Ok(())));
    assert!(!world.records.contains_key(&key), "{:?}", world.records);
    assert!(world.control.exits.unwritten().is_empty());
}
