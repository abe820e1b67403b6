//! Progress of the work, and requests to stop it.

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

/// Shortest time between two reports of progress.
const EVERY: Duration = Duration::from_millis(250);

/// The unit of progress.
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

/// Progress of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// The current step.
    pub step: Step,
    /// Units done.
    pub done: u64,
    /// Units in all, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// The unit.
    pub unit: Unit,
}

/// Reports progress, and checks for stop requests.
pub struct Watch {
    now: Progress,
    told: Option<Instant>,
    tell: Box<dyn FnMut(&Progress)>,
    /// For tests: called at each step forward.
    each: Option<Box<dyn FnMut(u64)>>,
    stop: Stop,
}

impl Watch {
    /// A watch that reports progress to a function.
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

    /// A watch without reports and stop requests.
    pub fn silent() -> Self {
        Self::new(Stop::default(), |_| {})
    }

    /// Sets a function that is called at each step forward, however small: a test changes something
    /// then.
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

    /// Adds to the units done.
    ///
    /// # Errors
    /// [`Error::Cancelled`] if a stop was requested.
    pub fn add(&mut self, more: u64) -> Result<(), Error> {
        self.reach(self.now.done + more)
    }

    /// Sets the units done.
    ///
    /// # Errors
    /// As for [`Watch::add`].
    pub fn reach(&mut self, done: u64) -> Result<(), Error> {
        self.now.done = done;
        if let Some(each) = &mut self.each {
            each(done);
        }
        // The total was an estimate, and too small.
        if let Some(total) = &mut self.now.total {
            *total = done.max(*total);
        }
        if self.told.is_none_or(|told| told.elapsed() >= EVERY) {
            self.tell();
        }
        self.stop.check()
    }

    /// The stop flag.
    pub fn stop(&self) -> &Stop {
        &self.stop
    }

    fn tell(&mut self) {
        self.told = Some(Instant::now());
        (self.tell)(&self.now);
    }
}

/// A stop request, with the children that it must terminate.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    asked: Arc<AtomicBool>,
    children: Arc<Mutex<Vec<Pid>>>,
}

impl Stop {
    /// Requests the stop: children get SIGTERM at once, and the work ends at its next step.
    pub fn ask(&self) {
        self.asked.store(true, Ordering::SeqCst);
        for child in self.children().iter() {
            let _ = nix::sys::signal::kill(*child, Signal::SIGTERM);
        }
    }

    /// # Errors
    /// [`Error::Cancelled`] if a stop was requested.
    pub fn check(&self) -> Result<(), Error> {
        if self.asked.load(Ordering::SeqCst) {
            return Err(Error::Cancelled);
        }
        Ok(())
    }

    /// Registers a child that a stop request terminates. Call this before waiting for the child.
    pub(crate) fn add(&self, child: Pid) {
        self.children().push(child);
        if self.asked.load(Ordering::SeqCst) {
            let _ = nix::sys::signal::kill(child, Signal::SIGTERM);
        }
    }

    /// Unregisters a child that is about to be reaped, because its pid may be reused.
    pub(crate) fn remove(&self, child: Pid) {
        self.children().retain(|it| *it != child);
    }

    fn children(&self) -> std::sync::MutexGuard<'_, Vec<Pid>> {
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
