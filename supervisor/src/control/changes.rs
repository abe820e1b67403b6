//! Changes that clients asked for: their progress, and how each ended.
//!
//! A change carries an id made by its client. The keeper remembers the list, so a client whose
//! connection broke when the control process died learns the outcome from the next one.

mod verdict;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use api::{ActionResult, ErrorReply, KeptPlan, Outcome, Progress, Verdict};
use engine::{Moment, RunId, ServiceId, Settled};
use keeper::message::Request;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::Control;
use crate::ask::STREAM_LINES_MAX;

/// Changes that are remembered, the unfinished ones included.
const CHANGES_MAX: usize = 64;
/// Key under which the keeper remembers them; no service can have this name.
pub(super) const RECORD: &str = "@changes";

/// All changes that are remembered, oldest first.
#[derive(Debug, Default)]
pub(super) struct Changes {
    list: VecDeque<Change>,
}

/// One change.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Change {
    id: String,
    kind: Kind,
    targets: BTreeMap<String, Target>,
    /// Goals and holds are on disk; the client has been told.
    accepted: bool,
    finished: bool,
    notes: Vec<String>,
    /// Of a reconfiguration: what there is to go back to.
    #[serde(default)]
    rollback: Option<KeptPlan>,
    /// Its end has been recorded in the history.
    #[serde(default)]
    recorded: bool,
    /// When to look again whether its services stay up.
    #[serde(skip)]
    look_at: Option<Moment>,
    #[serde(skip)]
    progress: Option<mpsc::Sender<Progress>>,
    /// The client goes as soon as the change is accepted.
    wait: bool,
}

/// What is awaited of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Kind {
    /// To come to rest, ready.
    Start,
    /// To be down.
    Stop,
    /// To come to rest with another run.
    Restart,
    /// To have taken its configuration.
    Reload,
    /// Nothing: it is done when it is accepted.
    Signal,
    /// Each target as its plan says.
    Reconfigure,
}

/// One service of a change.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Target {
    /// Its main run before the change.
    run_before: Option<RunId>,
    /// It was ready, completed or down before the change.
    at_rest: bool,
    /// There was nothing to do.
    already: bool,
    /// Of a reconfiguration: it only takes its new configuration.
    #[serde(default)]
    reloads: bool,
    /// Once it is over.
    result: Option<ActionResult>,
}

impl Changes {
    /// Takes back what an earlier control process remembered.
    pub(super) fn restore(&mut self, record: &str) {
        // What cannot be read is lost: a client then hears that its change never arrived.
        self.list = serde_json::from_str(record).unwrap_or_default();
        // A reconfiguration that had not come to its plan died with its control process.
        self.list.retain(|change| !change.targets_pending());
    }

    pub(super) fn outcome(&self, id: &str) -> Option<Outcome> {
        self.list
            .iter()
            .find(|change| change.id == id)
            .map(Change::outcome)
    }

    /// When some are to be looked at again.
    pub(super) fn poll_timeout(&self) -> Option<Moment> {
        let open = self.list.iter().filter(|change| !change.finished);
        open.filter_map(|change| change.look_at).min()
    }

    /// Says how far a change is.
    pub(super) fn say(&mut self, id: &str, progress: Progress) {
        if let Some(change) = self.get(id) {
            change.say(progress);
        }
    }

    fn get(&mut self, id: &str) -> Option<&mut Change> {
        self.list.iter_mut().find(|change| change.id == id)
    }
}

impl Change {
    fn outcome(&self) -> Outcome {
        let pending = |name: &String| ActionResult {
            service: name.clone(),
            verdict: Verdict::Pending,
            state: String::new(),
            pid: None,
            seconds: 0,
            detail: String::new(),
        };
        let results = self.targets.iter();
        let results = results.map(|(name, it)| it.result.clone().unwrap_or_else(|| pending(name)));
        Outcome {
            id: self.id.clone(),
            finished: self.finished,
            results: results.collect(),
            rollback: self.rollback.clone(),
        }
    }

    fn say(&mut self, progress: Progress) {
        // A slow reader loses progress lines, never the last one: `finish` makes sure.
        if let Some(sender) = &self.progress
            && matches!(
                sender.try_send(progress),
                Err(mpsc::error::TrySendError::Closed(_))
            )
        {
            self.progress = None;
        }
    }
}

impl Control {
    /// A change that arrives a second time is not done again: its client follows the first.
    pub(super) fn follow_known(&mut self, id: &str) -> Option<mpsc::Receiver<Progress>> {
        let change = self.changes.get(id)?;
        let (sender, receiver) = mpsc::channel(STREAM_LINES_MAX);
        if change.finished {
            let _ = sender.try_send(Progress::Done(change.outcome()));
        } else {
            change.progress = Some(sender);
        }
        Some(receiver)
    }

    /// Begins a change; it is told and evaluated once [`Self::accept_change`] is called.
    pub(super) fn begin_change(
        &mut self,
        id: &str,
        kind: Kind,
        wait: bool,
    ) -> mpsc::Receiver<Progress> {
        let (sender, receiver) = mpsc::channel(STREAM_LINES_MAX);
        if self.changes.list.len() == CHANGES_MAX {
            let over = self.changes.list.iter().position(|change| change.finished);
            if let Some(mut oldest) = self.changes.list.remove(over.unwrap_or(0)) {
                // Still under way, but nobody can be told of it any more.
                oldest.finish();
            }
        }
        self.changes.list.push_back(Change {
            id: id.to_owned(),
            kind,
            targets: BTreeMap::new(),
            accepted: false,
            finished: false,
            notes: Vec::new(),
            rollback: None,
            recorded: false,
            look_at: None,
            progress: Some(sender),
            wait,
        });
        receiver
    }

    /// The engine has taken the change: these are its targets, as they were before it.
    pub(super) fn accept_change(
        &mut self,
        id: &str,
        targets: BTreeMap<String, Target>,
        notes: Vec<String>,
    ) {
        let Some(change) = self.changes.get(id) else {
            return;
        };
        change.targets = targets;
        change.notes = notes;
        self.remember_changes();
    }

    /// The same for a reconfiguration, which may have something to go back to.
    pub(super) fn accept_reconfigure(
        &mut self,
        id: &str,
        targets: BTreeMap<String, Target>,
        notes: Vec<String>,
        rollback: Option<KeptPlan>,
    ) {
        if let Some(change) = self.changes.get(id) {
            change.rollback = rollback;
        }
        self.accept_change(id, targets, notes);
    }

    /// The change cannot be done; nothing has changed.
    pub(super) fn refuse_change(&mut self, id: &str, error: ErrorReply) {
        self.record_refused(id, &error.message);
        if let Some(change) = self.changes.get(id) {
            change.say(Progress::Refused(error));
        }
        self.changes.list.retain(|change| change.id != id);
        self.remember_changes();
    }

    /// Goals and holds are on disk (or there was nothing to store): tell the clients, and see
    /// what has already come to its end.
    pub(super) fn release_changes(&mut self) {
        let mut changes = std::mem::take(&mut self.changes.list);
        for change in changes
            .iter_mut()
            .filter(|it| !it.accepted && !it.targets_pending())
        {
            change.accepted = true;
            let services = change.targets.keys().cloned().collect();
            let notes = change.notes.clone();
            change.say(Progress::Accepted { services, notes });
            let all = change.targets.keys().cloned().collect();
            self.evaluate(change, &all);
            if !change.wait && !change.finished {
                change.finish();
            }
        }
        self.changes.list = changes;
        self.record_endings();
        self.remember_changes();
    }

    /// After an earlier control process: what has come to its end without anybody looking.
    pub(super) fn resume_changes(&mut self) {
        self.look_again(|_| true);
        self.release_when_stored();
    }

    /// Time has passed: what has stayed up long enough?
    pub(super) fn changes_timeout(&mut self) {
        let now = self.now.moment;
        if self.changes.poll_timeout().is_some_and(|at| at <= now) {
            self.look_again(|change| change.look_at.is_some_and(|at| at <= now));
            self.remember_changes();
        }
    }

    fn look_again(&mut self, due: impl Fn(&Change) -> bool) {
        let mut changes = std::mem::take(&mut self.changes.list);
        let open = |it: &&mut Change| it.accepted && !it.finished && due(it);
        for change in changes.iter_mut().filter(open) {
            change.look_at = None;
            let all = change.targets.keys().cloned().collect();
            self.evaluate(change, &all);
        }
        self.changes.list = changes;
        self.record_endings();
    }

    /// What has ended and is not in the history yet goes there.
    fn record_endings(&mut self) {
        let ended = |change: &&mut Change| change.finished && !change.recorded;
        let mut outcomes = Vec::new();
        for change in self.changes.list.iter_mut().filter(ended) {
            change.recorded = true;
            // What a reconfiguration is about was not known when it was asked for.
            outcomes.push((change.outcome(), change.kind == Kind::Reconfigure));
        }
        for (outcome, name_services) in &outcomes {
            self.record_ended(outcome, *name_services);
        }
    }

    /// Services have changed: say so to whom it concerns, and see which changes are over.
    pub(super) fn advance_changes(&mut self, touched: &BTreeSet<ServiceId>) {
        if self.changes.list.iter().all(|change| change.finished) {
            return;
        }
        let named = |ids: &BTreeSet<ServiceId>| -> BTreeSet<String> {
            ids.iter()
                .filter_map(|id| self.names.name(*id).map(str::to_owned))
                .collect()
        };
        let affected = named(&touched.union(&self.lifecycle.waiting).copied().collect());
        let touched = named(touched);
        let mut changes = std::mem::take(&mut self.changes.list);
        let mut ended = false;
        for change in changes.iter_mut().filter(|it| it.accepted && !it.finished) {
            for name in &touched {
                if !change.targets.contains_key(name) {
                    continue;
                }
                let Some(service) = self.plan.services.get(name) else {
                    continue;
                };
                let state = self.service_status(service).state;
                let detail = self.detail(name);
                change.say(Progress::State {
                    service: name.clone(),
                    state,
                    detail,
                });
            }
            self.evaluate(change, &affected);
            ended |= change.finished;
        }
        self.changes.list = changes;
        if ended {
            self.record_endings();
            self.remember_changes();
        }
    }

    /// The targets as they are now, before a command changes them.
    pub(super) fn targets(&self, names: &[String]) -> BTreeMap<String, Target> {
        let target = |name: &String| {
            let run_before = self.main_run_of(name);
            let settled = self.settled(name);
            let at_rest = matches!(
                settled,
                Some(Settled::Ready | Settled::Completed | Settled::Held)
            );
            (
                name.clone(),
                Target {
                    run_before,
                    at_rest,
                    ..Target::default()
                },
            )
        };
        names.iter().map(target).collect()
    }

    fn remember_changes(&mut self) {
        let record = serde_json::to_string(&self.changes.list).expect("changes are plain data");
        self.tell(Request::Remember {
            service: RECORD.to_owned(),
            record,
        });
    }
}

impl Change {
    /// A reconfiguration has no targets until its plan is applied.
    fn targets_pending(&self) -> bool {
        self.kind == Kind::Reconfigure && self.notes.is_empty()
    }

    fn finish(&mut self) {
        self.finished = self.targets.values().all(|target| target.result.is_some());
        let outcome = self.outcome();
        if let Some(sender) = self.progress.take() {
            // The last line is never lost: where the queue is full, the stream just ends and the
            // client asks for the outcome by id.
            let _ = sender.try_send(Progress::Done(outcome));
        }
    }
}

impl Target {
    /// A reconfiguration reloads it.
    pub(super) const fn reloads(&mut self) {
        self.reloads = true;
    }

    /// There was nothing to do for it, if it had come to rest before.
    pub(super) const fn needless_if(&mut self, untouched: bool) {
        self.already = untouched && self.at_rest;
    }
}
