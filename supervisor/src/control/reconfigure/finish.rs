//! The last word of an attempt that has changed nothing, and what every attempt ends with.

use api::{ErrorReply, Progress};
use keeper::message::Request;

use crate::control::{
    Context,
    api::answers::Answer,
    operations::{Operations, audit::AuditLog},
    reconfigure::{
        attempt::Attempt,
        attempt_step::AttemptStep,
        last_word::LastWord,
        request::{PlanSource, ReconfigureRequest},
        state::{REFUSED, Reconfigure},
    },
};

impl Reconfigure {
    /// Tells who wanted the attempt how it ended.
    pub(in crate::control) fn say_last(
        &mut self,
        cx: &mut Context,
        operations: &mut Operations,
        audit: &mut AuditLog,
        last: LastWord,
    ) -> AttemptStep {
        let request = std::mem::take(&mut self.attempt.request);
        match last {
            LastWord::Preview(preview) => {
                // The client's queue has room for all steps: if it is full, the client has gone.
                let client = request.preview;
                cx.answer(client.map(|it| Answer::Progress(it, Progress::Preview(preview))));
            }
            LastWord::Refused(mut error) => {
                self.say_what_stays(&mut error);
                self.refuse(cx, operations, audit, request, error);
            }
        }
        if !self.attempt.in_place {
            return AttemptStep::Ended;
        }
        // What was put in place cannot be applied: the plan that runs gets its files back.
        self.attempt = Attempt::default();
        self.probation.note_taken_out(cx);
        self.resolve(cx)
    }

    fn refuse(
        &mut self,
        cx: &mut Context,
        operations: &mut Operations,
        audit: &mut AuditLog,
        request: ReconfigureRequest,
        error: ErrorReply,
    ) {
        if let Some(client) = request.preview {
            cx.answer(Answer::Progress(client, Progress::Refused(error)));
            return;
        }
        if let (Some(id), PlanSource::Before) = (&request.operation, request.source) {
            operations.refuse_way_back(id, &error.message);
            return;
        }
        tracing::error!("reconfigure: {}", error.message);
        if let Some(id) = &request.operation {
            operations.refuse(cx, audit, id, &error);
        }
        if request.unattended || request.operation.is_none() {
            self.set_refused(cx, Some(REFUSED.to_owned()));
        }
    }

    /// Accounts that were made stay, since others may have seen them: the hint says so.
    fn say_what_stays(&mut self, error: &mut ErrorReply) {
        let created = std::mem::take(&mut self.attempt.created);
        if created.is_empty() {
            return;
        }
        let created = created.join(", ");
        error.hint = Some(format!(
            "nothing that runs has changed, but {created} was created and stays: the next try finds it"
        ));
    }

    /// Ends the attempt: the init hears that the daemon is ready again.
    pub(in crate::control) fn end_attempt(&mut self, cx: &mut Context) {
        let ended = std::mem::take(&mut self.attempt);
        self.probation.note_candidates(cx, None);
        if ended.told {
            cx.tell(Request::TellInit {
                message: "READY=1".to_owned(),
            });
        }
    }
}
