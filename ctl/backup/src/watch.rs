//! How far the work is, and whether somebody has asked to stop it.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use nix::{sys::signal::Signal, unistd::Pid};
use serde::Serialize;

use crate::{Error, Step};

/// No more often is progress told.
const EVERY: Duration = Duration::from_millis(250);

/// What progress is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Bytes read.
    Bytes,
    /// Files looked at.
    Files,
    /// Rows of tables.
    Rows,
}

/// How far one step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// What is being done.
    pub step: Step,
    /// So much of it is done.
    pub done: u64,
    /// Of so much, as far as is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// What is counted.
    pub unit: Unit,
}

/// Tells progress, and hears of a wish to stop.
pub struct Watch {
    now: Progress,
    told: Option<Instant>,
    tell: Box<dyn FnMut(&Progress)>,
    /// For tests: hears of each step forward.
    each: Option<Box<dyn FnMut(u64)>>,
    stop: Stop,
}

impl Watch {
    /// One that tells progress to a function.
    pub fn new(stop: Stop, tell: impl FnMut(&Progress) + 'static) -> Self {
        Self {
            now: Progress {
                step: Step::Check,
                done: 0,
                total: None,
                unit: Unit::Bytes,
            },
            told: None,
            tell: Box::new(tell),
            each: None,
            stop,
        }
    }

    /// One that nobody looks at and nobody stops.
    pub fn silent() -> Self {
        Self::new(Stop::default(), |_| {})
    }

    /// Has a function hear of each step forward, however small: a test changes something then.
    pub fn at_each(&mut self, each: impl FnMut(u64) + 'static) {
        self.each = Some(Box::new(each));
    }

    /// Begins a step.
    pub fn step(&mut self, step: Step, total: Option<u64>, unit: Unit) {
        self.now = Progress {
            step,
            done: 0,
            total,
            unit,
        };
        self.tell();
    }

    /// More of the step is done.
    ///
    /// # Errors
    /// [`Error::Cancelled`] if somebody has asked to stop.
    pub fn add(&mut self, more: u64) -> Result<(), Error> {
        self.reach(self.now.done + more)
    }

    /// So much of the step is done.
    ///
    /// # Errors
    /// As for [`Watch::add`].
    pub fn reach(&mut self, done: u64) -> Result<(), Error> {
        self.now.done = done;
        if let Some(each) = &mut self.each {
            each(done);
        }
        // A total that was an estimate, and too small.
        if let Some(total) = &mut self.now.total {
            *total = done.max(*total);
        }
        if self.told.is_none_or(|told| told.elapsed() >= EVERY) {
            self.tell();
        }
        self.stop.check()
    }

    /// What hears of a wish to stop.
    pub fn stop(&self) -> &Stop {
        &self.stop
    }

    fn tell(&mut self) {
        self.told = Some(Instant::now());
        (self.tell)(&self.now);
    }
}

/// A wish to stop, and the children that would not hear of it by themselves.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    asked: Arc<AtomicBool>,
    children: Arc<Mutex<Vec<Pid>>>,
}

impl Stop {
    /// Somebody has asked: children end at once, and the work at its next step.
    pub fn ask(&self) {
        self.asked.store(true, Ordering::SeqCst);
        for child in self.children().iter() {
            let _ = nix::sys::signal::kill(*child, Signal::SIGTERM);
        }
    }

    /// # Errors
    /// [`Error::Cancelled`] if somebody has asked.
    pub fn check(&self) -> Result<(), Error> {
        if self.asked.load(Ordering::SeqCst) {
            return Err(Error::Cancelled);
        }
        Ok(())
    }

    /// This child is to end too. To be called before it is waited for.
    pub(crate) fn add(&self, child: Pid) {
        self.children().push(child);
        if self.asked.load(Ordering::SeqCst) {
            let _ = nix::sys::signal::kill(child, Signal::SIGTERM);
        }
    }

    /// This one is about to be reaped: its number may be another's soon.
    pub(crate) fn remove(&self, child: Pid) {
        self.children().retain(|it| *it != child);
    }

    fn children(&self) -> std::sync::MutexGuard<'_, Vec<Pid>> {
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
