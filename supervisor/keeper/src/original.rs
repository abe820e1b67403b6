//! What the daemon itself was started with, as children are to have it: the keeper has changed its own.

use std::{cell::RefCell, collections::BTreeSet};

use nix::libc::rlimit;

use crate::stderr_log::say;

/// What children get from what the daemon itself was started with.
#[derive(Debug)]
pub(crate) struct Original {
    /// Of open files; the keeper raises its own.
    pub(crate) nofile: rlimit,
    /// Of cores; the keeper has forbidden its own.
    pub(crate) core: rlimit,
    /// Badness, if the keeper has changed its own.
    pub(crate) oom_score_adj: Option<String>,
    /// What was said of limits that cannot be had: once, and again only if the plan asks for others.
    told: RefCell<BTreeSet<String>>,
}

impl Original {
    /// What the daemon was started with; a badness only if the keeper has another by now.
    pub(crate) fn new(nofile: rlimit, core: rlimit, oom_score_adj: Option<String>) -> Self {
        Self {
            nofile,
            core,
            oom_score_adj,
            told: RefCell::default(),
        }
    }

    /// Says something once, however often it is so.
    pub(crate) fn say_once(&self, text: String, more: &str) {
        if !self.told.borrow().contains(&text) {
            say!("{text}{more}");
            self.told.borrow_mut().insert(text);
        }
    }
}
