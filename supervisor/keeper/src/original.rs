//! Resource limits and `oom_score_adj` that the daemon was started with, for its children: the
//! keeper has changed its own.

use std::{cell::RefCell, collections::BTreeSet};

use nix::libc::rlimit;

use crate::stderr_log::warning;

/// Values that children get from those that the daemon was started with.
#[derive(Debug)]
pub(crate) struct Original {
    /// Limit of open files; the keeper raises its own.
    pub(crate) nofile: rlimit,
    /// Limit of core dumps; the keeper forbids its own.
    pub(crate) core: rlimit,
    /// `oom_score_adj`, if the keeper has changed its own.
    pub(crate) oom_score_adj: Option<String>,
    /// Warnings about unavailable limits that have been logged: each once.
    told: RefCell<BTreeSet<String>>,
}

impl Original {
    /// Limits as given; `oom_score_adj` only if the keeper has changed its own.
    pub(crate) fn new(nofile: rlimit, core: rlimit, oom_score_adj: Option<String>) -> Self {
        Self {
            nofile,
            core,
            oom_score_adj,
            told: RefCell::default(),
        }
    }

    /// Logs a text once, however often its cause recurs.
    pub(crate) fn say_once(&self, text: String, more: &str) {
        if !self.told.borrow().contains(&text) {
            warning!("{text}{more}");
            self.told.borrow_mut().insert(text);
        }
    }
}
