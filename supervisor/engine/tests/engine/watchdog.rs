//! Notifications of a run that is up: it is alive, it reloads, it is ready.

use engine::*;

use crate::common::*;

fn watched(action: WatchdogAction) -> Spec {
    Spec {
        watchdog: Some(watchdog(action)),
        ..daemon()
    }
}

fn alive(rig: &mut Rig) {
    let run = rig.run(0);
    rig.fact(Fact::Notified {
        run,
        what: Notification::Alive,
    });
}

fn signals(rig: &Rig) -> Vec<i32> {
    let signal = |it: &Effect| match it {
        Effect::Signal { signal, .. } => Some(*signal),
        _ => None,
    };
    rig.last.iter().filter_map(signal).collect()
}

#[test]
fn silence_is_ended_by_the_watchdogs_signal_then_killed_and_restarted_as_an_early_death() {
    let mut rig = Rig::up(&[watched(WatchdogAction::Restart)]);
    for _ in 0..3 {
        rig.pass(STOP_MS - 1);
        alive(&mut rig);
        assert!(rig.last.is_empty() || rig.name(0) == "running");
    }
    rig.pass(STOP_MS - 1);
    assert_eq!(rig.name(0), "running");
    rig.pass(1);
    let cause = StopCause::Watchdog;
    assert!(matches!(rig.state(0), State::Stopping { cause: it, .. } if it == cause));
    assert_eq!(signals(&rig), [ABRT]);
    rig.pass(STOP_MS);
    assert!(rig.last.iter().any(|it| matches!(it, Effect::Kill { .. })));
    rig.calm(Mood::Obedient);
    assert_eq!(rig.name(0), "running");
    rig.pass(STOP_MS);
    rig.exit(0, Exit::Signal(ABRT));
    assert_eq!(rig.name(0), "backoff", "the second early death in a row");
}

#[test]
fn words_that_change_nothing_are_not_told_or_stored() {
    let mut rig = Rig::up(&[watched(WatchdogAction::Restart)]);
    alive(&mut rig);
    rig.pass(10);
    alive(&mut rig);
    assert_eq!(rig.last, []);
}

#[test]
fn degrade_shows_and_recovers_with_the_next_word() {
    let mut rig = Rig::up(&[watched(WatchdogAction::Degrade)]);
    rig.pass(STOP_MS);
    let view = rig.engine.view(id(0)).unwrap();
    assert_eq!((view.state.name(), view.healthy), ("running", Some(false)));
    let silent = Unhealthy::Watchdog { triggered: false };
    assert_eq!(view.unhealthy, Some(silent));
    assert!(view.ready);
    rig.pass(10_000);
    assert_eq!(rig.name(0), "running");
    alive(&mut rig);
    let view = rig.engine.view(id(0)).unwrap();
    assert_eq!((view.healthy, view.unhealthy), (Some(true), None));
    rig.pass(STOP_MS);
    assert_eq!(rig.engine.view(id(0)).unwrap().healthy, Some(false));
}

#[test]
fn the_run_sets_its_timeout_before_it_is_ready_and_the_next_run_begins_anew() {
    let spec = Spec {
        ready: Ready::ReadySignal,
        ..watched(WatchdogAction::Restart)
    };
    let mut rig = Rig::with(&[spec]);
    rig.spawned(0);
    let run = rig.run(0);
    rig.fact(Fact::Notified {
        run,
        what: Notification::WatchdogTimeout { ms: 0 },
    });
    rig.fact(Fact::Notified {
        run,
        what: Notification::ReadySignal,
    });
    rig.pass(10_000);
    assert_eq!(rig.name(0), "running");
    rig.fact(Fact::Notified {
        run,
        what: Notification::WatchdogTimeout { ms: 7 },
    });
    rig.pass(7);
    assert_eq!(rig.name(0), "stopping");
    rig.exit(0, Exit::Signal(ABRT));
    rig.calm(Mood::Obedient);
    rig.pass(STOP_MS - 1);
    assert_eq!(rig.name(0), "running");
}

#[test]
fn a_triggered_watchdog_fails_at_once_and_by_policy_never_for_good() {
    let mut spec = watched(WatchdogAction::Restart);
    spec.restart.policy = Policy::Never;
    let mut rig = Rig::up(&[spec]);
    let run = rig.run(0);
    rig.fact(Fact::Notified {
        run,
        what: Notification::WatchdogTrigger,
    });
    assert_eq!(signals(&rig), [ABRT]);
    rig.exit(0, Exit::Code(0));
    let reason = Failure::Watchdog;
    assert_eq!(rig.state(0), State::Failed { reason });
}

#[test]
fn a_deadline_that_we_ourselves_slept_through_is_no_silence() {
    let mut rig = Rig::up(&[watched(WatchdogAction::Restart)]);
    rig.now = rig.now.after(3_600_000);
    let heard = rig.now;
    rig.send(Event::Timeout { heard }).unwrap();
    assert_eq!(rig.name(0), "running");
    rig.pass(STOP_MS);
    assert_eq!(rig.name(0), "stopping");
}

/// peers' behaviour 18
#[test]
fn a_reload_that_the_run_begins_lasts_until_it_is_ready_or_its_patience_ends() {
    let mut rig = Rig::up(&[daemon()]);
    let run = rig.run(0);
    rig.fact(Fact::Notified {
        run,
        what: Notification::Reloading,
    });
    assert_eq!(rig.name(0), "reloading");
    rig.ready(0);
    assert_eq!(rig.name(0), "running");
    rig.fact(Fact::Notified {
        run,
        what: Notification::Reloading,
    });
    rig.fact(Fact::Notified {
        run,
        what: Notification::ExtendTimeout { ms: 500 },
    });
    rig.pass(499);
    assert_eq!(rig.name(0), "reloading");
    rig.pass(1);
    let view = rig.engine.view(id(0)).unwrap();
    assert_eq!(view.state.name(), "running");
    assert_eq!(view.last_reload, Some(ReloadOutcome::TimedOut));
    rig.fact(Fact::Notified {
        run,
        what: Notification::Reloading,
    });
    rig.exit(0, Exit::Code(1));
    assert_eq!(rig.name(0), "spawning", "an end while it reloads is an end");
}

#[test]
fn a_reload_command_is_over_when_the_run_it_has_set_reloading_is_ready_again() {
    let spec = Spec {
        reload: Some(by_command()),
        ..daemon()
    };
    let mut rig = Rig::up(&[spec]);
    let run = rig.run(0);
    rig.command(Command::Reload(set(&[0]))).unwrap();
    rig.fact(Fact::Notified {
        run,
        what: Notification::Reloading,
    });
    let ended = Fact::Reloaded {
        run: command(&rig),
        outcome: Ok(()),
    };
    rig.fact(ended);
    assert_eq!(rig.name(0), "reloading");
    rig.ready(0);
    assert_eq!(rig.name(0), "running");
    rig.command(Command::Reload(set(&[0]))).unwrap();
    rig.fact(Fact::Notified {
        run,
        what: Notification::Reloading,
    });
    rig.ready(0);
    assert_eq!(rig.name(0), "reloading", "its command still works");
    let ended = Fact::Reloaded {
        run: command(&rig),
        outcome: Ok(()),
    };
    rig.fact(ended);
    assert_eq!(rig.name(0), "running");
}

/// The running reload command.
fn command(rig: &Rig) -> RunId {
    let mut all = rig.procs.iter();
    let found = all.find(|(_, it)| matches!(it.role, Role::Reload(_)));
    *found.expect("there is one").0
}

/// peers' behaviour 17
#[test]
fn each_way_to_be_ready_is_believed_where_it_was_asked_for_alone() {
    let by = |ready| Spec { ready, ..daemon() };
    let specs = [
        by(Ready::ReadySignal),
        by(Ready::Notify),
        by(Ready::Delay(30)),
    ];
    let mut rig = Rig::with(&specs);
    for n in 0..3 {
        rig.spawned(n);
    }
    let run = |rig: &Rig, n| rig.run(n);
    rig.ready(0);
    let marked = Fact::Notified {
        run: run(&rig, 1),
        what: Notification::ReadySignal,
    };
    rig.fact(marked);
    rig.ready(2);
    assert_eq!([0, 1, 2].map(|n| rig.name(n)), ["starting"; 3]);
    rig.pass(29);
    assert_eq!(rig.name(2), "starting");
    rig.pass(1);
    assert_eq!(rig.name(2), "running");
    let marked = Fact::Notified {
        run: run(&rig, 0),
        what: Notification::ReadySignal,
    };
    rig.fact(marked);
    rig.ready(1);
    assert_eq!([0, 1].map(|n| rig.name(n)), ["running"; 2]);
}

/// A slow service bound to a watched one comes up if the watched one reports that it is alive, and
/// never otherwise: each restart of the watched one makes the bound one begin again.
#[test]
fn what_is_bound_to_a_watched_one_comes_up_if_that_says_that_it_is_alive() {
    let slow = |on: u32| Spec {
        binds_to: set(&[on]),
        ready: Ready::Delay(STOP_MS - 10),
        ..daemon()
    };
    let specs = [watched(WatchdogAction::Restart), slow(0), slow(1)];
    let mut rig = Rig::up(&specs);
    while rig.settled(2) != Settled::Ready {
        assert!(rig.next_deadline_of_the_living());
        rig.calm(Mood::Obedient);
    }
    assert_eq!(rig.engine.view(id(0)).unwrap().restarts, 0);

    let mut silent = Rig::up(&specs);
    for _ in 0..100 {
        silent.next_deadline();
        silent.calm(Mood::Obedient);
        assert_ne!(silent.settled(2), Settled::Ready);
    }
    assert!(silent.engine.view(id(0)).unwrap().restarts > 10);
}

#[test]
fn a_queued_reload_is_not_begun_when_the_watchdog_ends_the_run_at_the_same_time() {
    let mut rig = Rig::up(&[Spec {
        validated: true,
        reload: Some(hup()),
        ready_timeout_ms: Some(STOP_MS),
        ..watched(WatchdogAction::Restart)
    }]);
    for _ in 0..2 {
        rig.command(Command::Reload(set(&[0]))).unwrap();
    }
    alive(&mut rig);
    rig.pass(STOP_MS);
    assert_eq!(signals(&rig), [ABRT]);
    let begun = rig
        .last
        .iter()
        .any(|it| matches!(it, Effect::Validate { .. }));
    assert!(!begun, "{:?}", rig.last);
}
