//! Behaviour of a fair world: the fact that comes next by itself, for processes of every mood.

use engine::{Event, Exit, Fact, Kind, Notification, ProbeKind, Ready, RunId, ServiceId, State};

use super::{Rig, refused};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    Main,
    Validator,
    Reload(RunId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Forking,
    Alive,
    Dead,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Proc {
    pub(crate) service: ServiceId,
    pub(crate) role: Role,
    pub(crate) phase: Phase,
    pub(crate) asked: bool,
    pub(crate) killed: bool,
    /// The keeper refuses the run, because leftovers of an earlier run exist.
    pub(crate) refused: bool,
}

impl Proc {
    /// The fact that follows a requested run.
    pub(crate) const fn born(&self, run: RunId) -> Fact {
        if self.refused {
            Fact::SpawnRefused { run, left: 1 }
        } else {
            Fact::Spawned { run }
        }
    }

    /// The outcome of a validator or reload command.
    fn outcome(&self) -> Result<(), String> {
        if self.killed { refused() } else { Ok(()) }
    }
}

/// Whether the reload waits for a notification of the run.
const fn awaits_ready(state: &State) -> bool {
    matches!(
        state,
        State::Reloading {
            helper: None,
            awaits_ready: true,
            ..
        }
    )
}

/// Behaviour of the processes in a fair world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Obedient,
    Stubborn,
    DiesAtOnce,
    NeverReady,
    /// Obeys no signal, not even SIGKILL.
    Immortal,
}

impl Mood {
    const fn ignores_signals(self) -> bool {
        matches!(self, Self::Stubborn | Self::Immortal)
    }
}

pub(crate) const MOODS: [Mood; 5] = [
    Mood::Obedient,
    Mood::Stubborn,
    Mood::DiesAtOnce,
    Mood::NeverReady,
    Mood::Immortal,
];

impl Rig {
    /// Feeds a fact to the engine and updates the world.
    pub(crate) fn fact(&mut self, fact: Fact) {
        match &fact {
            Fact::Spawned { run } => {
                if let Some(proc) = self.procs.get_mut(run) {
                    proc.phase = Phase::Alive;
                }
            }
            Fact::Exited { run, .. } => {
                if let Some(proc) = self.procs.get_mut(run) {
                    proc.phase = Phase::Dead;
                }
                self.probes.retain(|(of, _)| of != run);
            }
            Fact::Swept { run, left: 0 }
            | Fact::SpawnFailed { run, .. }
            | Fact::SpawnRefused { run, .. }
            | Fact::Validated { run, .. }
            | Fact::Reloaded { run, .. } => {
                self.procs.remove(run);
            }
            Fact::Probed { run, probe, .. } => {
                self.probes.remove(&(*run, *probe));
            }
            Fact::Swept { .. } | Fact::Notified { .. } => {}
        }
        self.send(Event::Fact(fact))
            .expect("a fact is never refused");
    }

    /// The keeper reports a refused start before the end of the leftovers that blocked the start.
    pub(crate) fn comes_later(&self, run: RunId) -> bool {
        let Some(proc) = self.procs.get(&run) else {
            return false;
        };
        let refused = |it: &Proc| it.service == proc.service && it.refused;
        !proc.refused && self.procs.values().any(refused)
    }

    /// The next fact in a world of this mood.
    pub(crate) fn next_fact(&self, mood: Mood) -> Option<Fact> {
        for (run, proc) in &self.procs {
            let run = *run;
            if self.comes_later(run) {
                continue;
            }
            let fact = match (proc.role, proc.phase) {
                (Role::Main | Role::Validator, Phase::Alive)
                    if proc.killed && mood == Mood::Immortal =>
                {
                    None
                }
                (Role::Validator, _) => Some(Fact::Validated {
                    run,
                    verdict: proc.outcome(),
                }),
                (Role::Reload(_), _) => Some(Fact::Reloaded {
                    run,
                    outcome: proc.outcome(),
                }),
                (Role::Main, Phase::Forking) => Some(proc.born(run)),
                (Role::Main, Phase::Dead) => Some(Fact::Swept { run, left: 0 }),
                (Role::Main, Phase::Alive) => self.next_of_a_main_process(run, *proc, mood),
            };
            if fact.is_some() {
                return fact;
            }
        }
        let (run, probe) = *self.probes.first()?;
        let asks = matches!(probe, ProbeKind::Ready | ProbeKind::Confirm(_));
        let ok = mood != Mood::NeverReady || !asks;
        Some(Fact::Probed {
            run,
            probe,
            ok,
            detail: String::new(),
        })
    }

    fn next_of_a_main_process(&self, run: RunId, proc: Proc, mood: Mood) -> Option<Fact> {
        let exited = |exit| Some(Fact::Exited { run, exit });
        let said = |what| Some(Fact::Notified { run, what });
        if proc.killed {
            return exited(Exit::Signal(9));
        }
        if (proc.asked && !mood.ignores_signals()) || mood == Mood::DiesAtOnce {
            return exited(Exit::Code(i32::from(!proc.asked)));
        }
        if proc.asked || mood == Mood::NeverReady {
            return None;
        }
        let spec = self.specs.get(&proc.service);
        if spec.is_some_and(|spec| spec.kind == Kind::Oneshot) {
            return exited(Exit::Code(0));
        }
        let ready = spec.map(|spec| &spec.ready);
        let state = self.engine.view(proc.service).map(|view| view.state);
        let starting = matches!(state, Some(State::Starting { .. }));
        if state.as_ref().is_some_and(awaits_ready) || (starting && ready == Some(&Ready::Notify)) {
            said(Notification::Ready)
        } else if starting && ready == Some(&Ready::ReadySignal) {
            said(Notification::ReadySignal)
        } else {
            None
        }
    }

    /// Lets a fair world act until it has no more facts; no time passes.
    pub(crate) fn calm(&mut self, mood: Mood) {
        for _ in 0..10_000 {
            match self.next_fact(mood) {
                Some(fact) => self.fact(fact),
                None => return,
            }
        }
        panic!("the world does not calm down");
    }
}
