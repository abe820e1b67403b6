//! Clients that operate on services of their own, at random, and know what must be true afterwards.
//!
//! A client checks the effect of an operation as soon as `ctl` reports that it is done. After any
//! other answer the effect is unknown, and the service's hold is left out of the checks until a
//! later operation on it is done.

use std::{
    collections::BTreeMap,
    fs,
    sync::{
        Mutex, MutexGuard, PoisonError, RwLock, RwLockWriteGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use nix::sys::signal::Signal;

use super::{
    dice::Dice,
    promise::Promise,
    report::Findings,
    services::Services,
    subject::{Answer, LIMIT, Subject},
    watch::{self, Process},
};
use crate::{processes::kill, wait};

/// Longest pause of a client between two operations, in milliseconds.
const PAUSE_MAX_MS: u64 = 120;
/// A process exists within this time after `ctl` reports its start.
const BIRTH: Duration = Duration::from_secs(2);

/// A client that operates on services of its own.
pub(super) struct Client<'a> {
    subject: &'a Subject,
    services: &'a Services,
    found: &'a Findings,
    gate: &'a Gate,
    dice: Dice,
    /// Services of this client.
    names: Vec<String>,
    /// The mark last put into the environment of each service.
    marks: BTreeMap<String, u64>,
}

/// The lock and the knowledge that all clients share.
#[derive(Debug, Default)]
pub(super) struct Gate {
    /// Clients operate under the read lock; the holder of the write lock is alone.
    turn: RwLock<()>,
    stop: AtomicBool,
    /// Whether each service is held. A service that is not in this map is in an unknown state.
    held: Mutex<BTreeMap<String, bool>>,
}

impl Gate {
    /// Waits until no operation is under way; none begins while the guard lives.
    pub(super) fn alone(&self) -> RwLockWriteGuard<'_, ()> {
        self.turn.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The holds that are known.
    pub(super) fn held(&self) -> MutexGuard<'_, BTreeMap<String, bool>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the clients and the watch.
    pub(super) fn close(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Whether the gate was closed.
    pub(super) fn is_closed(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

impl<'a> Client<'a> {
    pub(super) fn new(
        (subject, services, found): (&'a Subject, &'a Services, &'a Findings),
        gate: &'a Gate,
        dice: Dice,
        names: &[String],
    ) -> Self {
        let fresh = names.iter().map(|name| (name.clone(), false));
        gate.held().extend(fresh);
        Self {
            subject,
            services,
            found,
            gate,
            dice,
            names: names.to_vec(),
            marks: BTreeMap::new(),
        }
    }

    /// Operates until the gate is closed.
    pub(super) fn run(mut self) {
        while !self.gate.is_closed() {
            {
                let turn = self.gate.turn.read();
                let _turn = turn.unwrap_or_else(PoisonError::into_inner);
                self.operate();
            }
            let pause = Duration::from_millis(self.dice.between(1, PAUSE_MAX_MS));
            let _ = wait::within(pause, || self.gate.is_closed().then_some(()));
        }
    }

    fn operate(&mut self) {
        let name = self.dice.pick(&self.names).clone();
        let epoch = self.subject.epoch();
        let before = watch::main_of(self.subject.root(), &name);
        let (what, answer) = match self.dice.between(0, 99) {
            0..25 => self.stop(&name),
            25..55 => self.start(&name),
            55..75 => self.restart(&name),
            75..82 => self.reconfigure(&name, epoch),
            82..90 => ("reexec", self.subject.ctl(&["reexec"])),
            _ => return crash(before.as_ref()),
        };
        self.found.operated(answer.done());
        // The effect of an operation by a keeper that has died since may be undone already.
        let same_keeper = || epoch % 2 == 1 && self.subject.epoch() == epoch;
        if answer.code.is_none() && same_keeper() {
            self.found.broken(Promise::BackInTime, 1, answer.text());
        } else if answer.done()
            && let Some(untrue) = self.untrue(what, &name, before.as_ref())
            && same_keeper()
        {
            let detail = format!(
                "{what} {name}: {untrue}, though ctl said: {}",
                answer.text()
            );
            self.found.broken(Promise::AnswersTrue, 1, detail);
        }
    }

    fn stop(&self, name: &str) -> (&'static str, Answer) {
        let answer = self.subject.ctl(&["stop", name]);
        self.learn(name, answer.done().then_some(true));
        ("stop", answer)
    }

    fn start(&self, name: &str) -> (&'static str, Answer) {
        let answer = self.subject.ctl(&["start", name]);
        self.learn(name, answer.done().then_some(false));
        ("start", answer)
    }

    fn restart(&self, name: &str) -> (&'static str, Answer) {
        let answer = self.subject.ctl(&["restart", name]);
        self.learn(name, answer.done().then_some(false));
        ("restart", answer)
    }

    /// Changes the mark of a service and reconfigures. Mostly `ctl` does not wait, and the client
    /// looks for the new mark itself.
    fn reconfigure(&mut self, name: &str, epoch: u64) -> (&'static str, Answer) {
        let mark = self.marks.entry(name.to_owned()).or_default();
        *mark += 1;
        self.services
            .mark(&self.subject.site, name, &mark.to_string());
        if self.dice.percent(15) {
            return ("reconfigure", self.subject.ctl(&["reconfigure"]));
        }
        let answer = self.subject.ctl(&["--no-wait", "reconfigure"]);
        if answer.done() {
            let settled = || {
                let untrue = self.untrue_now("reconfigure", name, None);
                let over = untrue.is_none() || self.subject.epoch() != epoch;
                over.then_some(())
            };
            let _ = wait::within(LIMIT, settled);
        }
        ("reconfigure", answer)
    }

    fn learn(&self, name: &str, held: Option<bool>) {
        let mut all = self.gate.held();
        match held {
            Some(held) => all.insert(name.to_owned(), held),
            None => all.remove(name),
        };
    }

    /// How the processes contradict an operation that is reported as done. After a stop every
    /// process must be gone at once. After other operations the main process may still be in its
    /// exec, or between two runs if this client has killed it before.
    fn untrue(&self, what: &str, name: &str, before: Option<&Process>) -> Option<String> {
        let mut last = None;
        let limit = if what == "stop" {
            Duration::ZERO
        } else {
            BIRTH
        };
        let settled = || {
            last = self.untrue_now(what, name, before);
            last.is_none().then_some(())
        };
        let _ = wait::within(limit, settled);
        last
    }

    fn untrue_now(&self, what: &str, name: &str, before: Option<&Process>) -> Option<String> {
        let all = watch::processes(self.subject.root());
        let of = all
            .into_iter()
            .filter(|it| it.service == name && it.lives());
        let (mains, others): (Vec<_>, Vec<_>) = of.partition(Process::is_main);
        let held = self.gate.held().get(name).copied();
        match what {
            "stop" => {
                let left: Vec<i32> = mains.iter().chain(&others).map(|it| it.pid).collect();
                (!left.is_empty()).then(|| format!("{left:?} live"))
            }
            "start" => mains.is_empty().then(|| "no process".to_owned()),
            "restart" if mains.is_empty() => Some("no process".to_owned()),
            "restart" => {
                let same = mains.iter().any(|it| Some(it) == before);
                same.then(|| "it is the process of before".to_owned())
            }
            "reconfigure" if held == Some(false) => match mains.first() {
                Some(main) => self.unmarked(name, main),
                None => Some("no process".to_owned()),
            },
            _ => None,
        }
    }

    fn unmarked(&self, name: &str, main: &Process) -> Option<String> {
        let wanted = format!("SOAK_MARK={}", self.marks.get(name)?);
        let environment = fs::read(format!("/proc/{}/environ", main.pid)).ok()?;
        let mut variables = environment.split(|byte| *byte == 0);
        let has = variables.any(|it| it == wanted.as_bytes());
        // The process may have ended between the two looks.
        (!has && main.lives()).then(|| format!("its process does not have {wanted}"))
    }
}

/// Kills a main process. The supervisor starts it again: the checkpoint waits for that.
fn crash(main: Option<&Process>) {
    if let Some(main) = main.filter(|it| it.lives()) {
        kill(main.pid, Signal::SIGKILL);
    }
}
