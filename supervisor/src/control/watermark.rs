//! Whether all that runs have said and done has been heard: what the keeper has not passed on is no silence.
//!
//! Before anybody is judged for his silence (a run by a deadline of the engine's, a plan by nothing having ended under
//! it, a change by its services having stayed up), the keeper is asked to pass on what has arrived there. Its answer
//! counts for what was due when it was asked. Until then what is due waits, for nothing could be done without the keeper:
//! one that never answers is not judged by anybody, and one that dies ends the link.
//!
//! Limits: one question at a time. What judges nobody asks nothing.

use engine::{Event, Moment};
use keeper::message::Request;

use crate::control::Control;

/// How far everything has been heard.
#[derive(Debug, Default)]
pub(super) struct Watermark {
    reached: Moment,
    /// When the keeper was asked, if it has not answered.
    asked: Option<Moment>,
}

impl Watermark {
    /// All that runs had said and done by then is known.
    pub(super) const fn reached(&self) -> Moment {
        self.reached
    }

    /// What was asked will not be answered.
    pub(super) fn forget_question(&mut self) {
        self.asked = None;
    }
}

impl Control {
    /// When somebody is next to be judged, or the engine has something else to do.
    pub(super) fn judgement_timeout(&self) -> Option<Moment> {
        if self.watermark.asked.is_some() {
            return None;
        }
        self.cx
            .engine
            .poll_timeout()
            .into_iter()
            .chain(self.proof_timeout())
            .min()
    }

    /// What stands if nothing is heard against it.
    fn proof_timeout(&self) -> Option<Moment> {
        let standing = self.reconfigure.poll_timeout();
        standing
            .into_iter()
            .chain(self.operations.poll_timeout())
            .min()
    }

    /// Time has passed, or more has been heard.
    pub(super) fn judge_by_the_clock(&mut self) {
        if self.watermark.asked.is_some() {
            return;
        }
        let heard = self.watermark.reached;
        let _ = self.feed_engine(Event::Timeout { heard });
        self.reconfigure_timeout();
        self.operations_timeout();
        let now = self.cx.now.moment;
        let proof = self.proof_timeout().is_some_and(|at| at <= now);
        if proof || self.cx.engine.judgement_due(now) {
            self.watermark.asked = Some(now);
            self.cx.tell(Request::Sync { at_ms: now.0 });
        }
    }

    /// The keeper has passed on what had arrived when it was asked.
    pub(super) fn on_synced(&mut self, asked: Moment) {
        if self.watermark.asked == Some(asked) {
            self.watermark = Watermark {
                reached: asked,
                asked: None,
            };
            self.judge_by_the_clock();
        }
    }
}
