//! From changed files to a changed host, step by step, with nothing half-applied.
//!
//! Load and check, make missing accounts, write candidates beside the files, let each service's
//! own program check them, swap them in, and only then tell the engine. A step that fails leaves
//! everything as it was. At the daemon's start the same steps bring up the first plan; there a
//! configuration that does not check is refused aloud and the last good plan runs.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use api::{ErrorKind, ErrorReply};
use engine::{RunId, Shift};
use keeper::message::Request;
use plan::{ChangeKind, Plan};

mod mended;
mod steps;

use super::{
    Control, Job,
    changes::Kind,
    input::{Done, Staged, StagedFile},
};
use crate::{
    accounts::{AccountCommand, Accounts},
    ask::Peer,
};

/// Problems that are told over the API; the rest is counted.
const PROBLEMS_TOLD_MAX: usize = 50;

/// Shown in status as long as it is true.
const REFUSED: &str = "the configuration on disk was refused, the last good one runs: see ctl check-config, and the supervisor's own log";

/// One reconfiguration, if there is one.
#[derive(Debug, Default)]
pub(super) struct Reconfigure {
    stage: Stage,
    /// The client's id, when a client asked.
    change: Option<String>,
    /// It is the daemon's first.
    first: bool,
    /// Another SIGHUP came meanwhile.
    again: bool,
    /// Services whose accounts could not be made at the daemon's start, and why.
    without_account: BTreeMap<String, String>,
}

/// How far it is.
#[derive(Debug, Default)]
enum Stage {
    #[default]
    Idle,
    /// Files are being read.
    Loading,
    /// Missing accounts are being made, one command after the other.
    Accounts {
        plan: Arc<Plan>,
        left: VecDeque<AccountCommand>,
        run: Option<RunId>,
        /// What that run makes.
        making: Option<AccountCommand>,
    },
    /// Directories and candidates are being written.
    Staging { plan: Arc<Plan> },
    /// Candidates are being checked, one after the other.
    Checking {
        plan: Arc<Plan>,
        staged: Box<Staged>,
        left: VecDeque<StagedFile>,
        run: Option<RunId>,
    },
    /// Candidates are being put in place.
    Swapping {
        plan: Arc<Plan>,
        staged: Box<Staged>,
    },
    /// Only ids and programs are being looked up, for a control process that took over.
    Resolving,
}

impl Reconfigure {
    pub(super) const fn is_idle(&self) -> bool {
        matches!(self.stage, Stage::Idle | Stage::Resolving)
    }

    /// The program of a step that could not be executed.
    pub(super) fn program(&self, number: RunId) -> String {
        match &self.stage {
            Stage::Accounts {
                run: Some(run),
                making: Some(making),
                ..
            } if *run == number => making.argv[0].clone(),
            _ => "the validator of a file".to_owned(),
        }
    }

    /// The daemon's first plan is being made: there is nothing to show yet.
    pub(super) const fn is_first(&self) -> bool {
        self.first && !self.is_idle()
    }
}

impl Control {
    pub(super) fn ask_reconfigure(
        &mut self,
        id: &str,
        peer: &Peer,
    ) -> Result<tokio::sync::mpsc::Receiver<api::Progress>, ErrorReply> {
        if let Some(known) = self.follow_known(id) {
            return Ok(known);
        }
        if self.lifecycle.is_stopping() {
            return Err(self.refused(&engine::Refusal::ShuttingDown));
        }
        if !self.reconfigure.is_idle() || self.reconfigure.change.is_some() {
            return Err(ErrorReply {
                kind: ErrorKind::Busy,
                message: "another reconfigure is under way".to_owned(),
                hint: Some("follow it: ctl events -f".to_owned()),
            });
        }
        self.publish("", "change", "reconfigure", Some(&peer.name));
        tracing::info!(by = peer.name, "reconfigure");
        let stream = self.begin_change(id, Kind::Reconfigure, true);
        self.record_asked(id, peer, "reconfigure", &[]);
        self.start_reconfigure(Some(id.to_owned()), false);
        Ok(stream)
    }

    pub(super) fn start_reconfigure(&mut self, change: Option<String>, first: bool) {
        if !self.reconfigure.is_idle() {
            self.reconfigure.again = true;
            return;
        }
        if matches!(self.reconfigure.stage, Stage::Resolving) {
            // Two answers of the same kind could not be told apart: one after the other.
            self.reconfigure.again = true;
            self.reconfigure.change = self.reconfigure.change.take().or(change);
            return;
        }
        if !first {
            self.tell_reloading();
        }
        self.reconfigure = Reconfigure {
            stage: Stage::Loading,
            change,
            first,
            again: false,
            without_account: BTreeMap::new(),
        };
        self.job(Job::Load);
    }

    /// A control process that took over looks up ids and programs; the plan itself runs already.
    pub(super) fn start_stage_only(&mut self) {
        self.reconfigure.stage = Stage::Resolving;
        self.job(Job::Stage {
            plan: Arc::clone(&self.plan),
        });
    }

    fn tell_reloading(&mut self) {
        let usec = self.now.moment.0.saturating_mul(1000);
        let message = format!("RELOADING=1\nMONOTONIC_USEC={usec}");
        self.tell(Request::TellInit { message });
    }

    /// A job of a reconfiguration, or of anything else, is done.
    pub(super) fn on_done(&mut self, done: Done) {
        match done {
            Done::Loaded(result) => self.on_loaded(result),
            Done::MissingAccounts(accounts) => self.on_missing_accounts(accounts),
            Done::Staged(staged) => self.on_staged(staged),
            Done::Swapped(result) => self.on_swapped(result),
            Done::HoldsStored(result) => self.holds_stored(result),
            Done::ScheduleStored(result) => self.schedule_stored(result),
            Done::Recorded(result) => self.on_recorded(result),
            Done::Resolved { run, resolved } => {
                self.handover.lookups -= 1;
                self.on_resolved(run, resolved);
            }
            Done::Holder { run, reason } => {
                self.handover.lookups -= 1;
                self.spawn_refused(run, true, reason);
            }
            Done::Watched(seen) => self.watched(seen),
            Done::FilesSeen(seen) => self.files_seen(seen),
            Done::FilesTouched => self.look_at_files(),
            Done::LineSeen { run, pattern } => self.on_ready_line(run, &pattern),
            Done::Probed {
                run,
                probe,
                ok,
                detail,
                took,
            } => {
                self.count_probe(run, probe, ok, took);
                self.fact(engine::Fact::Probed {
                    run,
                    probe,
                    ok,
                    detail,
                });
            }
        }
    }

    fn on_loaded(&mut self, result: Result<Box<Plan>, Vec<plan::Problem>>) {
        match result {
            Ok(plan) => {
                self.lifecycle.set_refused(None);
                self.with_plan(Arc::from(plan));
            }
            Err(problems) => self.on_refused_plan(&problems),
        }
    }

    pub(super) fn with_plan(&mut self, plan: Arc<Plan>) {
        for remark in &plan.remarks {
            tracing::warn!("{remark}");
        }

        self.job(Job::MissingAccounts { plan: plan.clone() });
        self.reconfigure.stage = Stage::Accounts {
            plan,
            left: VecDeque::new(),
            run: None,
            making: None,
        };
    }

    fn on_refused_plan(&mut self, problems: &[plan::Problem]) {
        for problem in problems {
            tracing::error!("{problem}");
        }
        let said: Vec<_> = problems
            .iter()
            .take(PROBLEMS_TOLD_MAX)
            .map(ToString::to_string)
            .collect();
        let message = format!("the configuration does not check:\n{}", said.join("\n"));
        if self.reconfigure.first {
            let last_good = crate::store::read_plan(&self.plan.paths.state_dir);
            let Some(plan) = last_good else {
                tracing::error!("there is no configuration that has ever worked; giving up");
                self.tell(Request::Quit {
                    code: crate::exit::CONFIGURATION,
                });
                return;
            };
            tracing::error!("the last good configuration runs instead");
            self.lifecycle.set_refused(Some(REFUSED.to_owned()));
            self.with_plan(Arc::new(plan));
            return;
        }
        self.give_up(
            message,
            Some("nothing has changed; mend the files and try again"),
        );
    }

    /// Ends a reconfiguration that failed: nothing has changed.
    fn give_up(&mut self, message: String, hint: Option<&str>) {
        tracing::error!("reconfigure: {message}");
        let error = ErrorReply {
            kind: ErrorKind::Configuration,
            message,
            hint: hint.map(str::to_owned),
        };
        match self.reconfigure.change.take() {
            Some(id) => self.refuse_change(&id, error),
            None => self.lifecycle.set_refused(Some(REFUSED.to_owned())),
        }
        self.end_reconfigure();
    }

    fn end_reconfigure(&mut self) {
        let again = self.reconfigure.again;
        let first = self.reconfigure.first;
        self.reconfigure = Reconfigure::default();
        if !first {
            self.tell(Request::TellInit {
                message: "READY=1".to_owned(),
            });
        }
        for ask in std::mem::take(&mut self.early) {
            self.on_ask(ask);
        }
        // What this plan has just set going is on its way, and must be known to be.
        let touched = self.touched.clone();
        self.sort_touched(&touched);
        self.lifecycle_check();
        if again {
            self.start_reconfigure(None, false);
        }
    }

    /// A clash refuses a change; at the daemon's start it fails that service alone, by what `Stage`
    /// finds again.
    fn on_missing_accounts(&mut self, accounts: Accounts) {
        if !self.reconfigure.first && !accounts.clashes.is_empty() {
            let clashes = accounts.clashes.iter();
            let said: Vec<_> = clashes
                .map(|(name, why)| format!("{name}: {why}"))
                .collect();
            self.give_up(said.join("\n"), Some("nothing has changed"));
            return;
        }
        if let Stage::Accounts { left, .. } = &mut self.reconfigure.stage {
            *left = accounts.commands.into();
        }
        self.next_account();
    }

    fn on_staged(&mut self, mut staged: Staged) {
        let without_account = std::mem::take(&mut self.reconfigure.without_account);
        staged.broken.extend(without_account);
        match std::mem::take(&mut self.reconfigure.stage) {
            Stage::Resolving => {
                self.resolved = staged.resolved;
                self.broken = staged.broken;
                self.schedule_follows_plan(staged.zone);
                if std::mem::take(&mut self.reconfigure.again) {
                    let change = self.reconfigure.change.take();
                    self.start_reconfigure(change, false);
                }
            }
            Stage::Staging { plan } => {
                // The first plan has nothing running that a bad file could hurt: a service's own
                // validator sees it before the start and fails that service alone.
                let checked = !self.reconfigure.first;
                let left = staged
                    .files
                    .iter()
                    .filter(|file| checked && !file.validate.is_empty());
                let left = left.cloned().collect();
                if checked && let Some((service, why)) = staged.broken.pop_first() {
                    self.job(Job::Discard {
                        staged: staged.files,
                    });
                    self.give_up(format!("{service}: {why}"), Some("nothing has changed"));
                    return;
                }
                let staged = Box::new(staged);
                self.reconfigure.stage = Stage::Checking {
                    plan,
                    staged,
                    left,
                    run: None,
                };
                self.next_check();
            }
            other => self.reconfigure.stage = other,
        }
    }

    fn on_swapped(&mut self, result: Result<(), String>) {
        let Stage::Swapping { plan, staged } = std::mem::take(&mut self.reconfigure.stage) else {
            return;
        };
        if let Err(error) = result {
            if !self.reconfigure.first {
                self.give_up(format!("cannot put files in place: {error}"), None);
                return;
            }
            tracing::error!("cannot store the plan or its files: {error}");
        }
        let changes = plan::changes(&self.plan, &plan);
        let mut targets: Vec<String> = Vec::new();
        let mut shifts = BTreeMap::new();
        let mut notes = vec![];
        for (name, change) in changes {
            let reasons = change.reasons.join(", ");
            let (shift, verb) = match change.kind {
                ChangeKind::Keep => continue,
                ChangeKind::InPlace => (Shift::Keep, "updated in place"),
                ChangeKind::Reload => (Shift::Reload, "reloads"),
                ChangeKind::Restart => (Shift::Restart, "restarts"),
                // One that left with an earlier plan may not be down yet: it runs what was then.
                ChangeKind::Start => (Shift::Restart, "starts"),
                ChangeKind::Stop => (Shift::Keep, "stops"),
            };
            notes.push(format!("{name} {verb}: {reasons}"));
            shifts.insert(name.clone(), shift);
            targets.push(name);
        }
        for name in self.mended(&staged) {
            if !shifts.contains_key(&name) {
                notes.push(format!("{name} starts: what it lacked is there now"));
                shifts.insert(name.clone(), Shift::Restart);
                targets.push(name);
            }
        }
        if notes.is_empty() {
            notes.push("nothing has changed".to_owned());
        }
        let targets = self.targets(&targets);
        self.plan = plan;
        self.resolved = staged.resolved;
        self.broken = staged.broken;
        let access = self.plan.control.clone();
        self.outputs.push_back(super::Output::Access(access));
        // What is being looked up for the old plan is of no use for the new one.
        self.outdated = self.runs.keys().copied().collect();
        if self.reconfigure.first {
            // Nothing runs that a plan half-applied could leave behind, but much to be lost.
            self.remember_plan();
        }
        self.apply_to_engine(&shifts);
        self.schedule_follows_plan(staged.zone);
        self.remember_plan();
        if let Some(id) = self.reconfigure.change.take() {
            self.accept_change(&id, targets, notes);
            self.release_when_stored();
        }
        self.end_reconfigure();
    }
}
