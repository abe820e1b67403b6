//! The rules between services: order, holds, dependents, plans, shutdown, rebirth.

mod common;

use common::*;
use engine::*;

fn names(rig: &Rig) -> Vec<&'static str> {
    rig.specs.keys().map(|id| rig.name(id.0)).collect()
}

fn keep(spec: Spec) -> Box<Spec> {
    Box::new(spec)
}

/// 0 <- 1 <- 2, by `requires`.
fn chain() -> [Spec; 3] {
    [daemon(), requiring(&[0]), requiring(&[1])]
}

/// peers' behaviour 1
#[test]
fn start_order_follows_requires_and_says_on_what_it_waits() {
    let mut rig = Rig::with(&chain());
    assert_eq!(names(&rig), ["spawning", "waiting", "waiting"]);
    assert_eq!(rig.state(2), State::Waiting { on: set(&[1]) });
    rig.spawned(0);
    assert_eq!(names(&rig), ["running", "spawning", "waiting"]);
    rig.spawned(1);
    rig.spawned(2);
    assert_eq!(names(&rig), ["running"; 3]);
}

/// peers' behaviour 1
#[test]
fn start_lifts_the_holds_of_targets_and_of_what_they_require_and_no_other() {
    let mut specs = chain().to_vec();
    specs.push(Spec {
        wants: set(&[0]),
        ..daemon()
    });
    let mut rig = Rig::up(&specs);
    rig.command(Command::Stop(set(&[0, 1, 2, 3]), hold()))
        .unwrap();
    rig.calm(Mood::Obedient);
    assert_eq!(names(&rig), ["stopped"; 4]);
    let accepted = rig.start(1);
    assert_eq!(accepted.lifted, [(id(0), hold()), (id(1), hold())]);
    rig.calm(Mood::Obedient);
    assert_eq!(names(&rig), ["running", "running", "stopped", "stopped"]);
    rig.stop(0);
    rig.calm(Mood::Obedient);
    assert_eq!(
        rig.start(3).lifted,
        [(id(3), hold())],
        "a wish lifts nothing"
    );
    rig.calm(Mood::Obedient);
    assert_eq!(names(&rig), ["stopped", "waiting", "stopped", "running"]);
}

#[test]
fn start_retries_what_a_target_requires_and_has_failed() {
    let never = Restart {
        policy: Policy::Never,
        ..daemon().restart
    };
    let mut rig = Rig::up(&[
        Spec {
            restart: never,
            ..daemon()
        },
        requiring(&[0]),
    ]);
    rig.stop(1);
    rig.exit(1, Exit::Code(0));
    rig.exit(0, Exit::Code(1));
    let accepted = rig.start(1);
    assert_eq!(accepted.affected, set(&[0, 1]));
    rig.calm(Mood::Obedient);
    assert_eq!(names(&rig), ["running"; 2]);
}

/// peers' behaviours 2 and 3
#[test]
fn stop_takes_dependents_down_first_and_they_come_back_by_themselves() {
    let mut rig = Rig::up(&chain());
    let accepted = rig.stop(0);
    assert_eq!(
        (accepted.affected, accepted.dependents),
        (set(&[0]), set(&[1, 2]))
    );
    assert_eq!(names(&rig), ["running", "running", "stopping"]);
    rig.exit(2, Exit::Code(0));
    assert_eq!(names(&rig), ["running", "stopping", "waiting"]);
    rig.exit(1, Exit::Code(0));
    assert_eq!(names(&rig), ["stopping", "waiting", "waiting"]);
    rig.exit(0, Exit::Code(0));
    assert_eq!(names(&rig), ["stopped", "waiting", "waiting"]);
    assert_eq!(rig.settled(2), Settled::WaitingOn(id(1)));
    assert_eq!(rig.engine.view(id(1)).unwrap().goal, Goal::Up);
    rig.start(0);
    rig.calm(Mood::Obedient);
    assert_eq!(names(&rig), ["running"; 3]);
    assert!(rig.stop(1).dependents == set(&[2]));
}

#[test]
fn stop_waits_for_a_dependent_that_will_not_stop_at_most_until_its_kill_deadline() {
    let mut rig = Rig::up(&chain()[..2]);
    rig.stop(0);
    rig.pass(STOP_MS - 1);
    assert_eq!(rig.name(0), "running");
    rig.pass(1);
    assert!(matches!(
        rig.state(1),
        State::Stopping {
            phase: StopPhase::Killed { .. },
            ..
        }
    ));
    assert_eq!(rig.name(0), "stopping");
}

#[test]
fn stop_order_reaches_through_a_dependent_that_is_down_itself() {
    // 1 is a completed oneshot between them: 2 must still go before 0.
    let mut rig = Rig::up(&[
        daemon(),
        Spec {
            requires: set(&[0]),
            ..oneshot()
        },
        requiring(&[1]),
    ]);
    assert_eq!(names(&rig), ["running", "completed", "running"]);
    rig.stop(0);
    assert_eq!(names(&rig), ["running", "completed", "stopping"]);
    rig.exit(2, Exit::Code(0));
    assert_eq!(names(&rig), ["stopping", "waiting", "waiting"]);
}

#[test]
fn reload_of_what_is_about_to_stop_is_refused() {
    let spec = Spec {
        validated: true,
        reload: Some(by_command()),
        ..daemon()
    };
    let mut rig = Rig::up(&[spec, requiring(&[0])]);
    rig.stop(0);
    assert_eq!(names(&rig), ["running", "stopping"]);
    assert_eq!(
        rig.command(Command::Reload(set(&[0]))),
        Err(Refusal::NotRunning(id(0)))
    );
    rig.calm(Mood::Obedient);
    assert_eq!(rig.name(0), "stopped");
}

/// peers' behaviour 7
#[test]
fn stop_while_waiting_for_dependencies_is_stopped_at_once() {
    let mut rig = Rig::with(&chain());
    rig.stop(2);
    assert_eq!(names(&rig), ["spawning", "waiting", "stopped"]);
}

/// peers' behaviour 8
#[test]
fn restart_while_waiting_does_not_start_early_or_hang() {
    let mut rig = Rig::with(&chain());
    rig.restart(1);
    assert_eq!(names(&rig), ["spawning", "waiting", "waiting"]);
    rig.calm(Mood::Obedient);
    assert_eq!(names(&rig), ["running"; 3]);
}

/// peers' behaviour 35
#[test]
fn restart_bounces_what_requires_it_in_order_and_not_what_wants_it() {
    let mut specs = chain().to_vec();
    specs.push(Spec {
        wants: set(&[0]),
        ..daemon()
    });
    let mut rig = Rig::up(&specs);
    let before: Vec<_> = (0..4).map(|n| rig.run(n)).collect();
    let accepted = rig.restart(0);
    assert_eq!(
        (accepted.affected, accepted.dependents),
        (set(&[0]), set(&[1, 2]))
    );
    rig.calm(Mood::Obedient);
    assert_eq!(names(&rig), ["running"; 4]);
    let same: Vec<_> = (0..4).map(|n| rig.run(n) == before[n as usize]).collect();
    assert_eq!(same, [false, false, false, true]);
    assert_eq!(rig.engine.view(id(1)).unwrap().restarts, 0);
}

#[test]
fn restart_over_a_held_requirement_is_refused_and_names_who_held_it() {
    let mut rig = Rig::up(&chain());
    rig.stop(0);
    rig.calm(Mood::Obedient);
    let refusal = Refusal::RequirementHeld {
        service: id(2),
        requirement: id(0),
        hold: hold(),
    };
    assert_eq!(rig.command(Command::Restart(set(&[2]))), Err(refusal));
    let both = rig.command(Command::Restart(set(&[0, 2]))).unwrap();
    assert_eq!(both.lifted, [(id(0), hold())]);
    rig.calm(Mood::Obedient);
    assert_eq!(names(&rig), ["running"; 3]);
}

/// peers' behaviour 35
#[test]
fn crash_of_a_dependency_does_not_bounce_its_dependents_unless_bound() {
    let bound = Spec {
        binds_to: set(&[0]),
        ..daemon()
    };
    let mut rig = Rig::up(&[daemon(), requiring(&[0]), bound, requiring(&[2])]);
    let before: Vec<_> = (0..4).map(|n| rig.run(n)).collect();
    let run = rig.run(0);
    rig.fact(Fact::Exited {
        run,
        exit: Exit::Signal(9),
    });
    assert_eq!(names(&rig), ["stopping", "running", "stopping", "running"]);
    rig.calm(Mood::Obedient);
    assert_eq!(names(&rig), ["running"; 4]);
    let same: Vec<_> = (0..4).map(|n| rig.run(n) == before[n as usize]).collect();
    assert_eq!(same, [false, true, false, true]);
}

#[test]
fn waiting_starts_by_itself_when_a_failed_dependency_recovers() {
    let never = Restart {
        policy: Policy::Never,
        ..daemon().restart
    };
    let mut rig = Rig::with(&[
        Spec {
            restart: never,
            ..daemon()
        },
        requiring(&[0]),
    ]);
    rig.spawned(0);
    rig.exit(0, Exit::Code(1));
    rig.calm(Mood::Obedient);
    rig.exit(1, Exit::Code(1));
    assert_eq!(names(&rig), ["failed", "waiting"]);
    rig.start(0);
    rig.calm(Mood::Obedient);
    assert_eq!(names(&rig), ["running"; 2]);
}

#[test]
fn after_orders_alone_and_an_edge_to_nothing_constrains_nothing() {
    let late = Spec {
        after: set(&[0]),
        requires: set(&[77]),
        ..daemon()
    };
    let mut rig = Rig::with(&[daemon(), late]);
    assert_eq!(names(&rig), ["spawning", "waiting"]);
    rig.spawned(0);
    assert_eq!(rig.name(1), "spawning");
    rig.spawned(1);
    rig.stop(0);
    assert_eq!(names(&rig), ["stopping", "running"], "it stops nothing");
    rig.calm(Mood::Obedient);
    rig.restart(1);
    rig.calm(Mood::Obedient);
    assert_eq!(
        names(&rig),
        ["stopped", "running"],
        "a held one has settled"
    );
}

/// peers' behaviour 2
#[test]
fn shutdown_runs_in_reverse_order_in_parallel_without_holds() {
    let after = Spec {
        after: set(&[0]),
        ..daemon()
    };
    let mut rig = Rig::up(&[daemon(), requiring(&[0]), after, daemon()]);
    rig.command(Command::Shutdown { deadline_ms: 1000 })
        .unwrap();
    assert_eq!(names(&rig), ["running", "stopping", "stopping", "stopping"]);
    assert_eq!(
        rig.command(Command::Start(set(&[0]))),
        Err(Refusal::ShuttingDown)
    );
    rig.calm(Mood::Obedient);
    assert_eq!(rig.complete, Some(true));
    for n in 0..4 {
        let record = rig.engine.record(id(n)).unwrap();
        assert_eq!((record.goal, record.hold), (Goal::Up, None));
    }
    assert_eq!(rig.engine.poll_timeout(), None);
}

#[test]
fn shutdown_kills_what_is_left_at_the_deadline_and_a_second_one_shortens_it() {
    let slow = Spec {
        stop: Stop {
            signal: 3,
            escalation: None,
            timeout_ms: 3_600_000,
        },
        ..daemon()
    };
    let mut rig = Rig::up(&[
        slow.clone(),
        Spec {
            requires: set(&[0]),
            ..slow
        },
    ]);
    rig.command(Command::Shutdown {
        deadline_ms: 60_000,
    })
    .unwrap();
    rig.command(Command::Shutdown { deadline_ms: 100 }).unwrap();
    rig.command(Command::Shutdown {
        deadline_ms: 90_000,
    })
    .unwrap();
    rig.pass(99);
    assert_eq!(names(&rig), ["running", "stopping"]);
    rig.pass(1);
    let kills = rig
        .last
        .iter()
        .filter(|it| matches!(it, Effect::Kill { .. }))
        .count();
    assert_eq!(kills, 2);
    assert_eq!(rig.complete, None);
    rig.calm(Mood::Stubborn);
    assert_eq!(rig.complete, Some(true));
}

#[test]
fn shutdown_gives_up_on_what_even_a_kill_does_not_end() {
    let mut rig = Rig::up(&[daemon()]);
    rig.command(Command::Shutdown { deadline_ms: 100 }).unwrap();
    rig.pass(60_000);
    assert_eq!(rig.complete, Some(false));
    assert_eq!(Rig::new().engine.poll_timeout(), None);
}

#[test]
fn shutdown_of_nothing_is_complete_at_once() {
    let mut rig = Rig::new();
    rig.command(Command::Shutdown { deadline_ms: 100 }).unwrap();
    assert_eq!(rig.complete, Some(true));
}

#[test]
fn oneshot_runs_again_when_a_dependency_was_stopped_by_command_and_not_when_it_crashed() {
    let mut rig = Rig::up(&[
        daemon(),
        Spec {
            requires: set(&[0]),
            ..oneshot()
        },
    ]);
    rig.exit(0, Exit::Signal(9));
    rig.calm(Mood::Obedient);
    assert_eq!(names(&rig), ["running", "completed"]);
    rig.restart(0);
    rig.exit(0, Exit::Code(0));
    assert_eq!(names(&rig), ["spawning", "waiting"]);
    rig.spawned(0);
    assert_eq!(names(&rig), ["running", "spawning"]);
    rig.calm(Mood::Obedient);
    let impact = [ProcessImpact::Restart, ProcessImpact::Keep];
    let plan = (0..2).map(|n| (id(n), keep(rig.specs[&id(n)].clone()), impact[n as usize]));
    let plan = plan.collect();
    rig.apply_plan(plan).unwrap();
    rig.exit(0, Exit::Code(0));
    rig.spawned(0);
    assert_eq!(names(&rig), ["running", "spawning"]);
}

/// peers' behaviour 39
#[test]
fn plan_keeps_changes_adds_and_removes() {
    let old = [
        daemon(),
        daemon(),
        requiring(&[1]),
        requiring(&[0]),
        daemon(),
    ];
    let mut rig = Rig::up(&old);
    let before: Vec<_> = (0..5).map(|n| rig.run(n)).collect();
    let changed = Spec {
        stop: Stop {
            signal: 3,
            escalation: None,
            timeout_ms: 9,
        },
        ..daemon()
    };
    let accepted = rig
        .apply_plan(vec![
            (id(0), keep(daemon()), ProcessImpact::Keep),
            (id(1), keep(changed), ProcessImpact::Restart),
            (id(2), keep(requiring(&[1])), ProcessImpact::Keep),
            (id(3), keep(requiring(&[0])), ProcessImpact::Keep),
            (id(9), keep(daemon()), ProcessImpact::Keep),
        ])
        .unwrap();
    assert_eq!(
        (accepted.affected, accepted.dependents),
        (set(&[1, 4]), set(&[2]))
    );
    rig.exit(2, Exit::Code(0));
    let asked = Effect::Signal {
        service: id(1),
        run: before[1],
        signal: TERM,
        purpose: SignalPurpose::Stop,
    };
    assert!(
        rig.last.contains(&asked),
        "the old process is stopped in the old way"
    );
    rig.calm(Mood::Obedient);
    assert_eq!(rig.engine.view(id(4)), None);
    assert!(!rig.specs.contains_key(&id(4)), "forgotten");
    assert_eq!(names(&rig), ["running"; 5]);
    let same: Vec<_> = (0..4).map(|n| rig.run(n) == before[n as usize]).collect();
    assert_eq!(same, [true, false, false, true]);
    assert_eq!(
        rig.command(Command::Start(set(&[4]))),
        Err(Refusal::Unknown(id(4)))
    );
}

#[test]
fn plan_removes_dependents_before_what_they_require_and_can_take_them_back() {
    let mut rig = Rig::up(&chain());
    rig.apply_plan(vec![]).unwrap();
    assert_eq!(names(&rig), ["running", "running", "stopping"]);
    rig.apply(&chain(), ProcessImpact::Keep).unwrap();
    rig.calm(Mood::Obedient);
    assert_eq!(names(&rig), ["running"; 3]);
    rig.apply_plan(vec![]).unwrap();
    rig.calm(Mood::Obedient);
    assert!(rig.specs.is_empty() && rig.procs.is_empty());
}

/// peers' behaviour 39
#[test]
fn plan_that_a_reload_can_take_reloads_what_runs_and_restarts_what_cannot() {
    let can = Spec {
        reload: Some(hup()),
        ..daemon()
    };
    let mut rig = Rig::up(&[can.clone(), daemon()]);
    let before = [rig.run(0), rig.run(1)];
    rig.apply(&[can, daemon()], ProcessImpact::Reload).unwrap();
    let hup = Effect::Signal {
        service: id(0),
        run: before[0],
        signal: 1,
        purpose: SignalPurpose::Reload,
    };
    assert!(rig.last.contains(&hup));
    rig.calm(Mood::Obedient);
    assert_eq!(rig.run(0), before[0]);
    assert_ne!(rig.run(1), before[1]);
}

#[test]
fn plan_never_lifts_a_hold_and_retries_what_failed_and_has_changed() {
    let never = Spec {
        restart: Restart {
            policy: Policy::Never,
            ..daemon().restart
        },
        ..daemon()
    };
    let mut rig = Rig::up(&[daemon(), never.clone()]);
    rig.stop(0);
    rig.exit(0, Exit::Code(0));
    rig.exit(1, Exit::Code(1));
    rig.apply(&[daemon(), never.clone()], ProcessImpact::Keep)
        .unwrap();
    assert_eq!(names(&rig), ["stopped", "failed"]);
    rig.apply(&[daemon(), never], ProcessImpact::Restart)
        .unwrap();
    assert_eq!(names(&rig), ["stopped", "spawning"]);
}

/// peers' behaviour 40
#[test]
fn plan_with_a_loop_is_refused_with_the_loop_and_changes_nothing() {
    let mut rig = Rig::up(&chain());
    let loops = [requiring(&[2]), requiring(&[0]), requiring(&[1])];
    let refusal = rig.apply(&loops, ProcessImpact::Restart);
    assert_eq!(refusal, Err(Refusal::Cycle(vec![id(0), id(2), id(1)])));
    assert_eq!(names(&rig), ["running"; 3]);
    rig.specs = (0..).zip(chain()).map(|(n, spec)| (id(n), spec)).collect();
    rig.stop(0);
    rig.calm(Mood::Obedient);
    assert_eq!(names(&rig), ["stopped", "waiting", "waiting"]);
}

#[test]
fn rebirth_restarts_nothing_and_hears_what_it_missed() {
    let live = Spec {
        liveness: Some(probe(2)),
        ..daemon()
    };
    let mut old = Rig::up(&[live, requiring(&[0]), daemon(), oneshot()]);
    old.stop(2);
    old.calm(Mood::Obedient);
    old.pass(10);
    assert_eq!(old.probes.len(), 1, "one is under way");
    let mut new = old.reborn();
    let specs: Vec<_> = old.specs.values().cloned().collect();
    new.apply(&specs, ProcessImpact::Keep).unwrap();
    assert!(
        !new.last
            .iter()
            .any(|it| matches!(it, Effect::Spawn { .. } | Effect::Signal { .. }))
    );
    assert_eq!(names(&new), ["running", "running", "stopped", "completed"]);
    assert_eq!(new.run(0), old.run(0));
    new.pass(0);
    assert_eq!(new.probes.len(), 1, "it is asked again");
    new.spawned(0);
    assert_eq!(new.name(0), "running");
    assert!(new.engine.allocate_run() > old.run(0).max(old.run(1)));
    let run = new.run(1);
    new.fact(Fact::SpawnFailed {
        run,
        transient: true,
        reason: "the keeper has no such run".into(),
    });
    assert_eq!(new.name(1), "spawning");
    new.calm(Mood::Obedient);
    new.exit(0, Exit::Signal(9));
    assert_eq!(names(&new), ["spawning", "running", "stopped", "completed"]);
}

#[test]
fn rebirth_in_a_stop_says_the_stop_again() {
    let mut old = Rig::up(&[daemon()]);
    old.stop(0);
    let mut new = old.reborn();
    new.apply(&[daemon()], ProcessImpact::Keep).unwrap();
    assert!(matches!(
        new.last[..],
        [
            _,
            Effect::Signal {
                signal: TERM,
                purpose: SignalPurpose::Stop,
                ..
            }
        ]
    ));
    new.calm(Mood::Obedient);
    assert_eq!(new.name(0), "stopped");
}

#[test]
fn rebirth_without_a_service_in_the_plan_stops_and_forgets_it() {
    let spec = Spec {
        stop: Stop {
            signal: 3,
            escalation: None,
            timeout_ms: 7,
        },
        ..daemon()
    };
    let old = Rig::up(&[spec]);
    let mut new = old.reborn();
    new.apply_plan(vec![]).unwrap();
    assert!(new.last.contains(&Effect::Signal {
        service: id(0),
        run: old.run(0),
        signal: 3,
        purpose: SignalPurpose::Stop
    }));
    new.calm(Mood::Obedient);
    assert_eq!(new.engine.view(id(0)), None);
}

#[test]
fn rebirth_into_a_shutdown_starts_nothing() {
    let mut old = Rig::up(&[daemon(), daemon()]);
    old.command(Command::Shutdown { deadline_ms: 1000 })
        .unwrap();
    old.exit(0, Exit::Code(0));
    let mut new = old.reborn();
    new.command(Command::Shutdown { deadline_ms: 1000 })
        .unwrap();
    assert_eq!(new.complete, None);
    new.apply(&[daemon(), daemon()], ProcessImpact::Keep)
        .unwrap();
    assert_eq!(new.name(0), "stopped");
    new.calm(Mood::Obedient);
    assert_eq!(new.complete, Some(true));
}

#[test]
fn restored_holds_stay_down() {
    let mut rig = Rig::new();
    rig.engine
        .restore(id(0), Record::at_rest(Goal::Down, Some(hold())));
    rig.engine.restore(id(1), Record::at_rest(Goal::Up, None));
    rig.apply(&[daemon(), daemon()], ProcessImpact::Keep)
        .unwrap();
    assert_eq!(names(&rig), ["stopped", "spawning"]);
}

#[test]
fn stop_order_is_the_reverse_of_start_order() {
    let rig = Rig::with(&[requiring(&[1]), requiring(&[2]), daemon()]);
    assert_eq!(rig.engine.stop_order(), [id(0), id(1), id(2)]);
}

/// A thousand services boot and stop with work in proportion to the events.
#[test]
fn thousand_services_boot_and_stop() {
    let mut specs = vec![daemon()];
    specs.extend((1..1000).map(|n| requiring(if n % 2 == 0 { &[0] } else { &[0, 2] })));
    specs[2] = requiring(&[0]);
    let mut engine = Engine::new(1, RunId(1));
    let plan = (0..)
        .zip(&specs)
        .map(|(n, it)| (id(n), Box::new(it.clone()), ProcessImpact::Keep));
    engine
        .handle(Moment(0), Event::Command(Command::Apply(plan.collect())))
        .unwrap();
    let mut effects = 0;
    let mut pump = |engine: &mut Engine| {
        while let Some(effect) = engine.poll_effect() {
            effects += 1;
            let facts = match effect {
                Effect::Spawn { run, .. } => vec![Fact::Spawned { run }],
                Effect::Signal { run, .. } => {
                    vec![
                        Fact::Exited {
                            run,
                            exit: Exit::Code(0),
                        },
                        Fact::Swept { run, left: 0 },
                    ]
                }
                _ => vec![],
            };
            for fact in facts {
                engine.handle(Moment(1), Event::Fact(fact)).unwrap();
            }
        }
    };
    pump(&mut engine);
    assert!((0..1000).all(|n| engine.settled(id(n)) == Some(Settled::Ready)));
    let shutdown = Command::Shutdown {
        deadline_ms: 60_000,
    };
    engine.handle(Moment(2), Event::Command(shutdown)).unwrap();
    pump(&mut engine);
    assert!((0..1000).all(|n| engine.view(id(n)).unwrap().state == State::Stopped));
    assert!(effects < 20_000, "{effects} effects");
}
