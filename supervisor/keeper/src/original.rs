//! Resource limits and `oom_score_adj` that the daemon was started with, for its children: the
//! keeper has changed its own.

use std::{cell::RefCell, collections::BTreeSet};

use nix::libc::rlimit;
use serde::{Deserialize, Serialize};

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

/// The same for the next image of this process: soft and hard limits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedOriginal {
    nofile: (u64, u64),
    core: (u64, u64),
    oom_score_adj: Option<String>,
}

impl Original {
    /// For the next image of this process.
    pub(crate) fn saved(&self) -> SavedOriginal {
        let pair = |limit: rlimit| (limit.rlim_cur, limit.rlim_max);
        SavedOriginal {
            nofile: pair(self.nofile),
            core: pair(self.core),
            oom_score_adj: self.oom_score_adj.clone(),
        }
    }

    /// As an earlier image of this process had them.
    pub(crate) fn resume(saved: SavedOriginal) -> Self {
        let limit = |(rlim_cur, rlim_max)| rlimit { rlim_cur, rlim_max };
        Self::new(limit(saved.nofile), limit(saved.core), saved.oom_score_adj)
    }

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
