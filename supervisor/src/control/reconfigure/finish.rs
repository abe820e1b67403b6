//! What is said of a reconfiguration, on its way and as the last word, and what comes after it.

use api::{ErrorKind, ErrorReply, Progress};
use keeper::message::Request;

use crate::{
    control::{
        Control, Job,
        api::answers::Answer,
        reconfigure::{LastWord, PlanSource, REFUSED, ReconfigureRequest, Stage},
    },
    staging::Staged,
};

impl Control {
    /// Says to the client how far it is.
    pub(super) fn say_step(&mut self, detail: String) {
        let step = Progress::Step { detail };
        match (
            &self.reconfigure.request.change,
            &self.reconfigure.request.preview,
        ) {
            (Some(id), _) => self.cx.answers.extend(self.operations.progress(id, step)),
            (None, Some(preview)) => self
                .cx
                .answers
                .push(Answer::Progress(preview.clone(), step)),
            (None, None) => {}
        }
    }

    /// Ends a reconfiguration that failed: nothing has changed.
    pub(super) fn give_up(&mut self, kind: ErrorKind, message: String, hint: Option<&str>) {
        let hint = hint.map(str::to_owned);
        self.say_last(LastWord::Refused(ErrorReply {
            kind,
            message,
            hint,
        }));
    }

    /// Removes what was written and made first, so that nothing is left of it once the client knows.
    pub(super) fn discard_and_say(&mut self, staged: Staged, last: LastWord) {
        self.reconfigure.stage = Stage::Discarding(last);
        let (staged, made) = staged.leftovers();
        self.cx.job(Job::Discard { staged, made });
    }

    pub(super) fn on_discarded(&mut self) {
        match std::mem::take(&mut self.reconfigure.stage) {
            Stage::Discarding(last) => self.say_last(last),
            Stage::PuttingBack => self.on_put_back(),
            Stage::Clearing(plan) => {
                self.note_candidates(None);
                match plan {
                    Some(plan) => self.stage(plan),
                    None => self.on_put_back(),
                }
            }
            other => self.reconfigure.stage = other,
        }
    }

    pub(super) fn say_last(&mut self, mut last: LastWord) {
        if let LastWord::Refused(error) = &mut last {
            self.say_what_stays(error);
        }
        let request = std::mem::take(&mut self.reconfigure.request);
        let in_place = std::mem::take(&mut self.reconfigure.in_place);
        match (last, request.change, request.preview) {
            (LastWord::Preview(preview), _, Some(client)) => {
                // The queue has room for all steps: it is read, or nobody is there any more.
                self.cx
                    .answer(Answer::Progress(client, Progress::Preview(preview)));
            }
            (LastWord::Preview(_), _, None) => {}
            (LastWord::Refused(error), _, Some(client)) => {
                self.cx
                    .answer(Answer::Progress(client, Progress::Refused(error)));
            }
            (LastWord::Refused(error), Some(id), None) if request.source == PlanSource::Before => {
                self.operations.refuse_way_back(&id, &error.message);
            }
            (LastWord::Refused(error), Some(id), None) => {
                tracing::error!("reconfigure: {}", error.message);
                self.refuse_operation(&id, &error);
                if request.unattended {
                    self.set_refused(Some(REFUSED.to_owned()));
                }
            }
            (LastWord::Refused(error), None, None) => {
                tracing::error!("reconfigure: {}", error.message);
                self.set_refused(Some(REFUSED.to_owned()));
            }
        }
        if in_place {
            self.take_out();
        } else {
            self.end_reconfigure();
        }
    }

    /// Nobody takes an account away again that others may have seen.
    fn say_what_stays(&mut self, error: &mut ErrorReply) {
        let created = std::mem::take(&mut self.reconfigure.created);
        if created.is_empty() {
            return;
        }
        let created = created.join(", ");
        error.hint = Some(format!(
            "nothing that runs has changed, but {created} was created and stays: the next try finds it"
        ));
    }

    /// What was put in place cannot be applied: the plan that runs gets its files back.
    fn take_out(&mut self) {
        let ended = std::mem::take(&mut self.reconfigure);
        self.reconfigure.next = ended.next;
        self.reconfigure.again = ended.again;
        self.note_taken_out();
        self.start_stage_only();
    }

    pub(super) fn end_reconfigure(&mut self) {
        let ended = std::mem::take(&mut self.reconfigure);
        self.note_candidates(None);
        if ended.told {
            self.cx.tell(Request::TellInit {
                message: "READY=1".to_owned(),
            });
        }
        for ask in std::mem::take(&mut self.early) {
            self.on_ask(ask);
        }
        // What this plan has just set going is on its way, and must be known to be.
        let touched = self.cx.touched.clone();
        self.sort_touched(&touched);
        self.lifecycle_check();
        self.start_what_waits(ended.next, ended.again);
        self.forget_hangup_when_idle();
    }

    /// What had to wait.
    pub(super) fn start_what_waits(&mut self, next: Option<ReconfigureRequest>, again: bool) {
        if let Some(request) = next {
            self.reconfigure.again |= again;
            self.start_request(request);
        } else if again {
            self.on_hangup();
        }
    }
}
