//! The disk: files, plans, holds and histories, which outlive every process, and their invariants.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use api::KeptPlan;
use plan::Plan;

use crate::{
    control::simulation::clients::Clients,
    history,
    load_plan::{Loaded, NotLoaded},
    staging::StagedFile,
    status_files::Situations,
    store::{Running, StoredHold},
};

/// All that outlives every process.
#[derive(Debug)]
pub(super) struct Disk {
    /// The plan in the administrator's files.
    pub(super) site: Plan,
    /// The last plan that was applied.
    pub(super) stored: Option<Plan>,
    pub(super) holds: BTreeMap<String, StoredHold>,
    /// Whether the stored holds were removed, and not written since.
    pub(super) lost: bool,
    /// The lines of each change in the history.
    pub(super) history: BTreeMap<String, Told>,
    /// Ends of runs that the history has, by service and id: how many more each stands for.
    pub(super) exits: BTreeMap<String, BTreeMap<String, u64>>,
    /// Main runs that are alive.
    pub(super) running: Running,
    /// Whether there is maintenance.
    pub(super) maintenance: Option<api::Maintenance>,
    /// Whether the stored maintenance was removed, and not written since.
    pub(super) maintenance_lost: bool,
    /// The content of the status files.
    pub(super) status_files: Situations,
    /// The last request of each job.
    pub(super) orders: BTreeMap<String, String>,
    /// Whether the last write of ends, and of runs alive, found no room: then the end waits for
    /// none.
    pub(super) refused: (bool, bool),
    /// The last result of each job.
    pub(super) results: BTreeMap<String, api::JobResult>,
    /// Rendered files.
    pub(super) files: BTreeMap<PathBuf, String>,
    /// Files with candidates beside them.
    pub(super) candidates: BTreeSet<PathBuf>,
    /// Whether the first plan found no room for its files, and went on without them.
    pub(super) was_full: bool,
    /// Plans that have worked, the last one first.
    pub(super) kept: Vec<Plan>,
}

/// Which lines of a change the history has.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    asked: bool,
    ended: bool,
}

impl Disk {
    pub(super) fn append(&mut self, lines: Vec<history::Line>) {
        for line in lines {
            let told = self.history.entry(line.id).or_default();
            match line.said {
                history::Said::Asked { .. } => told.asked = true,
                history::Said::Ended { .. } => told.ended = true,
            }
        }
    }

    /// If a run is written twice the first line counts, as for readers.
    pub(super) fn append_exits(&mut self, records: Vec<api::ExitRecord>) {
        for record in records {
            let of_it = self.exits.entry(record.service).or_default();
            of_it.entry(record.id).or_insert(record.left_out);
        }
    }

    /// Every end of a main run is in the history, once: by itself or among those left out. What a
    /// run that has ended has left may not have been swept yet; then its end may not have been
    /// told.
    pub(super) fn judge_exits(&self, ends: &BTreeMap<u64, (String, bool)>) {
        let services: BTreeSet<&String> = ends.values().map(|(service, _)| service).collect();
        for service in services.into_iter().chain(self.exits.keys()) {
            let of_it = ends.iter().filter(|(_, (name, _))| name == service);
            let all = of_it.clone().count() as u64;
            let over = of_it.clone().filter(|(_, (_, over))| *over).count() as u64;
            let records = self.exits.get(service).into_iter().flatten();
            let told: u64 = records.map(|(_, left_out)| 1 + left_out).sum();
            let least = if self.refused.0 { 0 } else { over };
            assert!(
                (least..=all).contains(&told),
                "{service}: {told} ends told, {over} of {all} are over: {:?} of {:?}",
                self.exits.get(service),
                of_it.collect::<Vec<_>>()
            );
        }
        // Ends missing in the history stay for the next daemon to report.
        let known = |id: &String, service: &String| {
            let records = self.exits.get(service);
            records.is_some_and(|it| it.contains_key(id))
        };
        let mut runs = self.running.0.iter();
        let wrong = runs.find(|(id, live)| !self.refused.0 || known(id, &live.service));
        assert!(
            wrong.is_none() || self.refused.1,
            "said to live after the end: {wrong:?}"
        );
    }

    /// Removes all stored state except the plans.
    pub(super) fn lose_state(&mut self) {
        self.holds.clear();
        self.lost = true;
        self.maintenance = None;
        self.maintenance_lost = true;
    }

    /// All that was reported to clients as stored is on the disk, whatever process has died.
    pub(super) fn judge_promises(&self, clients: &Clients) {
        for name in &clients.stored {
            let stored = self.lost || self.holds.contains_key(name);
            assert!(
                stored,
                "{name} is stopped, and the disk knows nothing of it"
            );
        }
        for id in &clients.recorded {
            assert!(self.told(id).asked, "{id} is not in the history");
        }
        for id in &clients.ended {
            assert!(self.told(id).ended, "the history has no end of {id}");
        }
    }

    fn told(&self, id: &str) -> Told {
        self.history.get(id).copied().unwrap_or_default()
    }

    /// In the end the history has all that were taken, and of each change that it has both lines.
    pub(super) fn judge_history(&self, taken: &[String]) {
        for id in taken {
            assert!(self.told(id).asked, "{id} is not in the history");
        }
        let half = |(_, told): &(&String, &Told)| !(told.asked && told.ended);
        let half = self.history.iter().find(half);
        assert!(half.is_none(), "the history has it in part: {half:?}");
    }

    /// Candidates take their places; each has its content for its extension.
    pub(super) fn put(&mut self, staged: &[StagedFile]) {
        for file in staged {
            let content = file.candidate.extension().unwrap_or_default();
            let content = content.to_string_lossy().into_owned();
            self.files.insert(file.path.clone(), content);
        }
        self.discard(staged);
    }

    pub(super) fn discard(&mut self, staged: &[StagedFile]) {
        for file in staged {
            self.candidates.remove(&file.path);
        }
    }

    pub(super) fn keep(&mut self, plan: &Plan, as_first: bool) {
        if !as_first || self.kept.is_empty() {
            self.kept.retain(|it| it != plan);
            self.kept.insert(0, plan.clone());
            self.kept.truncate(2);
        }
    }

    pub(super) fn kept_before(&self, running: &Plan) -> Result<Loaded, NotLoaded> {
        let plan = self.kept.iter().find(|it| *it != running);
        let plan = plan.ok_or(NotLoaded::NothingKept)?;
        Ok(back_to(plan.clone()))
    }
}

pub(super) fn back_to(plan: Plan) -> Loaded {
    Loaded {
        kept: Some(KeptPlan {
            at: String::new(),
            by: "root".to_owned(),
            not_up: Vec::new(),
        }),
        rejected: Some(BTreeMap::new()),
        ..loaded(plan)
    }
}

pub(super) fn loaded(plan: Plan) -> Loaded {
    Loaded {
        plan: Box::new(plan),
        put_back: Vec::new(),
        kept: None,
        rejected: None,
        mark: None,
    }
}
