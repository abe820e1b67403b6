//! Operations that clients asked for: their progress, and how each ended.
//!
//! A change carries an id made by its client. The keeper remembers the list, so a client whose
//! connection broke when the control process died learns the outcome from the next one. A change that
//! arrives again is not done again: what a control process is about to do is remembered before it is
//! done (`in_flight.rs`). What a client is told of a change has been seen to be on the disk, or is
//! said not to be (`report.rs`).

pub(in crate::control) mod admission;
pub(in crate::control) mod audit;
mod causes;
mod going_back;
mod in_flight;
mod job;
mod outcome;
mod report;
pub(in crate::control) mod result;
mod target;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use api::{ActionResult, ErrorReply, KeptPlan, Outcome, Progress, Unstored, Verdict};
use engine::{Moment, ServiceId, Settled};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

pub(super) use going_back::{GoingBack, Way};
use in_flight::InFlight;
use result::Reading;
pub(super) use target::{Kind, Target};

use crate::{
    ask::STREAM_LINES_MAX,
    control::{Control, api::answers::Answer},
    history::{Line, Said},
};

/// Operations that are remembered, the unfinished ones included.
const OPERATIONS_MAX: usize = 64;

/// All changes that are remembered, oldest first.
#[derive(Debug, Default)]
pub(super) struct Operations {
    list: VecDeque<Operation>,
    /// The keeper has to hear of it.
    altered: bool,
    /// It has heard of a change that is being done.
    in_flight: bool,
}

/// One change.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Operation {
    id: String,
    kind: Kind,
    targets: BTreeMap<String, Target>,
    /// Services whose holds it has taken or lifted.
    holds: BTreeSet<String>,
    /// Its holds and that it was asked for are on disk, as far as can be; the client has been told.
    accepted: bool,
    finished: bool,
    notes: Vec<String>,
    /// The engine has taken it: its targets are known.
    begun: bool,
    /// Of a reconfiguration: what there is to go back to.
    #[serde(default)]
    rollback: Option<KeptPlan>,
    /// Of a reconfiguration that has failed: how it goes back to what was before.
    #[serde(default)]
    going_back: Option<GoingBack>,
    /// By whom it was asked for, for people, and what: `restart`.
    by: String,
    what: String,
    /// That it was asked for, until the history has it.
    asked: Option<Line>,
    /// Of a job: its result, once that is read.
    #[serde(skip)]
    job: Reading,
    /// The history has its end.
    recorded: bool,
    /// Its end is on the way there.
    #[serde(skip)]
    ending: bool,
    /// When it was begun.
    at: Moment,
    /// When to look again whether its services stay up.
    #[serde(skip)]
    look_at: Option<Moment>,
    #[serde(skip)]
    client: Option<mpsc::Sender<Progress>>,
    /// The client goes as soon as the change is accepted.
    wait: bool,
}

impl Operations {
    /// Takes back what an earlier control process remembered: the list, and what it was about to do unless
    /// it refused that.
    pub(super) fn restore(
        &mut self,
        record: Option<&String>,
        in_flight: Option<&String>,
        refused: impl Fn(&str) -> bool,
    ) {
        // What cannot be read is lost: a client then hears that nobody knows its change.
        let list = record.and_then(|record| serde_json::from_str(record).ok());
        self.list = list.unwrap_or_default();
        let in_flight =
            in_flight.and_then(|in_flight| serde_json::from_str::<InFlight>(in_flight).ok());
        self.in_flight = in_flight.is_some();
        if let Some(in_flight) =
            in_flight.filter(|it| self.get(&it.id).is_none() && !refused(&it.id))
        {
            let _ = self.make_room();
            self.list.push_back(in_flight.cut_short());
        }
    }

    /// For one more: the oldest that is over gives way, or the oldest of all.
    fn make_room(&mut self) -> Option<Operation> {
        if self.list.len() < OPERATIONS_MAX {
            return None;
        }
        let over = self.list.iter().position(|change| change.finished);
        self.list.remove(over.unwrap_or(0))
    }

    /// A reconfiguration that had not come to its plan when its control process died. One at a time is
    /// under way.
    pub(super) fn pending_reconfigure(&self) -> Option<String> {
        let mut list = self.list.iter();
        let pending = list.find(|it| it.kind == Kind::Reconfigure && it.targets_pending());
        pending.map(|change| change.id.clone())
    }

    /// The history has all that was said of it so far.
    pub(super) fn is_recorded(&mut self, id: &str) {
        if let Some(change) = self.get(id) {
            change.asked = None;
            change.recorded |= change.ending;
            self.altered = true;
        }
    }

    /// When some are to be looked at again.
    pub(super) fn poll_timeout(&self) -> Option<Moment> {
        let open = self.list.iter().filter(|change| !change.finished);
        open.filter_map(|change| change.look_at).min()
    }

    /// How far a change is, for its client if that is there.
    pub(super) fn progress(&mut self, id: &str, line: Progress) -> Option<Answer> {
        self.get(id)?.progress(line)
    }

    fn get(&mut self, id: &str) -> Option<&mut Operation> {
        self.list.iter_mut().find(|change| change.id == id)
    }
}

impl Operation {
    fn outcome(&self, unstored: Unstored) -> Outcome {
        let results = self.targets.iter();
        let results = results.map(|(name, it)| it.result.clone().unwrap_or_else(|| pending(name)));
        Outcome {
            job: self.job.said().cloned().map(Box::new),
            id: self.id.clone(),
            finished: self.finished,
            results: results.collect(),
            // Of use only where this one is still in place.
            rollback: self.rollback.clone().filter(|_| {
                let going_back = self.going_back.as_ref();
                going_back.is_none_or(GoingBack::is_refused)
            }),
            gone_back: self.going_back.as_ref().map(GoingBack::told),
            unstored,
        }
    }

    fn progress(&mut self, line: Progress) -> Option<Answer> {
        self.client = self.client.take().filter(|it| !it.is_closed());
        Some(Answer::Progress(self.client.clone()?, line))
    }
}

fn pending(service: &str) -> ActionResult {
    ActionResult {
        service: service.to_owned(),
        verdict: Verdict::Pending,
        state: String::new(),
        pid: None,
        seconds: 0,
        detail: String::new(),
    }
}

impl Control {
    /// A change that arrives a second time is not done again: its client follows the first.
    pub(super) fn follow_operation(&mut self, id: &str) -> Option<mpsc::Receiver<Progress>> {
        let change = self.operations.get(id)?;
        let (sender, receiver) = mpsc::channel(STREAM_LINES_MAX);
        change.client = Some(sender);
        // It is told once more, as far as it is on the disk by now.
        change.accepted &= change.finished;
        Some(receiver)
    }

    /// Begins a change; it is told and evaluated once [`Self::accept_operation`] is called.
    pub(super) fn begin_operation(
        &mut self,
        id: &str,
        kind: Kind,
        wait: bool,
        asked: Line,
    ) -> mpsc::Receiver<Progress> {
        let (sender, receiver) = mpsc::channel(STREAM_LINES_MAX);
        if let Some(oldest) = self.operations.make_room() {
            self.lose_sight_of(oldest);
        }
        self.audit.add(asked.clone());
        self.operations.list.push_back(Operation {
            client: Some(sender),
            wait,
            at: self.cx.now.moment,
            ..Operation::new(id, kind, Some(asked))
        });
        self.operations.altered = true;
        if !self.operations.in_flight {
            // Nobody is to find in the history what the keeper does not know.
            self.remember_operations();
        }
        receiver
    }

    /// It may still be under way, but nobody can be told of it any more.
    fn lose_sight_of(&mut self, mut change: Operation) {
        let unstored = self.unstored(&change).unwrap_or_default();
        self.cx.answers.extend(change.end(unstored));
        if !change.finished {
            let asked = change.asked.take();
            self.audit
                .lost_sight_of(&mut self.cx, &change.id, asked, OPERATIONS_MAX);
        }
    }

    /// The engine has taken the change: these are its targets, as they were before it.
    pub(super) fn accept_operation(
        &mut self,
        id: &str,
        targets: BTreeMap<String, Target>,
        holds: BTreeSet<String>,
        notes: Vec<String>,
    ) {
        let Some(change) = self.operations.get(id) else {
            return;
        };
        change.targets = targets;
        change.holds = holds;
        change.notes = notes;
        change.begun = true;
        self.operations.altered = true;
    }

    /// The same for a reconfiguration, which may have something to go back to.
    pub(super) fn accept_reconfigure(
        &mut self,
        id: &str,
        targets: BTreeMap<String, Target>,
        notes: Vec<String>,
        rollback: Option<KeptPlan>,
    ) {
        if let Some(change) = self.operations.get(id) {
            change.rollback = rollback;
        }
        self.accept_operation(id, targets, BTreeSet::new(), notes);
        // Before the plan is remembered: a successor that goes on with it knows whose it is, and one
        // that need not knows that this is done.
        self.remember_operations();
    }

    /// The change cannot be done; nothing has changed.
    pub(super) fn refuse_operation(&mut self, id: &str, error: &ErrorReply) {
        if let Some(change) = self.operations.get(id) {
            let asked = change.asked.take();
            let refused = change.progress(Progress::Refused(error.clone()));
            self.cx.answers.extend(refused);
            self.audit.refused(&mut self.cx, id, asked, &error.message);
        }
        self.operations.list.retain(|change| change.id != id);
        self.operations.altered = true;
    }

    /// After an earlier control process: what the history may not have, and what has come to its end
    /// without anybody looking.
    pub(super) fn resume_operations(&mut self) {
        let asked = self
            .operations
            .list
            .iter()
            .filter_map(|it| it.asked.clone());
        for line in asked.collect::<Vec<_>>() {
            self.audit.add(line);
        }
        if let Some(id) = self.operations.pending_reconfigure()
            && !self.reconfigure.is_for(&id)
        {
            let asked = self.operations.get(&id).and_then(|it| it.asked.take());
            self.audit.refused(
                &mut self.cx,
                &id,
                asked,
                "the control process died before it was applied",
            );
            self.operations.list.retain(|change| change.id != id);
        }
        for id in self.operations.pending_jobs() {
            if !self.has_pending_request(&id) {
                let asked = self.operations.get(&id).and_then(|it| it.asked.take());
                self.audit.refused(
                    &mut self.cx,
                    &id,
                    asked,
                    "the control process died before it was begun",
                );
                self.operations.list.retain(|change| change.id != id);
            }
        }
        self.look_again(|_| true);
        self.operations.altered = true;
    }

    /// Time has passed: what has stayed up long enough?
    pub(super) fn operations_timeout(&mut self) {
        let heard = self.watermark.reached();
        if self.operations.poll_timeout().is_some_and(|at| at <= heard) {
            self.look_again(|change| change.look_at.is_some_and(|at| at <= heard));
            self.operations.altered = true;
        }
    }

    fn look_again(&mut self, due: impl Fn(&Operation) -> bool) {
        let mut changes = std::mem::take(&mut self.operations.list);
        let open = |it: &&mut Operation| it.accepted && !it.finished && due(it);
        for change in changes.iter_mut().filter(open) {
            change.look_at = None;
            let all = change.awaited().keys().cloned().collect();
            self.evaluate(change, &all);
        }
        self.operations.list = changes;
    }

    /// Looks at one change as a whole.
    pub(super) fn evaluate_operation(&mut self, id: &str) {
        let mut changes = std::mem::take(&mut self.operations.list);
        let open = changes.iter_mut().filter(|it| it.accepted && !it.finished);
        for change in open.filter(|it| it.id == id) {
            let all = change.targets.keys().cloned().collect();
            self.evaluate(change, &all);
        }
        self.operations.list = changes;
        self.operations.altered = true;
    }

    /// Services have changed: say so to whom it concerns, and see which changes are over.
    pub(super) fn advance_operations(&mut self, touched: &BTreeSet<ServiceId>) {
        if self.operations.list.iter().all(|change| change.finished) {
            return;
        }
        let named = |ids: &BTreeSet<ServiceId>| -> BTreeSet<String> {
            ids.iter()
                .filter_map(|id| self.cx.names.name(*id).map(str::to_owned))
                .collect()
        };
        let affected = named(&touched.union(&self.lifecycle.waiting).copied().collect());
        let touched = named(touched);
        let mut changes = std::mem::take(&mut self.operations.list);
        for change in changes.iter_mut().filter(|it| it.accepted && !it.finished) {
            for name in &touched {
                if !change.awaited().contains_key(name) {
                    continue;
                }
                let Some(service) = self.cx.plan.services.get(name) else {
                    continue;
                };
                let state = self.service_status(service).state;
                let detail = self.detail(name);
                self.cx.answers.extend(change.progress(Progress::State {
                    service: name.clone(),
                    state,
                    detail,
                }));
            }
            self.evaluate(change, &affected);
        }
        self.operations.list = changes;
    }

    /// The targets as they are now, before a command changes them.
    pub(super) fn targets(&self, names: &[String]) -> BTreeMap<String, Target> {
        let target = |name: &String| {
            let run_before = self.cx.main_run_of(name);
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
}

impl Operation {
    fn new(id: &str, kind: Kind, asked: Option<Line>) -> Self {
        let (by, what) = match asked.as_ref().map(|line| &line.said) {
            Some(Said::Asked { by, what, .. }) => (by.clone(), what.clone()),
            Some(Said::Ended { .. }) | None => (String::new(), String::new()),
        };
        Self {
            id: id.to_owned(),
            kind,
            targets: BTreeMap::new(),
            holds: BTreeSet::new(),
            accepted: false,
            finished: false,
            notes: Vec::new(),
            begun: false,
            rollback: None,
            going_back: None,
            by,
            what,
            asked,
            job: Reading::default(),
            recorded: false,
            ending: false,
            at: Moment(0),
            look_at: None,
            client: None,
            wait: true,
        }
    }

    fn accepted_line(&self, unstored: Unstored) -> Progress {
        Progress::Accepted {
            services: self.targets.keys().cloned().collect(),
            notes: self.notes.clone(),
            unstored,
        }
    }

    /// A reconfiguration has no targets until its plan is applied, a job none until its request is stored.
    fn targets_pending(&self) -> bool {
        matches!(self.kind, Kind::Reconfigure | Kind::Job) && !self.begun && !self.finished
    }

    /// The last line for its client.
    fn end(&mut self, unstored: Unstored) -> Option<Answer> {
        let client = self.client.take()?;
        Some(Answer::Progress(
            client,
            Progress::Done(self.outcome(unstored)),
        ))
    }
}
