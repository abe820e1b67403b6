//! Silence counts against a run only up to the moment up to which everything was heard.

use engine::*;

use crate::common::*;

const READY_MS: u64 = STOP_MS - 1;

fn notifying() -> Spec {
    Spec {
        ready: Ready::Notify,
        ready_timeout_ms: Some(READY_MS),
        reload: Some(hup()),
        ..daemon()
    }
}

/// Services that wait for something: the phase, the world, and the phase once the time is over.
fn awaited() -> [(&'static str, Rig, &'static str); 6] {
    let starting = || {
        let mut rig = Rig::with(&[notifying()]);
        rig.spawned(0);
        rig
    };
    let mut reloading = starting();
    reloading.ready(0);
    reloading
        .command(Command::Reload(set(&[0])))
        .expect("it runs");
    let watched = Rig::up(&[Spec {
        watchdog: Some(watchdog(WatchdogAction::Restart)),
        ..daemon()
    }]);
    let mut delayed = Rig::with(&[Spec {
        ready: Ready::Delay(7),
        ..daemon()
    }]);
    delayed.spawned(0);
    let stopping = || {
        let mut rig = Rig::up(&[daemon()]);
        rig.command(Command::Stop(set(&[0]), hold()))
            .expect("it runs");
        rig
    };
    let mut killed = stopping();
    killed.pass(STOP_MS);
    [
        ("starting", starting(), "stopping: Asked"),
        ("starting", delayed, "running"),
        ("running", watched, "stopping: Asked"),
        ("reloading", reloading, "running"),
        ("stopping: Asked", stopping(), "stopping: Killed"),
        ("stopping: Killed", killed, "failed"),
    ]
}

fn phase(rig: &Rig) -> String {
    match rig.state(0) {
        State::Stopping { phase, .. } => {
            let text = format!("{phase:?}");
            let name = text.split(' ').next().unwrap_or_default();
            format!("stopping: {name}")
        }
        state => state.name().to_owned(),
    }
}

#[test]
fn nobody_is_judged_before_all_is_heard_up_to_the_deadline() {
    for (before, mut rig, after) in awaited() {
        assert_eq!(phase(&rig), before);
        let due = rig.engine.poll_timeout().unwrap();
        assert!(!rig.engine.judgement_due(Moment(due.0 - 1)), "{before}");
        rig.now = due;
        assert!(rig.engine.judgement_due(due), "{before}");
        let heard = Moment(due.0 - 1);
        rig.send(Event::Timeout { heard }).unwrap();
        assert_eq!(phase(&rig), before);
        assert!(rig.engine.judgement_due(due), "{before}");
        rig.send(Event::Timeout { heard: due }).unwrap();
        assert_eq!(phase(&rig), after, "{before}");
        assert!(!rig.engine.judgement_due(due), "{before}");
    }
}

/// The keeper was stopped, so a request may have reached the run only just now.
#[test]
fn a_deadline_that_is_noticed_late_begins_once_more() {
    for (before, mut rig, after) in awaited() {
        let begun = rig.now;
        let due = rig.engine.poll_timeout().unwrap();
        rig.now = due.after(60_000);
        rig.send(Event::Timeout { heard: due }).unwrap();
        if after == "running" && before == "starting" {
            // The run has certainly stayed up that long.
            assert_eq!(phase(&rig), after);
            continue;
        }
        assert_eq!(phase(&rig), before);
        let again = rig.now.after(due.since(begun));
        assert_eq!(rig.engine.poll_timeout(), Some(again), "{before}");
        rig.pass(due.since(begun));
        assert_eq!(phase(&rig), after, "{before}");
    }
}

/// Two deadlines of a service have passed, and the first of two late facts concerns the earlier
/// deadline.
#[test]
fn what_was_heard_late_judges_by_no_other_deadline_of_its_service() {
    let mut rig = Rig::up(&[Spec {
        ready: Ready::Notify,
        ready_timeout_ms: Some(READY_MS),
        watchdog: Some(watchdog(WatchdogAction::Restart)),
        ..daemon()
    }]);
    let run = rig.run(0);
    rig.fact(Fact::Notified {
        run,
        what: Notification::Reloading,
    });
    rig.now = rig.now.after(STOP_MS + 1);
    rig.fact(Fact::Notified {
        run,
        what: Notification::Ready,
    });
    assert_eq!(rig.name(0), "running");
    rig.fact(Fact::Notified {
        run,
        what: Notification::Alive,
    });
    rig.pass(STOP_MS - 1);
    assert_eq!(rig.name(0), "running");
}

#[test]
fn a_shutdown_kills_nobody_before_all_is_heard_and_gives_its_time_once_more() {
    let mut rig = Rig::up(&[daemon()]);
    let deadline_ms = STOP_MS / 2;
    rig.command(Command::Shutdown { deadline_ms }).unwrap();
    let due = rig.now.after(deadline_ms);
    rig.now = due;
    assert!(rig.engine.judgement_due(due));
    let heard = Moment(due.0 - 1);
    rig.send(Event::Timeout { heard }).unwrap();
    assert_eq!(phase(&rig), "stopping: Asked");
    rig.now = due.after(60_000);
    rig.send(Event::Timeout { heard: due }).unwrap();
    assert_eq!(phase(&rig), "stopping: Asked");
    rig.pass(deadline_ms - 1);
    assert_eq!(phase(&rig), "stopping: Asked");
    rig.pass(1);
    assert_eq!(phase(&rig), "stopping: Killed");
}
