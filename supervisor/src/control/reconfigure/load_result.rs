//! Facts about a plan beside its content: whether a kept plan, and the findings of the steps so
//! far.

use std::collections::BTreeMap;

use api::{FileCheck, HostAction, HostChange, KeptPlan};
use plan::Severity;

use crate::{plan_store::Inputs, staging::Broken};

/// Problems that are told over the API; the rest is counted.
pub(super) const PROBLEMS_TOLD_MAX: usize = 50;

/// Facts about a plan beside its content.
#[derive(Debug, Default)]
pub(super) struct LoadResult {
    /// The plan is not the files', but this one that was kept.
    pub(super) kept: Option<KeptPlan>,
    /// What the rejected files say, in whose place the plan stands.
    pub(super) rejected: Option<Inputs>,
    /// The files are rejected; the kept plan runs instead.
    pub(super) rolled_back: bool,
    /// Warnings and notes on the files.
    pub(super) remarks: Vec<plan::Problem>,
    /// Of a dry run: accounts to be made, secrets to be generated.
    pub(super) host: Vec<HostChange>,
    /// Candidates that have been checked.
    pub(super) checks: Vec<FileCheck>,
}

impl LoadResult {
    /// What is probably not meant, in lines; notes are for those who ask.
    pub(super) fn warnings(&self) -> Vec<String> {
        let remarks = self.remarks.iter();
        let warnings = remarks.filter(|it| it.severity == Severity::Warning);
        let said = warnings.take(PROBLEMS_TOLD_MAX);
        said.flat_map(|it| {
            it.to_string()
                .lines()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect()
    }

    /// Warns of services that their own accounts have broken.
    pub(super) fn warn_of_spoiled(&mut self, broken: &BTreeMap<String, Broken>) {
        let spoiled = broken.iter().filter_map(|(name, it)| {
            Some(plan::Problem {
                severity: Severity::Warning,
                file: it.own.clone()?,
                line: None,
                column: None,
                key: String::new(),
                message: format!("{name} cannot start any more: {}", it.why),
                hint: Some("mend it, then: ctl reconfigure".to_owned()),
                variable: None,
                denied: false,
            })
        });
        self.remarks.extend(spoiled);
    }

    /// Of a dry run: an account would be made for this service.
    pub(super) fn would_have_account(&self, service: &str) -> bool {
        let mut made = self
            .host
            .iter()
            .filter(|it| it.action == HostAction::Create);
        made.any(|it| it.services.iter().any(|name| name == service))
    }
}
