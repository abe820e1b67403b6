//! The keeper's memory: facts until they are acknowledged, and the hello of a new control process.

use std::collections::BTreeSet;

use keeper::message::{Fact, Hello, Kept, Left, Notice, Numbered, RunId, RunInfo, VERSION};

use crate::control::simulation::{
    keeper::{Keeper, pid},
    processes::Run,
};

impl Keeper {
    /// The hello for a new control process; facts in the hello are not sent again.
    pub(super) fn hello(&mut self) -> Hello {
        self.unsent.clear();
        let info = |(run, it): (&RunId, &Run)| RunInfo {
            run: *run,
            service: it.service.clone(),
            role: it.role,
            pid: pid(*run),
            spawned_ms: 0,
            exit: it.exit,
            core: false,
            swept: it.swept,
            left: if it.given_up && !it.swept {
                left(*run)
            } else {
                Vec::new()
            },
            notified: it.notified.clone(),
        };
        Hello {
            version: VERSION,
            keeper_pid: 1,
            keeper_version: format!("0.1.{}", self.execs),
            keeper_execs: self.execs,
            keeper_refusal: None,
            started_ms: 0,
            control_deaths: self.deaths,
            next_run: self.next_run,
            records: self.records.clone(),
            runs: self.runs.iter().map(info).collect(),
            facts: self.facts.iter().cloned().collect(),
            leftovers: Vec::new(),
            went_back: false,
            remaining: Vec::new(),
        }
    }

    /// Keeps only the last of some facts, as the real keeper does.
    pub(super) fn push(&mut self, fact: Fact) {
        self.facts.retain(|old| match (&old.fact, &fact) {
            (Fact::Swept { run: a, .. }, Fact::Swept { run: b, .. }) => a != b,
            (Fact::Notified { run: a, key: k, .. }, Fact::Notified { run: b, key: l, .. }) => {
                (a, k) != (b, l)
            }
            _ => true,
        });
        self.last_fact += 1;
        let numbered = Numbered {
            seq: self.last_fact,
            fact,
        };
        self.facts.push_back(numbered.clone());
        self.unsent.push_back(Notice::Fact(numbered));
    }

    pub(super) fn acknowledge(&mut self, seq: u64) {
        assert!(seq <= self.last_fact, "a fact that never was");
        self.facts.retain(|fact| fact.seq > seq);
        let mentioned: BTreeSet<RunId> = self.facts.iter().filter_map(|it| it.fact.run()).collect();
        self.runs
            .retain(|id, run| !run.swept || mentioned.contains(id));
    }
}

/// The leftovers of a run, as the keeper reports them.
pub(super) fn left(run: RunId) -> Vec<Left> {
    vec![Left {
        pid: pid(run),
        command: "simulated".to_owned(),
        kept: Kept::Unseen,
    }]
}
