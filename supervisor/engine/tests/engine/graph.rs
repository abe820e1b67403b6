//! Rules between services: order, holds, dependents, and what a crash means to other services.

use engine::*;

use crate::common::*;

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
    // Service 1 is a completed oneshot between them: service 2 must still stop before service 0.
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

/// A thousand services boot and stop with a bounded number of effects per service.
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
