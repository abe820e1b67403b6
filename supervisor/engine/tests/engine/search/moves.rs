//! Moves: what may happen next to the service by its own processes, by the keeper, and by callers.

use engine::*;

use super::{DEP, SUT};
use crate::common::*;

/// A move, with its name in the state table.
#[derive(Clone, Debug)]
pub(crate) enum Move {
    Command(&'static str, Command),
    Plan(&'static str, ProcessImpact),
    Fact(&'static str, Fact),
    Time,
    DependencyEnds(&'static str, RunId, i32),
}

impl Move {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Command(name, _)
            | Self::Plan(name, _)
            | Self::Fact(name, _)
            | Self::DependencyEnds(name, ..) => name,
            Self::Time => "deadline",
        }
    }
}

pub(crate) fn moves(rig: &Rig) -> Vec<Move> {
    let mut all = vec![
        Move::Command("start", Command::Start(set(&[SUT]))),
        Move::Command("stop", Command::Stop(set(&[SUT]), hold())),
        Move::Command("restart", Command::Restart(set(&[SUT]))),
        Move::Command("reload", Command::Reload(set(&[SUT]))),
        Move::Plan("plan: restart", ProcessImpact::Restart),
    ];
    let depends =
        !rig.specs[&id(SUT)].requires.is_empty() || !rig.specs[&id(SUT)].binds_to.is_empty();
    // Only where `run` and `once` make a difference; elsewhere they would only double the states.
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

/// Notifications of a run, in the worlds where they make a difference.
pub(crate) fn own_words(rig: &Rig, all: &mut Vec<Move>) {
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
            "ready signal",
            Fact::Notified {
                run,
                what: Notification::ReadySignal,
            },
        ));
        let gave_up = Fact::Notified {
            run,
            what: Notification::ReadyClosed,
        };
        all.push(Move::Fact("ready closed", gave_up));
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

pub(crate) fn asked() -> Command {
    Command::Job {
        job: id(SUT),
        request: String::from("one"),
    }
}

pub(crate) fn lease() -> Command {
    Command::Lease {
        job: id(SUT),
        services: set(&[DEP]),
    }
}

pub(crate) fn facts_of(run: RunId, proc: &Proc, awaited: bool, all: &mut Vec<Move>) {
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

/// Results of a validator or a reload command.
pub(crate) fn verdicts_of(run: RunId, proc: &Proc) -> Vec<(&'static str, Fact)> {
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

/// The next fact of the dependency's process, which is mortal and acts immediately.
pub(crate) fn own_act(run: RunId, proc: &Proc) -> Option<Fact> {
    let exit = Exit::Signal(9);
    match proc.phase {
        Phase::Forking => Some(proc.born(run)),
        Phase::Alive => proc.killed.then_some(Fact::Exited { run, exit }),
        Phase::Dead => Some(Fact::Swept { run, left: 0 }),
    }
}

/// Makes a move. The dependency's own acts follow immediately. Returns the effects on the service
/// under test.
pub(crate) fn make(rig: &mut Rig, it: &Move) -> Vec<Effect> {
    match it {
        // A refusal is an outcome too, and `send` has checked that it changed nothing.
        Move::Command(_, command) => drop(rig.command(command.clone())),
        Move::Plan(_, impact) => {
            let impacts = [(DEP, ProcessImpact::Keep), (SUT, *impact)];
            let plan = impacts.map(|(n, it)| (id(n), Box::new(rig.specs[&id(n)].clone()), it));
            rig.apply_plan(plan.to_vec()).expect("no loop");
        }
        // A second `Spawned` leaves the world as it is.
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
