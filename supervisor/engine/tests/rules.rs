//! The rules of one service, each by itself: start, restart policy, readiness, probes, reload, stop.

mod common;

use std::collections::BTreeSet;

use common::*;
use engine::*;

fn notify() -> Spec {
    Spec {
        ready: Ready::Notify,
        ..daemon()
    }
}

fn policy(policy: Policy) -> Spec {
    Spec {
        restart: Restart {
            policy,
            ..daemon().restart
        },
        ..daemon()
    }
}

fn backoff_pause(rig: &Rig) -> Option<u64> {
    match rig.state(0) {
        State::Backoff { until, .. } => Some(until.since(rig.now)),
        _ => None,
    }
}

fn signals(rig: &Rig) -> Vec<i32> {
    rig.last
        .iter()
        .filter_map(|it| {
            if let Effect::Signal { signal, .. } = it {
                Some(*signal)
            } else {
                None
            }
        })
        .collect()
}

#[test]
fn start_without_ready_is_running_once_exec_has_succeeded() {
    let mut rig = Rig::with(&[daemon()]);
    assert_eq!(rig.name(0), "spawning");
    rig.spawned(0);
    assert_eq!(rig.name(0), "running");
    assert_eq!(rig.settled(0), Settled::Ready);
}

/// peers' behaviour 4
#[test]
fn stop_by_hand_inhibits_restart_and_holds() {
    let mut rig = Rig::up(&[daemon()]);
    rig.stop(0);
    assert_eq!(signals(&rig), [TERM]);
    rig.exit(0, Exit::Code(1));
    assert_eq!(rig.name(0), "stopped");
    assert_eq!(rig.settled(0), Settled::Held);
    rig.pass(10_000);
    assert_eq!(rig.name(0), "stopped");
    assert_eq!(rig.engine.view(id(0)).unwrap().hold, Some(hold()));
}

/// peers' behaviour 5
#[test]
fn stop_during_the_stop_of_a_restart_cancels_the_restart() {
    let mut rig = Rig::up(&[daemon()]);
    rig.restart(0);
    rig.stop(0);
    rig.exit(0, Exit::Code(0));
    assert_eq!(rig.name(0), "stopped");
}

/// peers' behaviour 6
#[test]
fn start_while_stopping_is_honoured_after_the_stop() {
    let mut rig = Rig::up(&[daemon()]);
    rig.stop(0);
    assert_eq!(rig.start(0).lifted, [(id(0), hold())]);
    assert_eq!(rig.name(0), "stopping");
    rig.exit(0, Exit::Code(0));
    assert_eq!(rig.name(0), "spawning");
}

/// peers' behaviour 9
#[test]
fn stop_during_backoff_ends_stopped_and_never_starts() {
    let mut rig = Rig::with(&[daemon()]);
    rig.calm(Mood::DiesAtOnce);
    assert_eq!(rig.name(0), "backoff");
    rig.stop(0);
    assert_eq!(rig.name(0), "stopped");
    rig.pass(10_000);
    assert_eq!(rig.name(0), "stopped");
}

/// peers' behaviour 10
#[test]
fn stop_during_start_asks_at_once() {
    let mut rig = Rig::with(&[notify()]);
    rig.spawned(0);
    assert_eq!(rig.name(0), "starting");
    rig.stop(0);
    assert_eq!(signals(&rig), [TERM]);
    rig.exit(0, Exit::Signal(TERM));
    assert_eq!(rig.name(0), "stopped");
}

#[test]
fn stop_during_spawn_stops_as_soon_as_there_is_a_process() {
    let mut rig = Rig::with(&[daemon()]);
    rig.stop(0);
    assert_eq!(rig.name(0), "spawning");
    rig.spawned(0);
    assert_eq!(signals(&rig), [TERM]);
    rig.exit(0, Exit::Code(0));
    assert_eq!(rig.name(0), "stopped");
}

#[test]
fn stop_during_spawn_that_fails_is_stopped() {
    let mut rig = Rig::with(&[daemon()]);
    rig.stop(0);
    let run = rig.run(0);
    rig.fact(Fact::SpawnFailed {
        run,
        transient: false,
        reason: "exec: no such file".into(),
    });
    assert_eq!(rig.name(0), "stopped");
}

#[test]
fn stop_during_validation_kills_the_validator_and_waits_for_its_end() {
    let mut rig = Rig::with(&[Spec {
        validated: true,
        ..daemon()
    }]);
    rig.stop(0);
    assert!(rig.last.iter().any(|it| matches!(it, Effect::Kill { .. })));
    assert_eq!(rig.engine.main_run(id(0)), None);
    rig.start(0);
    assert_eq!(rig.name(0), "stopping");
    rig.calm(Mood::Obedient);
    assert_eq!(rig.name(0), "running");
    assert_eq!(rig.engine.view(id(0)).unwrap().last_exit, None);
}

/// The control process asks this before it starts what took it a while to prepare.
#[test]
fn a_validator_is_wanted_until_its_start_is_taken_back() {
    let mut rig = Rig::with(&[Spec {
        validated: true,
        ..daemon()
    }]);
    let validator = *rig.procs.keys().next().unwrap();
    assert!(rig.engine.is_wanted(validator));
    rig.stop(0);
    assert!(!rig.engine.is_wanted(validator));
}

/// peers' behaviour 11
#[test]
fn shutdown_while_starting_leaves_none() {
    let mut rig = Rig::with(&[
        notify(),
        daemon(),
        Spec {
            validated: true,
            ..daemon()
        },
        oneshot(),
    ]);
    rig.spawned(0);
    rig.command(Command::Shutdown { deadline_ms: 500 }).unwrap();
    rig.calm(Mood::Obedient);
    assert_eq!(rig.complete, Some(true));
    assert!(rig.procs.is_empty());
}

/// peers' behaviour 12
#[test]
fn spawn_failure_that_cannot_pass_is_failed_with_stage_and_errno() {
    let mut rig = Rig::with(&[daemon()]);
    let run = rig.run(0);
    let reason = "exec: no such file or directory (ENOENT)";
    rig.fact(Fact::SpawnFailed {
        run,
        transient: false,
        reason: reason.into(),
    });
    assert_eq!(
        rig.state(0),
        State::Failed {
            reason: Failure::Spawn(reason.into())
        }
    );
    let view = rig.engine.view(id(0)).unwrap();
    assert_eq!((view.detail.as_str(), view.last_exit), (reason, None));
}

#[test]
fn spawn_failure_that_can_pass_is_tried_again_whatever_the_policy() {
    let mut rig = Rig::with(&[policy(Policy::Never)]);
    for pause in [10, 10, 20, 40] {
        let run = rig.run(0);
        rig.fact(Fact::SpawnFailed {
            run,
            transient: true,
            reason: "fork: EAGAIN".into(),
        });
        assert_eq!(backoff_pause(&rig), Some(pause));
        rig.pass(pause);
    }
    rig.calm(Mood::Obedient);
    assert_eq!(rig.name(0), "running");
    assert_eq!(rig.engine.view(id(0)).unwrap().detail, "");
}

/// peers' behaviour 13
#[test]
fn exit_before_exec_status_is_handled_once() {
    let mut rig = Rig::with(&[policy(Policy::Never)]);
    let run = rig.run(0);
    rig.fact(Fact::Exited {
        run,
        exit: Exit::Code(3),
    });
    rig.send(Event::Fact(Fact::Spawned { run })).unwrap();
    rig.fact(Fact::Swept { run, left: 0 });
    assert_eq!(
        rig.state(0),
        State::Failed {
            reason: Failure::Exited(Exit::Code(3))
        }
    );
    let before = rig.engine.view(id(0));
    rig.send(Event::Fact(Fact::Spawned { run })).unwrap();
    assert_eq!(rig.engine.view(id(0)), before);
}

/// peers' behaviour 14
#[test]
fn exit_before_readiness_is_a_failed_start_and_dependents_wait_or_start_by_kind() {
    let soft = Spec {
        wants: set(&[0]),
        ..daemon()
    };
    let first = Spec {
        restart: policy(Policy::Never).restart,
        ..notify()
    };
    let mut rig = Rig::with(&[first, requiring(&[0]), soft]);
    rig.spawned(0);
    rig.exit(0, Exit::Code(1));
    assert_eq!(rig.name(0), "failed");
    assert_eq!(rig.state(1), State::Waiting { on: set(&[0]) });
    assert_eq!(rig.settled(1), Settled::WaitingOn(id(0)));
    assert_eq!(rig.name(2), "spawning");
}

/// peers' behaviours 15 and 22
#[test]
fn ready_timeout_stops_the_run_and_says_so() {
    let spec = Spec {
        restart: policy(Policy::Never).restart,
        ..notify()
    };
    let mut rig = Rig::with(&[spec]);
    rig.spawned(0);
    rig.pass(100);
    assert!(matches!(
        rig.state(0),
        State::Stopping {
            cause: StopCause::ReadyTimeout,
            ..
        }
    ));
    rig.pass(STOP_MS);
    assert!(rig.last.iter().any(|it| matches!(it, Effect::Kill { .. })));
    rig.calm(Mood::Obedient);
    assert_eq!(
        rig.state(0),
        State::Failed {
            reason: Failure::ReadyTimeout
        }
    );
}

/// peers' behaviour 16
#[test]
fn ready_timeout_of_a_soft_dependency_does_not_fail_its_dependent() {
    let mut rig = Rig::with(&[
        notify(),
        Spec {
            wants: set(&[0]),
            ..daemon()
        },
    ]);
    rig.calm(Mood::NeverReady);
    assert_eq!(rig.name(1), "waiting");
    for _ in 0..3 {
        rig.pass(100);
        rig.calm(Mood::NeverReady);
    }
    assert_eq!(rig.name(1), "running");
}

#[test]
fn ready_timeout_counts_as_an_early_death() {
    let mut rig = Rig::with(&[notify()]);
    rig.spawned(0);
    rig.pass(100);
    rig.exit(0, Exit::Signal(TERM));
    assert_eq!(rig.name(0), "spawning", "the first starts at once");
    rig.spawned(0);
    rig.pass(100);
    rig.exit(0, Exit::Signal(TERM));
    assert_eq!(backoff_pause(&rig), Some(10));
}

#[test]
fn ready_said_by_a_run_that_was_not_asked_to_is_not_believed() {
    let mut rig = Rig::with(&[Spec {
        ready: Ready::Probe(probe(3)),
        ..daemon()
    }]);
    rig.spawned(0);
    rig.ready(0);
    assert_eq!(rig.name(0), "starting");
}

#[test]
fn ready_before_spawned_is_not_lost() {
    let mut rig = Rig::with(&[notify()]);
    rig.ready(0);
    assert_eq!(rig.name(0), "running");
    rig.spawned(0);
    assert_eq!(rig.name(0), "running");
}

/// peers' behaviour 18
#[test]
fn reload_by_notify_lasts_until_ready_and_an_exit_in_it_is_an_exit() {
    let spec = Spec {
        reload: Some(hup()),
        ..notify()
    };
    let mut rig = Rig::up(&[spec]);
    rig.command(Command::Reload(set(&[0]))).unwrap();
    assert_eq!((rig.name(0), signals(&rig)), ("reloading", vec![1]));
    rig.ready(0);
    assert_eq!(rig.name(0), "running");
    rig.command(Command::Reload(set(&[0]))).unwrap();
    rig.exit(0, Exit::Code(1));
    assert_eq!(rig.name(0), "spawning");
}

/// peers' behaviour 20
#[test]
fn extend_prolongs_start_reload_and_stop() {
    let spec = Spec {
        reload: Some(hup()),
        ..notify()
    };
    let mut rig = Rig::with(&[spec]);
    rig.spawned(0);
    let run = rig.run(0);
    rig.pass(90);
    rig.fact(Fact::Notified {
        run,
        what: Notification::ExtendTimeout { ms: 500 },
    });
    rig.pass(499);
    assert_eq!(rig.name(0), "starting");
    rig.ready(0);
    rig.command(Command::Reload(set(&[0]))).unwrap();
    rig.fact(Fact::Notified {
        run,
        what: Notification::ExtendTimeout { ms: 500 },
    });
    rig.pass(499);
    assert_eq!(rig.name(0), "reloading");
    rig.pass(1);
    assert_eq!(rig.name(0), "running");
    rig.stop(0);
    rig.fact(Fact::Notified {
        run,
        what: Notification::ExtendTimeout { ms: 500 },
    });
    rig.pass(499);
    assert!(matches!(
        rig.state(0),
        State::Stopping {
            phase: StopPhase::Asked { .. },
            ..
        }
    ));
    rig.pass(1);
    assert!(matches!(
        rig.state(0),
        State::Stopping {
            phase: StopPhase::Killed { .. },
            ..
        }
    ));
}

#[test]
fn extend_never_shortens() {
    let mut rig = Rig::with(&[notify()]);
    rig.spawned(0);
    let run = rig.run(0);
    rig.fact(Fact::Notified {
        run,
        what: Notification::ExtendTimeout { ms: 1 },
    });
    rig.pass(99);
    assert_eq!(rig.name(0), "starting");
}

/// peers' behaviours 22 and 24
#[test]
fn stop_timeout_of_the_service_escalates_to_kill_once() {
    let slow = Spec {
        stop: Stop {
            signal: 3,
            escalation: None,
            timeout_ms: 200,
        },
        ..daemon()
    };
    let mut rig = Rig::up(&[daemon(), slow]);
    rig.stop(0);
    rig.stop(1);
    rig.pass(STOP_MS);
    let killed = |rig: &Rig, n| {
        matches!(
            rig.state(n),
            State::Stopping {
                phase: StopPhase::Killed { .. },
                ..
            }
        )
    };
    assert_eq!([killed(&rig, 0), killed(&rig, 1)], [true, false]);
    rig.pass(150);
    assert!(killed(&rig, 1));
    rig.calm(Mood::Stubborn);
    assert_eq!([rig.name(0), rig.name(1)], ["stopped"; 2]);
}

/// peers' behaviours 29 and 30
#[test]
fn start_limit_ends_in_failed_and_a_start_by_hand_resets_it() {
    let limit = Some(StartLimit {
        starts: 2,
        within_ms: 10_000,
    });
    let mut rig = Rig::with(&[Spec {
        restart: Restart {
            limit,
            ..daemon().restart
        },
        ..daemon()
    }]);
    for _ in 0..4 {
        rig.calm(Mood::DiesAtOnce);
        rig.pass(100);
    }
    assert_eq!(
        rig.state(0),
        State::Failed {
            reason: Failure::StartLimit
        }
    );
    assert_eq!(rig.engine.view(id(0)).unwrap().restarts, 2);
    rig.start(0);
    assert_eq!(rig.name(0), "spawning");
    assert_eq!(rig.engine.view(id(0)).unwrap().restarts, 0);
    rig.spawned(0);
    rig.exit(0, Exit::Code(1));
    assert_eq!(rig.name(0), "spawning", "its first early death again");
}

/// peers' behaviour 30
#[test]
fn start_limit_is_not_used_up_by_restarts_over_a_long_time() {
    let limit = Some(StartLimit {
        starts: 2,
        within_ms: 5000,
    });
    let mut rig = Rig::with(&[Spec {
        restart: Restart {
            limit,
            ..daemon().restart
        },
        ..daemon()
    }]);
    for _ in 0..20 {
        rig.calm(Mood::Obedient);
        rig.pass(3000);
        rig.exit(0, Exit::Code(0));
        assert_eq!(rig.name(0), "spawning");
    }
}

/// peers' behaviour 31
#[test]
fn on_failure_restarts_failures_and_not_successes() {
    let success = ExitSet {
        codes: [7].into(),
        signals: [10].into(),
    };
    let restart = Restart {
        policy: Policy::OnFailure,
        success,
        ..daemon().restart
    };
    let spec = Spec {
        restart,
        ..daemon()
    };
    let after = |exit| {
        let mut rig = Rig::up(std::slice::from_ref(&spec));
        rig.exit(0, exit);
        rig.name(0)
    };
    assert_eq!(
        [after(Exit::Code(1)), after(Exit::Signal(9))],
        ["spawning"; 2]
    );
    assert_eq!(
        [
            after(Exit::Code(0)),
            after(Exit::Code(7)),
            after(Exit::Signal(10))
        ],
        ["completed"; 3]
    );
}

/// peers' behaviour 32
#[test]
fn success_exit_codes_of_a_oneshot_satisfy_dependents() {
    let success = ExitSet {
        codes: [7].into(),
        signals: BTreeSet::new(),
    };
    let spec = Spec {
        restart: Restart {
            success,
            ..oneshot().restart
        },
        ..oneshot()
    };
    let mut rig = Rig::with(&[spec, requiring(&[0])]);
    rig.spawned(0);
    assert_eq!([rig.name(0), rig.name(1)], ["starting", "waiting"]);
    rig.exit(0, Exit::Code(7));
    assert_eq!([rig.name(0), rig.name(1)], ["completed", "spawning"]);
    assert_eq!(rig.settled(0), Settled::Completed);
}

/// peers' behaviour 33
#[test]
fn backoff_starts_with_the_second_early_death_grows_and_is_reset_by_good_uptime() {
    let mut rig = Rig::up(&[daemon()]);
    let mut pauses = Vec::new();
    for _ in 0..6 {
        rig.exit(0, Exit::Code(1));
        let pause = backoff_pause(&rig).unwrap_or(0);
        pauses.push(pause);
        rig.pass(pause);
        rig.calm(Mood::Obedient);
    }
    assert_eq!(pauses, [0, 10, 20, 40, 40, 40]);
    rig.pass(1000);
    assert_eq!(rig.engine.poll_timeout(), None, "idle means no wake-up");
    for expected in [None, None, Some(10)] {
        rig.exit(0, Exit::Code(1));
        assert_eq!(backoff_pause(&rig), expected);
        rig.calm(Mood::Obedient);
    }
}

#[test]
fn backoff_is_not_needed_when_the_uptime_was_good_though_no_timeout_was_told() {
    let mut rig = Rig::up(&[daemon()]);
    rig.exit(0, Exit::Code(1));
    rig.calm(Mood::Obedient);
    rig.now = rig.now.after(1000);
    rig.exit(0, Exit::Code(1));
    assert_eq!(rig.name(0), "spawning");
}

/// peers' behaviour 34
#[test]
fn start_by_hand_during_backoff_starts_now_and_resets_the_counts() {
    let mut rig = Rig::with(&[daemon()]);
    rig.calm(Mood::DiesAtOnce);
    rig.start(0);
    assert_eq!(rig.name(0), "spawning");
    assert_eq!(rig.engine.view(id(0)).unwrap().restarts, 0);
    rig.spawned(0);
    rig.exit(0, Exit::Code(1));
    assert_eq!(rig.name(0), "spawning", "its first early death again");
}

fn live() -> Spec {
    Spec {
        liveness: Some(probe(3)),
        health: Some(probe(2)),
        ..daemon()
    }
}

fn answer(rig: &mut Rig, probe: ProbeKind, answers: &[bool]) {
    for ok in answers {
        rig.pass(10);
        rig.probed(0, probe, *ok);
    }
}

/// peers' behaviour 36
#[test]
fn liveness_below_its_threshold_does_nothing_and_at_it_restarts() {
    let mut rig = Rig::up(&[live()]);
    answer(
        &mut rig,
        ProbeKind::Liveness,
        &[false, false, true, false, false],
    );
    assert_eq!(rig.name(0), "running");
    answer(&mut rig, ProbeKind::Liveness, &[false]);
    assert!(matches!(
        rig.state(0),
        State::Stopping {
            cause: StopCause::Liveness,
            ..
        }
    ));
    assert_eq!(signals(&rig), [TERM]);
    rig.exit(0, Exit::Code(0));
    assert_eq!(rig.name(0), "spawning");
    assert_eq!(rig.engine.view(id(0)).unwrap().restarts, 1);
}

#[test]
fn liveness_restarts_also_when_the_policy_is_on_failure_and_it_ends_well() {
    let restart = policy(Policy::OnFailure).restart;
    let mut rig = Rig::up(&[Spec { restart, ..live() }]);
    answer(&mut rig, ProbeKind::Liveness, &[false; 3]);
    rig.exit(0, Exit::Code(0));
    assert_eq!(rig.name(0), "spawning");
}

/// What its probe had said of it before would hide why it died.
#[test]
fn the_reason_of_a_death_while_starting_is_the_exit() {
    let mut rig = Rig::with(&[Spec {
        ready: Ready::Probe(probe(1)),
        ..daemon()
    }]);
    for _ in 0..2 {
        rig.spawned(0);
        rig.pass(10);
        rig.probed(0, ProbeKind::Ready, false);
        assert_eq!(rig.engine.view(id(0)).unwrap().detail, "no");
        rig.exit(0, Exit::Code(1));
    }
    assert_eq!(rig.name(0), "backoff");
    assert_eq!(rig.engine.view(id(0)).unwrap().detail, "");
}

#[test]
fn health_is_shown_and_restarts_nothing() {
    let mut rig = Rig::up(&[live()]);
    let healthy = |rig: &Rig| rig.engine.view(id(0)).unwrap().healthy;
    answer(&mut rig, ProbeKind::Health, &[true, false]);
    assert_eq!(healthy(&rig), Some(true));
    answer(&mut rig, ProbeKind::Health, &[false, false]);
    assert_eq!((healthy(&rig), rig.name(0)), (Some(false), "running"));
    let unhealthy = |rig: &Rig| rig.engine.view(id(0)).unwrap().unhealthy;
    assert_eq!(unhealthy(&rig), Some(Unhealthy::Probe("no".to_owned())));
    answer(&mut rig, ProbeKind::Health, &[true]);
    assert_eq!(unhealthy(&rig), None);
}

/// peers' behaviour 37
#[test]
fn probe_answer_during_backoff_does_not_restart_twice() {
    let mut rig = Rig::up(&[live()]);
    rig.exit(0, Exit::Code(1));
    rig.calm(Mood::Obedient);
    rig.pass(10);
    let run = rig.run(0);
    rig.exit(0, Exit::Code(1));
    let before = rig.engine.view(id(0));
    assert_eq!(rig.name(0), "backoff");
    let probe = ProbeKind::Liveness;
    for _ in 0..3 {
        let fact = Fact::Probed {
            run,
            probe,
            ok: false,
            detail: "late".into(),
        };
        rig.send(Event::Fact(fact)).unwrap();
    }
    assert_eq!(rig.engine.view(id(0)), before);
}

/// peers' behaviour 38
#[test]
fn probe_counts_are_zero_after_a_restart() {
    let mut rig = Rig::up(&[live()]);
    answer(&mut rig, ProbeKind::Liveness, &[false, false]);
    rig.restart(0);
    rig.calm(Mood::Obedient);
    answer(&mut rig, ProbeKind::Liveness, &[false, false]);
    assert_eq!(rig.name(0), "running");
}

#[test]
fn ready_probe_failures_never_end_a_run_and_its_first_success_is_ready() {
    let ready = Ready::Probe(ProbeSpec {
        delay_ms: 5,
        ..probe(1)
    });
    let mut rig = Rig::with(&[Spec {
        ready,
        ready_timeout_ms: None,
        ..daemon()
    }]);
    rig.spawned(0);
    assert!(rig.probes.is_empty(), "its delay is not over");
    rig.pass(5);
    for _ in 0..50 {
        rig.probed(0, ProbeKind::Ready, false);
        rig.pass(10);
    }
    assert_eq!(rig.name(0), "starting");
    assert_eq!(rig.engine.view(id(0)).unwrap().detail, "no");
    rig.probed(0, ProbeKind::Ready, true);
    assert_eq!(rig.name(0), "running");
}

#[test]
fn liveness_and_health_probes_start_after_ready() {
    let mut rig = Rig::with(&[Spec {
        ready: Ready::Notify,
        ..live()
    }]);
    rig.spawned(0);
    rig.pass(50);
    assert!(rig.probes.is_empty());
    rig.ready(0);
    rig.pass(0);
    assert_eq!(rig.probes.len(), 2);
}

#[test]
fn validator_refusal_on_start_is_tried_again_and_a_fixed_file_is_taken() {
    let mut rig = Rig::with(&[Spec {
        validated: true,
        ..daemon()
    }]);
    let run = *rig.procs.first_key_value().unwrap().0;
    rig.fact(Fact::Validated {
        run,
        verdict: refused(),
    });
    assert_eq!(backoff_pause(&rig), Some(10));
    assert!(rig.engine.view(id(0)).unwrap().detail.contains("validator"));
    rig.pass(10);
    rig.calm(Mood::Obedient);
    assert_eq!(rig.name(0), "running");
}

#[test]
fn reload_asked_for_during_a_start_or_a_reload_is_done_after_it() {
    let spec = Spec {
        reload: Some(hup()),
        ..notify()
    };
    let mut rig = Rig::with(&[spec]);
    rig.spawned(0);
    rig.command(Command::Reload(set(&[0]))).unwrap();
    assert!(signals(&rig).is_empty());
    rig.ready(0);
    assert_eq!((rig.name(0), signals(&rig)), ("reloading", vec![1]));
    rig.command(Command::Reload(set(&[0]))).unwrap();
    rig.ready(0);
    assert_eq!((rig.name(0), signals(&rig)), ("reloading", vec![1]));
    rig.ready(0);
    assert_eq!(rig.name(0), "running");
}

#[test]
fn reload_command_dies_with_the_stop_of_its_run() {
    let mut rig = Rig::up(&[Spec {
        reload: Some(by_command()),
        ..daemon()
    }]);
    rig.command(Command::Reload(set(&[0]))).unwrap();
    rig.stop(0);
    assert!(matches!(rig.last[1], Effect::Kill { .. }));
    rig.calm(Mood::Obedient);
    assert_eq!(rig.name(0), "stopped");
}

#[test]
fn reload_and_signal_are_refused_without_a_process_or_a_way() {
    let with = Spec {
        reload: Some(by_command()),
        ..daemon()
    };
    let mut rig = Rig::up(&[daemon(), with]);
    rig.stop(1);
    rig.calm(Mood::Obedient);
    let reload = |n| Command::Reload(set(&[n]));
    assert_eq!(rig.command(reload(0)), Err(Refusal::CannotReload(id(0))));
    assert_eq!(rig.command(reload(1)), Err(Refusal::NotRunning(id(1))));
    assert_eq!(
        rig.command(Command::Signal(set(&[0, 1]), 10)),
        Err(Refusal::NotRunning(id(1)))
    );
    rig.command(Command::Signal(set(&[0]), 10)).unwrap();
    assert_eq!(signals(&rig), [10]);
    assert_eq!(rig.command(reload(9)), Err(Refusal::Unknown(id(9))));
}

#[test]
fn one_that_gives_up_its_descriptor_for_readiness_has_failed_to_start() {
    let mut rig = Rig::with(&[Spec {
        ready: Ready::ReadySignal,
        ..daemon()
    }]);
    rig.spawned(0);
    let run = rig.run(0);
    rig.fact(Fact::Notified {
        run,
        what: Notification::ReadyClosed,
    });
    assert_eq!(rig.name(0), "stopping");
    rig.exit(0, Exit::Signal(15));
    let view = rig.engine.view(id(0)).unwrap();
    assert!(view.detail.contains("closed"), "{view:?}");
    // The same of one that is ready by exec says nothing.
    let mut rig = Rig::up(&[daemon()]);
    let run = rig.run(0);
    rig.fact(Fact::Notified {
        run,
        what: Notification::ReadyClosed,
    });
    assert_eq!(rig.name(0), "running");
}

#[test]
fn oneshot_failure_follows_its_policy() {
    let mut rig = Rig::with(&[oneshot()]);
    rig.spawned(0);
    rig.exit(0, Exit::Code(1));
    rig.spawned(0);
    rig.exit(0, Exit::Code(1));
    assert_eq!(backoff_pause(&rig), Some(10));
    rig.pass(10);
    rig.calm(Mood::Obedient);
    assert_eq!(rig.name(0), "completed");
    rig.start(0);
    assert_eq!(rig.name(0), "completed", "it has run");
    rig.restart(0);
    assert_eq!(rig.name(0), "spawning");
}

#[test]
fn facts_about_a_run_that_is_over_are_dropped() {
    let mut rig = Rig::up(&[live()]);
    let run = rig.run(0);
    rig.restart(0);
    rig.calm(Mood::Obedient);
    let before = rig.engine.record(id(0));
    for fact in [
        Fact::Exited {
            run,
            exit: Exit::Code(0),
        },
        Fact::Swept { run, left: 1 },
        Fact::Notified {
            run,
            what: Notification::Ready,
        },
        Fact::SpawnFailed {
            run,
            transient: false,
            reason: String::new(),
        },
        Fact::Validated {
            run,
            verdict: refused(),
        },
        Fact::Notified {
            run,
            what: Notification::ExtendTimeout { ms: 9 },
        },
        Fact::Reloaded {
            run,
            outcome: refused(),
        },
    ] {
        rig.send(Event::Fact(fact)).unwrap();
        assert!(rig.last.is_empty());
    }
    assert_eq!(rig.engine.record(id(0)), before);
}

#[test]
fn run_numbers_are_shared_and_never_used_twice() {
    let mut rig = Rig::up(&[daemon()]);
    let run = rig.run(0);
    let other = rig.engine.allocate_run();
    rig.restart(0);
    rig.calm(Mood::Obedient);
    assert!(run < other && other < rig.run(0));
    assert_eq!(rig.engine.service_of(run), None);
    assert_eq!(rig.engine.service_of(rig.run(0)), Some(id(0)));
}
