//! Random graphs and random histories of commands, facts, time and rebirths against the model
//! world. The world checks the invariants at every effect (see `common`). At the end the world
//! turns fair, and every service must come to rest where it is wanted.

use std::collections::BTreeSet;

use engine::*;
use proptest::prelude::*;

use crate::common::*;

/// The steps of a history; their numbers choose among the moves that are possible at that point.
#[derive(Clone, Debug)]
enum Step {
    Start(u32),
    Stop(u32),
    Once(u32),
    Run(u32),
    Job(u32),
    Lease(u32, u32),
    Release(u32),
    Restart(u32),
    Reload(u32),
    Apply(u32, u8),
    Spawned(u8),
    Fact(u8, u8),
    Fair(u8),
    Time,
    Rebirth,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (0..6u32).prop_map(Step::Start),
        1 => (0..6u32).prop_map(Step::Once),
        1 => (0..6u32).prop_map(Step::Run),
        2 => (0..6u32).prop_map(Step::Job),
        2 => (0..6u32, 0..6u32).prop_map(|(job, of)| Step::Lease(job, of)),
        1 => (0..6u32).prop_map(Step::Release),
        2 => (0..6u32).prop_map(Step::Stop),
        2 => (0..6u32).prop_map(Step::Restart),
        1 => (0..6u32).prop_map(Step::Reload),
        1 => (0..6u32, any::<u8>()).prop_map(|(n, how)| Step::Apply(n, how)),
        8 => any::<u8>().prop_map(Step::Spawned),
        8 => (any::<u8>(), any::<u8>()).prop_map(|(who, what)| Step::Fact(who, what)),
        6 => any::<u8>().prop_map(Step::Fair),
        5 => Just(Step::Time),
        1 => Just(Step::Rebirth),
    ]
}

fn spec() -> impl Strategy<Value = (Spec, [u8; 6])> {
    let edges = proptest::array::uniform6(0..8u8);
    (0..5u8, 0..6u8, any::<bool>(), any::<bool>(), 0..5u8, edges).prop_map(
        |(kind, ready, validated, limited, reload, edges)| {
            let mut spec = match (kind, validated) {
                (0, true) => job(),
                (0, false) => oneshot(),
                _ => daemon(),
            };
            spec.scheduled |= kind == 0 && limited;
            spec.watchdog = match kind {
                2 => Some(watchdog(WatchdogAction::Restart)),
                3 => Some(watchdog(WatchdogAction::Degrade)),
                _ => None,
            };
            spec.validated = validated;
            spec.restart.limit = limited.then_some(StartLimit {
                starts: 3,
                within_ms: 200,
            });
            spec.ready = match ready {
                0 => Ready::Exec,
                1 => Ready::Notify,
                4 => Ready::ReadySignal,
                5 => Ready::Delay(30),
                _ => Ready::Probe(probe(2)),
            };
            if ready == 3 && kind != 0 {
                spec.liveness = Some(probe(2));
                spec.health = Some(probe(1));
            }
            spec.reload = match reload {
                0 => None,
                1 => Some(hup()),
                2 => Some(confirmed(hup())),
                3 => Some(confirmed(by_command())),
                _ => Some(by_command()),
            };
            (spec, edges)
        },
    )
}

/// Edges lead only to lower numbers, so the graph has no loop.
fn wire(specs: Vec<(Spec, [u8; 6])>) -> Vec<Spec> {
    let jobs: Vec<bool> = specs.iter().map(|(spec, _)| spec.job).collect();
    let wired = specs.into_iter().enumerate().map(|(n, (mut spec, edges))| {
        for (on, kind) in (0..).zip(edges).take(n) {
            let _ = match kind {
                // No service requires a job, which works only now and then.
                _ if jobs[on as usize] => false,
                0 | 1 => spec.requires.insert(id(on)),
                2 => spec.wants.insert(id(on)),
                3 => spec.binds_to.insert(id(on)),
                4 => spec.after.insert(id(on)),
                _ => false,
            };
        }
        spec
    });
    wired.collect()
}

fn graph() -> impl Strategy<Value = Vec<Spec>> {
    proptest::collection::vec(spec(), 1..=6).prop_map(wire)
}

fn nth<T: Clone>(all: &[T], n: u8) -> Option<T> {
    (!all.is_empty()).then(|| all[usize::from(n) % all.len()].clone())
}

fn some_fact(rig: &Rig, who: u8, what: u8) -> Option<Fact> {
    let now = rig.procs.iter().filter(|(run, _)| !rig.comes_later(**run));
    let all: Vec<(RunId, Proc)> = now.map(|(run, it)| (*run, *it)).collect();
    let (run, proc) = nth(&all, who)?;
    let exit = Exit::Code(i32::from(what % 3));
    let said = |what| Fact::Notified { run, what };
    let probes: Vec<_> = rig.probes.iter().filter(|(of, _)| *of == run).collect();
    Some(match (proc.role, proc.phase, what % 12) {
        (Role::Validator, ..) => Fact::Validated {
            run,
            verdict: if proc.killed || what.is_multiple_of(4) {
                refused()
            } else {
                Ok(())
            },
        },
        (Role::Reload(_), ..) => Fact::Reloaded {
            run,
            outcome: if what.is_multiple_of(2) {
                Ok(())
            } else {
                refused()
            },
        },
        (Role::Main, Phase::Dead, _) => Fact::Swept { run, left: 0 },
        (Role::Main, Phase::Forking, _) if proc.refused => proc.born(run),
        (Role::Main, Phase::Forking, 0) => Fact::SpawnFailed {
            run,
            transient: !what.is_multiple_of(4),
            reason: "exec".into(),
        },
        (Role::Main, Phase::Alive, 0) => said(Notification::Ready),
        (Role::Main, Phase::Alive, 1) => said(Notification::ExtendTimeout { ms: 30 }),
        (Role::Main, Phase::Alive, 3) => said(Notification::ReadySignal),
        (Role::Main, Phase::Alive, 4) => said(Notification::Reloading),
        (Role::Main, Phase::Alive, 5 | 6) => said(Notification::Alive),
        (Role::Main, Phase::Alive, 7) => said(Notification::WatchdogTimeout {
            ms: u64::from(what / 12) * 10,
        }),
        (Role::Main, Phase::Alive, 8) => said(Notification::WatchdogTrigger),
        (Role::Main, Phase::Forking, 1) | (Role::Main, Phase::Alive, 2) => {
            Fact::Exited { run, exit }
        }
        (Role::Main, Phase::Forking, _) => Fact::Spawned { run },
        (Role::Main, Phase::Alive, _) => {
            let (_, probe) = nth(&probes, who)?;
            Fact::Probed {
                run,
                probe: *probe,
                ok: what.is_multiple_of(2),
                detail: String::new(),
            }
        }
    })
}

/// A new control process takes over: the same world, records from the store, and facts that are
/// told again.
fn rebirth(rig: &mut Rig) {
    let mut engine = Engine::new(7, RunId(1 + rig.engine.allocate_run().0));
    for id in rig.specs.keys() {
        let record = serde_json::to_string(&rig.engine.record(*id).expect("it is there"))
            .expect("it is there");
        engine.restore(*id, serde_json::from_str(&record).expect("it is there"));
    }
    let names: Vec<_> = rig
        .specs
        .keys()
        .map(|it| rig.engine.view(*it).expect("it is there"))
        .collect();
    rig.engine = engine;
    rig.probes.clear();
    rig.reborn = true;
    let specs: Vec<Spec> = rig.specs.values().cloned().collect();
    rig.apply(&specs, ProcessImpact::Keep).expect("it is there");
    let spawned = rig.last.iter().any(|it| matches!(it, Effect::Spawn { .. }));
    assert!(!spawned, "taking over starts nothing that was not due");
    for (was, id) in names.iter().zip(rig.specs.keys()) {
        let now = rig.engine.view(*id).expect("it is there");
        assert_eq!(
            (now.goal, &now.hold, now.state.name()),
            (was.goal, &was.hold, was.state.name())
        );
        assert_eq!((now.lease, now.request), (was.lease, was.request.clone()));
    }
    let live: Vec<RunId> = rig
        .procs
        .iter()
        .filter(|(_, it)| it.phase == Phase::Alive)
        .map(|(run, _)| *run)
        .collect();
    for run in live {
        rig.fact(Fact::Spawned { run });
        let again = rig.last.iter().any(|it| matches!(it, Effect::Spawn { .. }));
        assert!(!again, "a run that lives is not started again");
    }
}

fn play(rig: &mut Rig, step: &Step) {
    let count = u32::try_from(rig.specs.len()).expect("it is there");
    match step {
        Step::Start(n) => drop(rig.command(Command::Start(set(&[n % count])))),
        Step::Once(n) => drop(rig.command(Command::Once(set(&[n % count])))),
        Step::Run(n) => drop(rig.command(Command::Run(set(&[n % count])))),
        Step::Job(n) => drop(rig.ask_job(n % count)),
        Step::Lease(n, of) => drop(rig.lease(n % count, &[of % count])),
        Step::Release(n) => drop(rig.release(n % count)),
        Step::Stop(n) => drop(rig.command(Command::Stop(set(&[n % count]), hold()))),
        Step::Restart(n) => drop(rig.command(Command::Restart(set(&[n % count])))),
        Step::Reload(n) => drop(rig.command(Command::Reload(set(&[n % count])))),
        Step::Apply(n, how) => {
            let specs: Vec<Spec> = rig.specs.values().cloned().collect();
            let impact = nth(
                &[
                    ProcessImpact::Keep,
                    ProcessImpact::Reload,
                    ProcessImpact::Restart,
                ],
                *how,
            )
            .expect("it is there");
            let plan = (0..).zip(specs).map(|(at, spec)| {
                (
                    id(at),
                    Box::new(spec),
                    if at == n % count {
                        impact
                    } else {
                        ProcessImpact::Keep
                    },
                )
            });
            rig.apply_plan(plan.collect()).expect("it is there");
        }
        Step::Spawned(who) => {
            let forking: Vec<Fact> = rig
                .procs
                .iter()
                .filter(|(_, it)| it.phase == Phase::Forking)
                .map(|(run, it)| it.born(*run))
                .collect();
            if let Some(fact) = nth(&forking, *who) {
                rig.fact(fact);
            }
        }
        Step::Fact(who, what) => {
            if let Some(fact) = some_fact(rig, *who, *what) {
                rig.fact(fact);
            }
        }
        Step::Fair(mood) => {
            if let Some(fact) = rig.next_fact(nth(&MOODS, *mood).expect("it is there")) {
                rig.fact(fact);
            }
        }
        Step::Time => {
            rig.next_deadline();
        }
        Step::Rebirth => rebirth(rig),
    }
}

/// Runs an obedient world until everything has settled. Watched runs report that they are alive: a
/// silent one is restarted for ever, and a slow service above it never comes up.
fn converge(rig: &mut Rig) {
    for _ in 0..400 {
        rig.calm(Mood::Obedient);
        let rest = rig.specs.keys().all(|it| {
            !matches!(
                rig.engine.settled(*it),
                Some(Settled::No | Settled::Backoff)
            )
        });
        if rest || !rig.next_deadline_of_the_living() {
            return;
        }
    }
}

/// The requirers of a silent service run on while its watchdog ends it. A start changes only what
/// follows the end, and a new control process only repeats the signal.
#[test]
fn a_start_while_a_silent_one_is_ended_keeps_its_requirers_up_over_a_rebirth() {
    let silent = Spec {
        watchdog: Some(watchdog(WatchdogAction::Restart)),
        ..daemon()
    };
    let mut rig = Rig::up(&[silent, requiring(&[0])]);
    rig.pass(STOP_MS);
    assert_eq!((rig.name(0), rig.name(1)), ("stopping", "running"));
    let run = rig.run(1);
    rig.start(0);
    rebirth(&mut rig);
    rig.calm(Mood::Obedient);
    assert_eq!(rig.name(0), "running");
    assert_eq!(rig.run(1), run);
}

/// Number of cases that fit into a test run; `PROPTEST_CASES=20000` searches longer.
fn cases() -> u32 {
    let asked = std::env::var("PROPTEST_CASES").ok();
    asked.and_then(|it| it.parse().ok()).unwrap_or(300)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn histories_keep_every_rule_and_end_where_everything_is_wanted(
        specs in graph(),
        steps in proptest::collection::vec(step(), 0..80),
    ) {
        let mut rig = Rig::with(&specs);
        for step in &steps {
            play(&mut rig, step);
        }
        converge(&mut rig);
        for n in 0..u32::try_from(specs.len()).unwrap() {
            let view = rig.engine.view(id(n)).unwrap();
            let settled = rig.settled(n);
            let fine = if view.hold.is_some() || (settled == Settled::Held && !view.once) {
                settled == Settled::Held
            } else {
                matches!(
                    settled,
                    Settled::Ready | Settled::Completed | Settled::Failed | Settled::WaitingOn(_)
                )
            };
            prop_assert!(fine, "{n} ends as {view:#?}");
        }
        // After a start by hand everything comes up, whatever happened before.
        let all: BTreeSet<ServiceId> = rig.specs.keys().copied().collect();
        rig.command(Command::Start(all)).unwrap();
        converge(&mut rig);
        prop_assert!(!rig.engine.has_leases());
        for n in 0..u32::try_from(specs.len()).unwrap() {
            if specs[n as usize].job {
                // A start does not run a failed job; the next request does.
                rig.ask_job(n).unwrap();
                converge(&mut rig);
            }
            let settled = rig.settled(n);
            prop_assert!(matches!(settled, Settled::Ready | Settled::Completed), "{n}: {settled:?}");
        }
        rig.command(Command::Shutdown { deadline_ms: 500 }).unwrap();
        rig.calm(Mood::Obedient);
        prop_assert_eq!(rig.complete, Some(true));
        prop_assert!(rig.procs.is_empty());
    }
}
