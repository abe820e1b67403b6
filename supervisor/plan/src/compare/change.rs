//! What a new plan means for a service, and why.

use std::fmt;

/// What a new plan means for a service, mildest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangeKind {
    /// Nothing changed.
    Keep,
    /// Takes effect without touching the process.
    InPlace,
    /// The process must read its configuration again.
    Reload,
    /// The process must be replaced.
    Restart,
    /// It runs from now on.
    Start,
    /// It does not run any more.
    Stop,
}

impl fmt::Display for ChangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keep => "keep",
            Self::InPlace => "in place",
            Self::Reload => "reload",
            Self::Restart => "restart",
            Self::Start => "start",
            Self::Stop => "stop",
        })
    }
}

/// A change and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What has to be done.
    pub kind: ChangeKind,
    /// Why: `env MM_X changed`. Never a value.
    pub reasons: Vec<String>,
}

impl Change {
    pub(crate) fn because(&mut self, kind: ChangeKind, reason: impl Into<String>) {
        self.kind = self.kind.max(kind);
        self.reasons.push(reason.into());
    }
}
