//! Lends other components' state to a reconfiguration, and carries out the result of each step.
//! Invariant: this module decides nothing.

use std::{collections::BTreeSet, sync::Arc};

use api::{ErrorReply, EventKind, Progress};
use engine::{RunId, ServiceId};
use keeper::message::Hello;
use plan::Plan;
use tokio::sync::mpsc;

use crate::{
    ask::{Peer, ReconfigureOptions, STREAM_LINES_MAX},
    control::{
        Control,
        input::Done,
        operations::{JudgeScope, Kind, admission::Intent, audit},
        reconfigure::{
            attempt_step::AttemptStep, begin::HangupRequest, impact::known::Known,
            probation::Verdicts, request::ReconfigureRequest, stage::StagedPlan,
        },
        record_keys::Key,
    },
    plan_store::{AppliedBy, Inputs, Swapped},
    staging::{Staged, StagedFile},
};

impl Control {
    /// A client wants another plan applied, or wants to know what that would change.
    pub(in crate::control) fn ask_reconfigure(
        &mut self,
        id: &str,
        options: ReconfigureOptions,
        peer: &Peer,
    ) -> Result<mpsc::Receiver<Progress>, ErrorReply> {
        if let Some(known) = self.operations.follow(id) {
            return Ok(known);
        }
        self.admit(if options.dry_run {
            Intent::Rehearsal
        } else {
            Intent::Reconfigure
        })?;
        let mut request = ReconfigureRequest::asked(&self.cx, &peer.name, options);
        if options.dry_run {
            let (sender, stream) = mpsc::channel(STREAM_LINES_MAX);
            request.preview = Some(sender);
            self.reconfigure.start(&mut self.cx, request);
            return Ok(stream);
        }
        Ok(self.begin_reconfigure(id, request, peer))
    }

    /// Begins an attempt that is told to whoever asked for it, and to the history.
    fn begin_reconfigure(
        &mut self,
        id: &str,
        request: ReconfigureRequest,
        peer: &Peer,
    ) -> mpsc::Receiver<Progress> {
        let what = request.what();
        self.cx
            .publish("", EventKind::Change, what, Some(&peer.name));
        tracing::info!(by = peer.name, "{what}");
        let asked = audit::asked(self.cx.now.unix_ms, id, peer, what, &[]);
        let stream = self.operations.begin(
            &mut self.cx,
            &self.holds,
            &mut self.audit,
            Kind::Reconfigure,
            true,
            asked,
        );
        let operation = Some(id.to_owned());
        let request = ReconfigureRequest {
            operation,
            ..request
        };
        self.reconfigure.start(&mut self.cx, request);
        stream
    }

    /// SIGHUP: the files as they are when what is under way is over.
    pub(in crate::control) fn on_hangup(&mut self) {
        let stopping = self.cx.is_stopping();
        let hangup = self.reconfigure.take_hangup(&mut self.cx, stopping);
        if let Some(HangupRequest { id, request, peer }) = hangup {
            drop(self.begin_reconfigure(&id, request, &peer));
        }
    }

    /// Begins what a SIGHUP asked for that came while a job kept services stopped.
    pub(in crate::control) fn hangup_after_leases(&mut self) {
        if self.reconfigure.hangup_is_due(&self.cx) && !self.cx.is_stopping() {
            self.on_hangup();
        }
    }

    /// A job of an attempt is done.
    pub(in crate::control) fn reconfigure_done(&mut self, done: Done) {
        let (attempt, cx, operations) = (&mut self.reconfigure, &mut self.cx, &mut self.operations);
        let next = match done {
            Done::Loaded(result) => attempt.on_loaded(cx, &mut self.daemon.state_warnings, result),
            Done::MissingAccounts(accounts) => {
                attempt.on_missing_accounts(cx, operations, accounts)
            }
            Done::Staged(staged) => attempt.on_staged(cx, operations, staged),
            Done::Addresses(taken) => {
                let known = Known {
                    holds: &self.holds,
                    starts: &self.starts,
                };
                attempt.on_addresses(cx, &known, taken)
            }
            Done::Swapped(result) => attempt.on_swapped(cx, result),
            Done::PutBack => attempt.on_put_back(cx),
            Done::Discarded => attempt.on_discarded(cx),
            _ => AttemptStep::Wait,
        };
        self.go_on_reconfigure(next);
    }

    /// A run of an attempt has ended.
    pub(in crate::control) fn reconfigure_step_ended(
        &mut self,
        run: RunId,
        ok: bool,
        detail: &str,
    ) {
        let result = if ok { Ok(()) } else { Err(detail) };
        let next = self
            .reconfigure
            .step_ended(&mut self.cx, &mut self.operations, run, result);
        self.go_on_reconfigure(next);
    }

    fn go_on_reconfigure(&mut self, mut next: AttemptStep) {
        loop {
            next = match next {
                AttemptStep::Wait => return,
                AttemptStep::Weigh(staged) => {
                    let known = Known {
                        holds: &self.holds,
                        starts: &self.starts,
                    };
                    self.reconfigure.weigh(&mut self.cx, &known, staged)
                }
                AttemptStep::Apply(staged, swapped) => self.apply_plan(staged, swapped),
                AttemptStep::Resolved(staged) => {
                    let files = self.take_resolved(*staged);
                    self.reconfigure.on_resolved(&mut self.cx, files)
                }
                AttemptStep::Say(last) => self.reconfigure.say_last(
                    &mut self.cx,
                    &mut self.operations,
                    &mut self.audit,
                    last,
                ),
                AttemptStep::Ended => return self.end_reconfigure(),
                AttemptStep::TakenOver => return self.start_waiting(),
            }
        }
    }

    /// The plan takes the place of the one that ran.
    fn apply_plan(&mut self, staged: StagedPlan, swapped: Option<Swapped>) -> AttemptStep {
        let known = Known {
            holds: &self.holds,
            starts: &self.starts,
        };
        let applying = self.reconfigure.begin_apply(
            &mut self.cx,
            &known,
            &mut self.operations,
            &mut self.monitors.listening,
            staged,
            swapped,
        );
        let mut applying = match applying {
            Ok(applying) => applying,
            Err(last) => return AttemptStep::Say(last),
        };
        let staged = std::mem::take(&mut applying.staged);
        let changes_hands = |name: &str| staged.owners.contains_key(name);
        self.starts
            .begin_plan(&mut self.cx, staged.resolved, changes_hands);
        self.starts.note_broken(&mut self.cx, staged.broken);
        if applying.first {
            // Nothing runs that a plan half-applied could leave behind, but much to be lost.
            self.cx.remember_plan();
        }
        self.apply_to_engine(&applying.shifts);
        self.starts.end_plan();
        self.schedule.follow_plan(&self.cx, staged.zone);
        let is_new = applying.is_new();
        let verdicts = Verdicts {
            listening: &self.monitors.listening,
            stopping: self.cx.is_stopping(),
        };
        let gone_back =
            self.reconfigure
                .end_apply(&mut self.cx, &mut self.operations, verdicts, applying);
        if let Some(id) = gone_back {
            self.judge_operations(JudgeScope::One(&id));
            self.operations.remember(&mut self.cx);
        }
        if is_new {
            self.cx.remember_plan();
        }
        AttemptStep::Ended
    }

    /// What an earlier control process had looked up goes into its places; files that are not as
    /// the plan has them.
    fn take_resolved(&mut self, staged: Staged) -> Vec<StagedFile> {
        self.starts.note_lacking(&mut self.cx, &staged.resolved);
        self.starts.note_broken(&mut self.cx, staged.broken);
        self.schedule.follow_plan(&self.cx, staged.zone);
        staged.files
    }

    fn end_reconfigure(&mut self) {
        self.reconfigure.end_attempt(&mut self.cx);
        for ask in std::mem::take(&mut self.api.early) {
            self.on_ask(ask);
        }
        // What this plan has just set going is on its way, and must be known to be.
        let touched = self.cx.touched().clone();
        self.sort_touched(&touched);
        self.tell_init();
        self.start_waiting();
        self.reconfigure.forget_hangup_when_idle(&mut self.cx);
    }

    fn start_waiting(&mut self) {
        let started = self.reconfigure.start_waiting(&mut self.cx);
        if !started && self.reconfigure.hangup_waits() {
            self.on_hangup();
        }
    }

    /// Judges, after a change of services, whether the plan counts as working.
    pub(in crate::control) fn judge_plan(&mut self, touched: &BTreeSet<ServiceId>) {
        let verdicts = Verdicts {
            listening: &self.monitors.listening,
            stopping: self.cx.is_stopping(),
        };
        self.reconfigure.judge_plan(&mut self.cx, verdicts, touched);
    }

    /// Judges whether nothing has been heard against the plan for long enough.
    pub(in crate::control) fn reconfigure_timeout(&mut self) {
        let (heard, stopping) = (self.daemon.watermark.reached(), self.cx.is_stopping());
        self.reconfigure.timeout(&mut self.cx, heard, stopping);
    }

    /// After every input: begins a way back that is due.
    pub(in crate::control) fn go_back_if_due(&mut self) {
        let stopping = self.cx.is_stopping();
        self.reconfigure
            .go_back_if_due(&mut self.cx, &mut self.operations, stopping);
    }

    /// The daemon's first plan, or what an earlier control process had in hand. `unfinished`: a
    /// plan that is in place and not applied.
    pub(in crate::control) fn go_on_with_attempt(&mut self, unfinished: Option<Arc<Plan>>) {
        let next = self.reconfigure.go_on(&mut self.cx, unfinished);
        self.go_on_reconfigure(next);
    }

    /// What an earlier control process knew of the plan that runs. `stored` is of the plan on disk,
    /// which that process had not applied to the end if `unfinished`.
    pub(in crate::control) fn restore_reconfigure(
        &mut self,
        hello: &Hello,
        stored: Option<(AppliedBy, Option<Inputs>)>,
        unfinished: bool,
    ) {
        let verdicts = Verdicts {
            listening: &self.monitors.listening,
            stopping: self.cx.is_stopping(),
        };
        let (cx, operations) = (&mut self.cx, &mut self.operations);
        let stored = stored.filter(|_| unfinished);
        self.reconfigure
            .restore_probation(cx, operations, verdicts, hello, stored);
        let way_back = Key::WayBack.of(&hello.records);
        self.reconfigure
            .restore_way_back(operations, way_back, unfinished);
    }
}
