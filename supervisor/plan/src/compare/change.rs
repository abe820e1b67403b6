//! Effect of a new plan on a service, and the reasons.

use std::{collections::BTreeSet, path::PathBuf};

use api::PlanImpact;

/// Effect of a new plan on a service, with the reasons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The costliest consequence.
    pub impact: PlanImpact,
    /// Why: `env MM_X changed`. Never a value.
    pub reasons: Vec<String>,
    /// Rendered files that a reason is about.
    pub(crate) files: BTreeSet<PathBuf>,
}

impl Change {
    pub(crate) fn new(impact: PlanImpact, reason: &str) -> Self {
        Self {
            impact,
            reasons: vec![reason.to_owned()],
            files: BTreeSet::new(),
        }
    }

    pub(crate) fn because(&mut self, impact: PlanImpact, reason: impl Into<String>) {
        self.impact = self.impact.max(impact);
        self.reasons.push(reason.into());
    }
}
