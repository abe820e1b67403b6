//! How an attempt begins: at the daemon's start, for a client, by SIGHUP, or once a control process
//! has taken over.

use std::sync::Arc;

use keeper::message::Request;

use crate::{
    ask::Peer,
    control::{
        Context, Task,
        reconfigure::{
            attempt::Attempt,
            request::{PlanSource, ReconfigureRequest},
            stage::Stage,
            state::Reconfigure,
        },
    },
    load_plan::Source,
};

/// A SIGHUP as if a client had asked for it.
#[derive(Debug)]
pub(super) struct HangupRequest {
    /// The operation's.
    pub(super) id: String,
    pub(super) request: ReconfigureRequest,
    pub(super) peer: Peer,
}

impl Reconfigure {
    /// The daemon's first plan.
    pub(in crate::control) fn start_first(&mut self, cx: &mut Context) {
        let by = "the start of the supervisor";
        self.attempt = Attempt {
            stage: Stage::Loading,
            request: ReconfigureRequest::of(cx, by),
            first: true,
            ..Attempt::default()
        };
        cx.queue_task(Task::Load(Source::FirstFiles));
    }

    /// Begins an attempt, or lets the request wait until a control process has taken over.
    pub(super) fn start(&mut self, cx: &mut Context, request: ReconfigureRequest) {
        if self.attempt.stage.is_taking_over() {
            // The takeover and an attempt await results of the same kind, which nobody could tell
            // apart.
            self.next = Some(request);
            return;
        }
        let told = request.preview.is_none();
        if told {
            let usec = cx.now.moment.0.saturating_mul(1000);
            let message = format!("RELOADING=1\nMONOTONIC_USEC={usec}");
            cx.tell(Request::TellInit { message });
        }
        let plan = Arc::clone(&cx.plan);
        let source = match (request.source, &request.preview, &self.way_back) {
            (PlanSource::Kept, ..) => Source::Kept(plan),
            (PlanSource::Before, _, Some(it)) => Source::Before(Box::new(it.before.clone())),
            (PlanSource::Files | PlanSource::Before, Some(_), _) => Source::FilesAsTheyAre(plan),
            (PlanSource::Files | PlanSource::Before, None, _) => Source::Files(plan),
        };
        self.attempt = Attempt {
            stage: Stage::Loading,
            request,
            told,
            ..Attempt::default()
        };
        cx.queue_task(Task::Load(source));
    }

    /// Begins the request that has waited for a control process to take over, if there is one.
    pub(in crate::control) fn start_waiting(&mut self, cx: &mut Context) -> bool {
        let waiting = self.next.take();
        let any = waiting.is_some();
        if let Some(request) = waiting {
            self.start(cx, request);
        }
        any
    }

    /// Takes a SIGHUP in. Returns what is to begin now; none: later, or never, since everything is
    /// being stopped.
    pub(super) fn take_hangup(
        &mut self,
        cx: &mut Context,
        stopping: bool,
    ) -> Option<HangupRequest> {
        let now = self.attempt.stage.is_idle() && !cx.engine.has_leases();
        self.hangup.take_in(cx, !now);
        if !now || stopping {
            return None;
        }
        // Nobody can say who sent the signal.
        let peer = Peer {
            uid: nix::unistd::Uid::effective().as_raw(),
            name: "SIGHUP".to_owned(),
        };
        let number = cx.engine.allocate_run().0;
        Some(HangupRequest {
            id: format!("sighup-{}-{number}", cx.now.unix_ms),
            request: ReconfigureRequest {
                unattended: true,
                ..ReconfigureRequest::of(cx, &peer.name)
            },
            peer,
        })
    }

    /// A SIGHUP waits.
    pub(super) const fn hangup_waits(&self) -> bool {
        self.hangup.waits()
    }

    /// A SIGHUP has waited for a job to give services back, and may begin.
    pub(super) fn hangup_is_due(&self, cx: &Context) -> bool {
        self.hangup.waits() && self.attempt.stage.is_idle() && !cx.engine.has_leases()
    }

    /// Has the keeper forget the SIGHUP if nothing is under way any more that began with it.
    pub(super) fn forget_hangup_when_idle(&mut self, cx: &mut Context) {
        if self.attempt.stage.is_idle() {
            self.hangup.forget(cx);
        }
    }
}
