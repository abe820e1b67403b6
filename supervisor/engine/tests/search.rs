//! Every state that one service (with one dependency) can get into, under every world that there
//! is: obedient, stubborn, dying at once, never ready, with leftovers, telling stale facts.
//!
//! Safety is checked at every step (see `common`), liveness from every state. The search also
//! writes the state table of ARCHITECTURE.md; `UPDATE_STATE_TABLE=1` rewrites it.

mod common;

use std::{
    collections::{BTreeMap, BTreeSet, HashSet, VecDeque},
    thread,
};

use common::*;
use engine::*;
use serde_json::Value;

const DEP: u32 = 0;
const SUT: u32 = 1;
/// From SIGKILL for what still runs to the end of the shutdown, with its own deadline.
const SHUTDOWN_MS_MAX: u64 = 30 + 10_000;
/// More states than this means that something grows without end.
const MOST_STATES: usize = 20_000;

/// State, event, next state -> effects.
type Table = BTreeMap<(usize, String), BTreeMap<String, BTreeSet<String>>>;

fn quick(spec: Spec) -> Spec {
    let restart = Restart {
        delay_ms: 10,
        max_delay_ms: 20,
        reset_after_ms: 20,
        ..spec.restart
    };
    let stop = Stop {
        signal: TERM,
        escalation: spec
            .stop
            .escalation
            .map(|it| Escalation { after_ms: 10, ..it }),
        timeout_ms: 20,
    };
    let ready_timeout_ms = spec.ready_timeout_ms.map(|_| 20);
    let watchdog = spec.watchdog.map(|it| Watchdog {
        timeout_ms: 20,
        ..it
    });
    let reload = spec.reload.map(|it| Reload {
        timeout_ms: 20,
        ..it
    });
    Spec {
        reload,
        watchdog,
        restart,
        stop,
        ready_timeout_ms,
        ..spec
    }
}

fn subjects() -> Vec<(&'static str, Spec)> {
    let limit = Some(StartLimit {
        starts: 2,
        within_ms: 50,
    });
    let on_failure = Restart {
        policy: Policy::OnFailure,
        limit,
        ..daemon().restart
    };
    let never = Restart {
        policy: Policy::Never,
        ..daemon().restart
    };
    let mut all = special();
    all.extend([
        (
            "plain",
            quick(Spec {
                reload: Some(hup()),
                ..requiring(&[DEP])
            }),
        ),
        (
            "full",
            quick(Spec {
                ready: Ready::Notify,
                validated: true,
                reload: Some(by_command()),
                liveness: Some(probe(2)),
                ..daemon()
            }),
        ),
        (
            "probed",
            quick(Spec {
                ready: Ready::Probe(probe(2)),
                restart: on_failure,
                ..daemon()
            }),
        ),
        (
            "bound",
            quick(Spec {
                binds_to: set(&[DEP]),
                ..daemon()
            }),
        ),
        (
            "once",
            quick(Spec {
                validated: true,
                ..Spec {
                    requires: set(&[DEP]),
                    ..oneshot()
                }
            }),
        ),
        (
            "never",
            quick(Spec {
                ready: Ready::Notify,
                restart: never,
                reload: Some(hup()),
                ..daemon()
            }),
        ),
    ]);
    all
}

/// Those that are watched, that wait for their time, and whose readiness is told in other ways.
fn special() -> Vec<(&'static str, Spec)> {
    vec![
        (
            "watched",
            quick(Spec {
                ready: Ready::ReadySignal,
                watchdog: Some(watchdog(WatchdogAction::Restart)),
                ..daemon()
            }),
        ),
        (
            "degrading",
            quick(Spec {
                ready: Ready::Delay(5),
                watchdog: Some(watchdog(WatchdogAction::Degrade)),
                reload: Some(by_command()),
                ..daemon()
            }),
        ),
        (
            "confirmed",
            quick(Spec {
                ready: Ready::Notify,
                reload: Some(confirmed(hup())),
                ..daemon()
            }),
        ),
        (
            "validated and confirmed",
            quick(Spec {
                validated: true,
                reload: Some(confirmed(by_command())),
                health: Some(probe(1)),
                ..daemon()
            }),
        ),
        (
            "asked twice",
            quick(Spec {
                stop: in_two_steps(),
                reload: Some(hup()),
                ..daemon()
            }),
        ),
        (
            "scheduled",
            quick(Spec {
                scheduled: true,
                requires: set(&[DEP]),
                ..oneshot()
            }),
        ),
        ("job", quick_job()),
    ]
}

/// It may have its neighbour stopped, and gives up after one more try.
fn quick_job() -> Spec {
    let mut spec = quick(job());
    spec.restart.limit = Some(StartLimit {
        starts: 1,
        within_ms: 50,
    });
    spec
}

/// One thing that may happen next, with the name that people see.
#[derive(Clone, Debug)]
enum Move {
    Command(&'static str, Command),
    Plan(&'static str, ProcessImpact),
    Fact(&'static str, Fact),
    Time,
    DependencyEnds(&'static str, RunId, i32),
}

impl Move {
    fn name(&self) -> &'static str {
        match self {
            Self::Command(name, _)
            | Self::Plan(name, _)
            | Self::Fact(name, _)
            | Self::DependencyEnds(name, ..) => name,
            Self::Time => "deadline",
        }
    }
}

fn moves(rig: &Rig) -> Vec<Move> {
    let mut all = vec![
        Move::Command("start", Command::Start(set(&[SUT]))),
        Move::Command("stop", Command::Stop(set(&[SUT]), hold())),
        Move::Command("restart", Command::Restart(set(&[SUT]))),
        Move::Command("reload", Command::Reload(set(&[SUT]))),
        Move::Plan("plan: restart", ProcessImpact::Restart),
    ];
    let depends =
        !rig.specs[&id(SUT)].requires.is_empty() || !rig.specs[&id(SUT)].binds_to.is_empty();
    // Where it makes a difference; elsewhere it would only double the states.
    if rig.specs[&id(SUT)].scheduled && !rig.specs[&id(SUT)].job {
        all.push(Move::Command("run", Command::Run(set(&[SUT]))));
    } else if !depends && !rig.specs[&id(SUT)].validated {
        all.push(Move::Command("once", Command::Once(set(&[SUT]))));
    }
    let is_job = rig.specs[&id(SUT)].job;
    if is_job {
        all.push(Move::Command("job", asked()));
        all.push(Move::Command("lease", lease()));
        all.push(Move::Command("release", Command::Release { job: id(SUT) }));
    }
    if depends || is_job {
        all.extend([
            Move::Command("dependency: stop", Command::Stop(set(&[DEP]), hold())),
            Move::Command("dependency: start", Command::Start(set(&[DEP]))),
        ]);
    }
    if rig.engine.poll_timeout().is_some() {
        all.push(Move::Time);
    }
    own_words(rig, &mut all);
    for (run, proc) in &rig.procs {
        if (depends || is_job || proc.service == id(SUT)) && !rig.comes_later(*run) {
            let awaited = rig.engine.main_run(id(SUT)) == Some(*run);
            facts_of(*run, proc, awaited, &mut all);
        }
    }
    for (run, probe) in &rig.probes {
        for (ok, name) in [(true, "probe says yes"), (false, "probe says no")] {
            let (run, probe, detail) = (*run, *probe, String::new());
            all.push(Move::Fact(
                name,
                Fact::Probed {
                    run,
                    probe,
                    ok,
                    detail,
                },
            ));
        }
    }
    all
}

/// What a run may say of itself, in those worlds where it makes a difference.
fn own_words(rig: &Rig, all: &mut Vec<Move>) {
    let spec = &rig.specs[&id(SUT)];
    let Some(run) = rig.engine.main_run(id(SUT)) else {
        return;
    };
    if rig.procs.get(&run).map(|it| it.phase) != Some(Phase::Alive) {
        return;
    }
    if !spec.validated {
        all.push(Move::Fact(
            "reloads by itself",
            Fact::Notified {
                run,
                what: Notification::Reloading,
            },
        ));
    }
    if spec.ready == Ready::ReadySignal {
        all.push(Move::Fact(
            "marked",
            Fact::Notified {
                run,
                what: Notification::ReadySignal,
            },
        ));
        let gave_up = Fact::Notified {
            run,
            what: Notification::ReadyClosed,
        };
        all.push(Move::Fact("closed without a mark", gave_up));
    }
    if spec.watchdog.is_some() {
        let words = [
            (
                "alive",
                Fact::Notified {
                    run,
                    what: Notification::Alive,
                },
            ),
            (
                "needs no watchdog",
                Fact::Notified {
                    run,
                    what: Notification::WatchdogTimeout { ms: 0 },
                },
            ),
            (
                "watchdog triggered",
                Fact::Notified {
                    run,
                    what: Notification::WatchdogTrigger,
                },
            ),
        ];
        all.extend(words.map(|(name, fact)| Move::Fact(name, fact)));
    }
}

fn asked() -> Command {
    Command::Job {
        job: id(SUT),
        request: String::from("one"),
    }
}

fn lease() -> Command {
    Command::Lease {
        job: id(SUT),
        services: set(&[DEP]),
    }
}

fn facts_of(run: RunId, proc: &Proc, awaited: bool, all: &mut Vec<Move>) {
    if proc.service == id(DEP) {
        let name = if proc.asked {
            "dependency: stopped"
        } else {
            "dependency: dies"
        };
        all.push(Move::DependencyEnds(name, run, i32::from(!proc.asked)));
        return;
    }
    let exit = |code| Fact::Exited {
        run,
        exit: Exit::Code(code),
    };
    let failed = |transient| Fact::SpawnFailed {
        run,
        transient,
        reason: "exec: for a reason".into(),
    };
    let facts = match (proc.role, proc.phase) {
        (Role::Main, Phase::Forking) if proc.refused => vec![("spawn refused", proc.born(run))],
        (Role::Main, Phase::Alive) if proc.killed && !awaited => {
            vec![("what was left ends", exit(1))]
        }
        (Role::Main, Phase::Alive) if proc.killed => vec![
            ("exited: success", exit(0)),
            ("exited: failure", exit(1)),
            ("swept, some left", Fact::Swept { run, left: 1 }),
            ("keeper knows no such run", failed(true)),
        ],
        (Role::Validator | Role::Reload(_), _) => verdicts_of(run, proc),
        (Role::Main, Phase::Forking) => vec![
            ("spawned", Fact::Spawned { run }),
            ("spawn failed, can pass", failed(true)),
            ("spawn failed for good", failed(false)),
            ("exited: success", exit(0)),
            ("exited: failure", exit(1)),
        ],
        (Role::Main, Phase::Alive) => vec![
            ("spawned", Fact::Spawned { run }),
            (
                "ready",
                Fact::Notified {
                    run,
                    what: Notification::Ready,
                },
            ),
            (
                "extend",
                Fact::Notified {
                    run,
                    what: Notification::ExtendTimeout { ms: 20 },
                },
            ),
            ("exited: success", exit(0)),
            ("exited: failure", exit(1)),
            ("keeper knows no such run", failed(true)),
        ],
        (Role::Main, Phase::Dead) => vec![
            ("spawned", Fact::Spawned { run }),
            ("swept clean", Fact::Swept { run, left: 0 }),
            ("swept, some left", Fact::Swept { run, left: 1 }),
        ],
    };
    all.extend(facts.into_iter().map(|(name, fact)| Move::Fact(name, fact)));
}

/// What a validator or a reload command says.
fn verdicts_of(run: RunId, proc: &Proc) -> Vec<(&'static str, Fact)> {
    let verdict = |verdict| Fact::Validated { run, verdict };
    let outcome = |outcome| Fact::Reloaded { run, outcome };
    match proc.role {
        Role::Validator if proc.killed => vec![("validated: no", verdict(refused()))],
        Role::Validator => {
            let unknown = Fact::SpawnFailed {
                run,
                transient: true,
                reason: "exec: for a reason".into(),
            };
            vec![
                ("validated: yes", verdict(Ok(()))),
                ("validated: no", verdict(refused())),
                ("validator is unknown", unknown),
            ]
        }
        _ => vec![
            ("reloaded: yes", outcome(Ok(()))),
            ("reloaded: no", outcome(refused())),
        ],
    }
}

/// What a process of the dependency, which is mortal, does at once by itself.
fn own_act(run: RunId, proc: &Proc) -> Option<Fact> {
    let exit = Exit::Signal(9);
    match proc.phase {
        Phase::Forking => Some(proc.born(run)),
        Phase::Alive => proc.killed.then_some(Fact::Exited { run, exit }),
        Phase::Dead => Some(Fact::Swept { run, left: 0 }),
    }
}

/// Makes one move. What a dependency does by itself is done at once. Returns the effects that the
/// service under test saw.
fn make(rig: &mut Rig, it: &Move) -> Vec<Effect> {
    match it {
        // A refusal is an outcome too, and `send` has checked that it changed nothing.
        Move::Command(_, command) => drop(rig.command(command.clone())),
        Move::Plan(_, impact) => {
            let impacts = [(DEP, ProcessImpact::Keep), (SUT, *impact)];
            let plan = impacts.map(|(n, it)| (id(n), Box::new(rig.specs[&id(n)].clone()), it));
            rig.apply_plan(plan.to_vec()).expect("no loop");
        }
        // The world of a second `Spawned` is the same as before.
        Move::Fact("spawned", Fact::Spawned { run }) if rig.procs[run].phase == Phase::Dead => {
            rig.send(Event::Fact(Fact::Spawned { run: *run }))
                .expect("a fact");
        }
        Move::Fact("keeper knows no such run", Fact::SpawnFailed { run, .. }) => {
            rig.procs.remove(run);
            rig.probes.retain(|(of, _)| of != run);
            let Move::Fact(_, fact) = it else {
                unreachable!()
            };
            rig.fact(fact.clone());
        }
        Move::Fact(_, fact) => rig.fact(fact.clone()),
        Move::Time => {
            rig.next_deadline();
        }
        Move::DependencyEnds(_, run, code) => {
            let (run, exit) = (*run, Exit::Code(*code));
            rig.fact(Fact::Exited { run, exit });
            rig.fact(Fact::Swept { run, left: 0 });
        }
    }
    let mut seen = rig.last.clone();
    loop {
        let mut dep = rig.procs.iter().filter(|(_, it)| it.service == id(DEP));
        let fact = dep.find_map(|(run, it)| own_act(*run, it));
        let Some(fact) = fact else {
            return seen;
        };
        rig.fact(fact);
        seen.extend(rig.last.clone());
    }
}

/// The state of the whole rig without what grows: times become relative, runs are renumbered.
fn key(rig: &Rig) -> String {
    let mut procs: Vec<(RunId, Proc)> = rig.procs.iter().map(|(run, it)| (*run, *it)).collect();
    for (_, dead) in procs.iter_mut().filter(|(_, it)| it.phase == Phase::Dead) {
        (dead.asked, dead.killed) = (false, false);
    }
    procs.sort_by_key(|(run, it)| (it.service, *run));
    let runs: Vec<u64> = procs.iter().map(|(run, _)| run.0).collect();
    let rename = |run: u64| {
        runs.iter()
            .position(|it| *it == run)
            .map_or(99, |at| at as u64)
    };
    let mut record = serde_json::to_value(rig.engine.record(id(SUT))).expect("a record");
    canon(&mut record, rig.now.0, &rename);
    let procs: Vec<_> = procs.into_iter().map(|(_, it)| it).collect();
    // Of those that are about a reload that is over one is as good as many.
    let probes: BTreeSet<_> = rig
        .probes
        .iter()
        .map(|(run, kind)| (rename(run.0), asked_now(rig, *kind)))
        .collect();
    let dep = rig
        .engine
        .view(id(DEP))
        .map(|it| (it.goal, it.state.name(), it.lease.is_some()));
    format!("{record} {procs:?} {probes:?} {dep:?}")
}

/// A question, and whether it is about a reload that is over.
fn asked_now(rig: &Rig, kind: ProbeKind) -> (ProbeKind, bool) {
    let ProbeKind::Confirm(of) = kind else {
        return (kind, false);
    };
    let now = matches!(rig.state(SUT), State::Reloading { number, .. } if number == Some(of));
    (ProbeKind::Confirm(RunId(0)), !now)
}

fn canon(value: &mut Value, now: u64, rename: &impl Fn(u64) -> u64) {
    match value {
        Value::Object(map) => {
            // What is only told decides nothing.
            for drop in [
                "since",
                "up_since",
                "detail",
                "restarts",
                "spawned_at",
                "stop",
                "failed",
                "killed",
                "why",
            ] {
                map.remove(drop);
            }
            if let Some(pending) = map.get_mut("restart_pending") {
                *pending = (!pending.is_null()).into();
            }
            if let Some(cause) = map.get_mut("cause").filter(|it| it.get("Asked").is_some()) {
                *cause = "Asked".into();
            }
            for (name, value) in map.iter_mut() {
                match (name.as_str(), value.as_u64()) {
                    ("run" | "Validator" | "Command" | "number" | "unswept", Some(run)) => {
                        *value = rename(run).into();
                    }
                    ("count" | "attempt", Some(n)) => *value = n.min(3).into(),
                    // Far away: what else is due comes first, whatever is left of it.
                    ("give_up_at" | "look_at", Some(at)) => *value = u64::from(at > now).into(),
                    ("failures" | "successes", Some(n)) => *value = n.min(2).into(),
                    (_, Some(at)) if at >= 1000 => *value = (at.saturating_sub(now)).into(),
                    ("starts", None) => {
                        let ago = |at: &Value| at.as_u64().map(|at| now - at);
                        let all = value.as_array().expect("a list");
                        *value = all.iter().filter_map(ago).filter(|ms| *ms < 30).collect();
                    }
                    ("last_exit", None) if value.is_array() => *value = value[0].clone(),
                    _ => canon(value, now, rename),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|it| canon(it, now, rename)),
        _ => {}
    }
}

const LABELS: [&str; 15] = [
    "stopped",
    "waiting",
    "validating",
    "spawning",
    "starting",
    "running",
    "reloading",
    "stopping: asked",
    "stopping: killed",
    "stopping: sweep",
    "backoff",
    "failed",
    "failed: leftovers",
    "completed",
    "gone",
];

fn label(rig: &Rig) -> usize {
    let name = match rig.state(SUT) {
        State::Validating { .. } => "validating",
        State::Stopping {
            phase: StopPhase::Asked { .. },
            ..
        } => "stopping: asked",
        State::Stopping {
            phase: StopPhase::Killed { .. },
            ..
        } => "stopping: killed",
        State::Stopping {
            phase: StopPhase::Sweep { .. },
            ..
        } => "stopping: sweep",
        State::Failed {
            reason: Failure::Leftovers { .. },
        } => "failed: leftovers",
        other => other.name(),
    };
    LABELS
        .iter()
        .position(|it| *it == name)
        .expect("every state has a label")
}

fn effect_names(effects: &[Effect]) -> String {
    let names = effects.iter().filter_map(|effect| match effect {
        Effect::Validate { service, .. } if *service == id(SUT) => Some("validate"),
        Effect::Spawn { service, .. } if *service == id(SUT) => Some("spawn"),
        Effect::Signal {
            service,
            purpose: SignalPurpose::Stop,
            ..
        } if *service == id(SUT) => Some("stop signal"),
        Effect::Signal { service, .. } if *service == id(SUT) => Some("reload signal"),
        Effect::Kill { service, .. } if *service == id(SUT) => Some("kill"),
        Effect::Probe { service, .. } if *service == id(SUT) => Some("probe"),
        Effect::ReloadCommand { .. } => Some("reload command"),
        _ => None,
    });
    names.collect::<Vec<_>>().join(", ")
}

/// Whatever a run that is over is said to do, nothing happens.
fn check_stale(rig: &Rig) {
    let run = RunId(999_999);
    let detail = String::new;
    for run in [run, RunId(1)] {
        if rig.procs.contains_key(&run) || rig.engine.service_of(run).is_some() {
            continue;
        }
        let mut engine = rig.engine.clone();
        for fact in [
            Fact::Validated {
                run,
                verdict: Ok(()),
            },
            Fact::Spawned { run },
            Fact::SpawnFailed {
                run,
                transient: true,
                reason: detail(),
            },
            Fact::SpawnRefused { run, left: 1 },
            Fact::Notified {
                run,
                what: Notification::ReadyClosed,
            },
            Fact::Notified {
                run,
                what: Notification::Ready,
            },
            Fact::Notified {
                run,
                what: Notification::ReadySignal,
            },
            Fact::Notified {
                run,
                what: Notification::Reloading,
            },
            Fact::Notified {
                run,
                what: Notification::Alive,
            },
            Fact::Notified {
                run,
                what: Notification::WatchdogTimeout { ms: 1 },
            },
            Fact::Notified {
                run,
                what: Notification::WatchdogTrigger,
            },
            Fact::Notified {
                run,
                what: Notification::ExtendTimeout { ms: 1 },
            },
            Fact::Probed {
                run,
                probe: ProbeKind::Liveness,
                ok: false,
                detail: detail(),
            },
            Fact::Reloaded {
                run,
                outcome: refused(),
            },
            Fact::Exited {
                run,
                exit: Exit::Code(1),
            },
            Fact::Swept { run, left: 1 },
        ] {
            engine.handle(rig.now, Event::Fact(fact)).expect("a fact");
            assert_eq!(engine.poll_effect(), None);
        }
        assert_eq!(engine.record(id(SUT)), rig.engine.record(id(SUT)));
    }
}

/// A refusal stays visible until the next reload, start or stop.
fn check_refusal_stays(before: &Rig, after: &Rig, effects: &str) {
    let shown = |rig: &Rig| rig.engine.view(id(SUT)).and_then(|view| view.last_reload);
    let (was, is) = (shown(before), shown(after));
    if !was.as_ref().is_some_and(ReloadOutcome::is_failure) || was == is {
        return;
    }
    let main = |rig: &Rig| rig.engine.main_run(id(SUT));
    let ended = !matches!(label(after), 5 | 6) || main(before) != main(after);
    let begun = label(after) == 6 || effects.contains("reload");
    // By then it would be about another run, or another reload.
    assert!(ended || begun, "{was:?} has become {is:?}: {effects}");
}

/// What is under way is bound to go on: somebody owes a fact, or a deadline is set.
fn check_progress(rig: &Rig) {
    let owed = !rig.procs.is_empty() || rig.engine.poll_timeout().is_some();
    assert!(
        rig.settled(SUT) != Settled::No || owed,
        "nothing will ever happen: {:?}",
        rig.state(1)
    );
}

/// A fair world of this mood goes on until `done`.
fn reaches(rig: &Rig, mood: Mood, goal: &str, done: impl Fn(&Rig) -> bool) {
    let mut rig = rig.clone();
    for _ in 0..300 {
        if done(&rig) {
            return;
        }
        match rig.next_fact(mood) {
            Some(fact) => rig.fact(fact),
            None if rig.next_deadline() => {}
            None => break,
        }
    }
    panic!(
        "a {mood:?} world never gets from here to {goal}: {:#?}",
        (rig.engine.view(id(SUT)), &rig.procs)
    );
}

/// Has it run, by a start or, of a job, a request.
fn wake(rig: &mut Rig) {
    rig.start(SUT);
    if rig.specs[&id(SUT)].job {
        // It may be on its way already.
        let _ = rig.command(asked());
    }
}

/// A start is under way, or has come to its end.
const fn is_on_its_way_or_up(state: &State) -> bool {
    matches!(
        state,
        State::Validating { .. }
            | State::Spawning { .. }
            | State::Starting { .. }
            | State::Running { .. }
            | State::Reloading { .. }
    )
}

fn check_liveness(rig: &Rig) {
    let oneshot = rig.specs[&id(SUT)].kind == Kind::Oneshot;
    for mood in MOODS {
        let mut up = rig.clone();
        // A start that is under way is not begun again: it may still be one too many.
        let last_try = is_on_its_way_or_up(&rig.state(SUT));
        // A job that is on its way comes to its end first, whatever that is.
        let may_fail = !up.engine.is_over(id(SUT)) && rig.specs[&id(SUT)].job;
        wake(&mut up);
        let kind = |rig: &Rig| rig.settled(SUT);
        match mood {
            Mood::Obedient | Mood::Stubborn => reaches(&up, mood, "ready", |rig| {
                let limit = State::Failed {
                    reason: Failure::StartLimit,
                };
                matches!(kind(rig), Settled::Ready | Settled::Completed)
                    || (last_try && rig.state(SUT) == limit)
                    || (may_fail && kind(rig) == Settled::Failed)
            }),
            Mood::NeverReady if oneshot => {}
            Mood::DiesAtOnce | Mood::NeverReady | Mood::Immortal => {
                reaches(&up, mood, "rest", |rig| kind(rig) != Settled::No);
            }
        }
        let mut down = rig.clone();
        down.stop(SUT);
        reaches(&down, mood, "stopped", |rig| [0, 12].contains(&label(rig)));
    }
    let mut shut = rig.clone();
    shut.command(Command::Shutdown { deadline_ms: 30 })
        .expect("it is the first");
    reaches(&shut, Mood::Stubborn, "the end", |rig| {
        rig.complete.is_some() && rig.procs.is_empty()
    });
    let begin = shut.now;
    reaches(&shut, Mood::Immortal, "an end within its bound", |rig| {
        rig.complete.is_some() && rig.now.since(begin) <= SHUTDOWN_MS_MAX
    });
    for mood in [Mood::Obedient, Mood::NeverReady] {
        reaches(rig, mood, "the end of a reload", |rig| label(rig) != 6);
    }
    // Who was up before is up again.
    for mood in [Mood::Obedient, Mood::Stubborn, Mood::DiesAtOnce] {
        reaches(rig, mood, "the end of its leases", |rig| {
            !rig.engine.has_leases()
        });
    }
    let dep_wanted = rig
        .engine
        .view(id(DEP))
        .is_some_and(|it| it.goal == Goal::Up);
    let dep_failed = rig.name(DEP) == "failed";
    if rig.engine.has_leases() && dep_wanted && !dep_failed {
        reaches(rig, Mood::Obedient, "its neighbour's return", |rig| {
            rig.name(DEP) == "running"
        });
    }
    // What would not go goes at last: it is what its goal says.
    reaches(rig, Mood::Obedient, "no leftovers", |rig| label(rig) != 12);
    if rig
        .engine
        .view(id(SUT))
        .is_some_and(|view| view.goal == Goal::Up)
        && !oneshot
    {
        reaches(rig, Mood::Obedient, "rest by itself", |rig| {
            rig.settled(SUT) != Settled::No
        });
    }
}

fn explore(spec: Spec) -> (Table, usize) {
    let mut table = Table::new();
    let dependency = Spec {
        restart: Restart {
            policy: Policy::Never,
            reset_after_ms: 0,
            ..daemon().restart
        },
        stop: Stop {
            signal: TERM,
            escalation: None,
            timeout_ms: 20,
        },
        ..daemon()
    };
    let mut first = Rig::with(&[dependency, spec]);
    first.spawned(DEP);
    let mut seen = HashSet::from([key(&first)]);
    let mut todo = VecDeque::from([first]);
    while let Some(rig) = todo.pop_front() {
        check_stale(&rig);
        check_progress(&rig);
        check_liveness(&rig);
        let from = label(&rig);
        for it in moves(&rig) {
            let mut next = rig.clone();
            let effects = effect_names(&make(&mut next, &it));
            let to = label(&next);
            check_refusal_stays(&rig, &next, &effects);
            if from != to || !effects.is_empty() {
                let row = table.entry((from, it.name().to_owned())).or_default();
                row.entry(LABELS[to].to_owned())
                    .or_default()
                    .insert(effects);
            }
            if seen.insert(key(&next)) {
                assert!(seen.len() < MOST_STATES, "the states never end");
                todo.push_back(next);
            }
        }
    }
    (table, seen.len())
}

/// Explores each subject on a thread of its own; what all of them together did.
fn explore_all() -> Table {
    let mut all = Table::new();
    thread::scope(|scope| {
        let each = subjects()
            .into_iter()
            .map(|(name, spec)| (name, scope.spawn(|| explore(spec))));
        for (name, searched) in each.collect::<Vec<_>>() {
            let (table, states) = searched.join().unwrap_or_else(|panic| {
                println!("{name} is what broke a rule");
                std::panic::resume_unwind(panic)
            });
            println!("{name}: {states} states");
            assert!(states > 20, "{name} has been explored");
            for (from, outcomes) in table {
                let row = all.entry(from).or_default();
                for (to, effects) in outcomes {
                    row.entry(to).or_default().extend(effects);
                }
            }
        }
    });
    all
}

fn render(table: &Table) -> String {
    let mut text = String::from("| state | event | next state | effects |\n|---|---|---|---|\n");
    for ((from, event), outcomes) in table {
        for (to, effects) in outcomes {
            let mut effects: Vec<_> = effects.iter().map(String::as_str).collect();
            if effects.len() > 1 && effects[0].is_empty() {
                effects[0] = "none";
            }
            let effects = effects.join(" or ");
            let from = LABELS[*from];
            text.extend(["| ", from, " | ", event, " | ", to, " | ", &effects, " |\n"]);
        }
    }
    text
}

const BEGIN: &str = "<!-- state table -->\n";
const END: &str = "<!-- /state table -->";

#[test]
fn every_state_is_safe_and_live_and_architecture_md_shows_the_table() {
    let table = explore_all();
    let reached: BTreeSet<usize> = table.keys().map(|(from, _)| *from).collect();
    assert_eq!(
        reached,
        (0..14).collect(),
        "every state but `gone` has been left once"
    );
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../ARCHITECTURE.md");
    let page = std::fs::read_to_string(path).expect("ARCHITECTURE.md can be read");
    let (head, rest) = page
        .split_once(BEGIN)
        .expect("ARCHITECTURE.md has the table's begin mark");
    let (shown, tail) = rest
        .split_once(END)
        .expect("ARCHITECTURE.md has the table's end mark");
    let now = render(&table);
    if std::env::var_os("UPDATE_STATE_TABLE").is_some() {
        let page = format!("{head}{BEGIN}{now}{END}{tail}");
        std::fs::write(path, page).expect("ARCHITECTURE.md can be written");
    } else {
        assert!(
            shown == now,
            "the table has changed; run again with UPDATE_STATE_TABLE=1"
        );
    }
}
