//! The watermark: the moment up to which all that runs have said and done is known. A message that
//! the keeper has not passed on yet is not a silence.
//!
//! Before a silence is judged (of a run, by a deadline of the engine; of a plan, by no end under
//! it; of an operation, by services that have stayed up), the keeper is asked to pass on everything
//! that has arrived there ([`Request::Sync`]). The answer moves the watermark to the moment of the
//! question. Until then the judgement waits, since nothing could be done without the keeper: if the
//! keeper never answers, nothing is judged; if it dies, the link ends.
//!
//! Limits: one question at a time; a deadline that judges no run asks nothing.

use engine::Moment;
use keeper::message::Request;

use crate::control::Context;

/// The state of the watermark; see the module.
#[derive(Debug, Default)]
pub(super) struct Watermark {
    reached: Moment,
    /// When the keeper was asked, if it has not answered.
    asked: Option<Moment>,
}

impl Watermark {
    /// The moment up to which everything that runs had said and done is known.
    pub(super) const fn reached(&self) -> Moment {
        self.reached
    }

    /// Whether the keeper has not answered yet, so that no run is judged.
    pub(super) const fn is_asked(&self) -> bool {
        self.asked.is_some()
    }

    /// `next`: when the next judgement is due.
    pub(super) fn poll_timeout(&self, next: Option<Moment>) -> Option<Moment> {
        next.filter(|_| !self.is_asked())
    }

    /// Asks the keeper to pass on what has arrived there.
    pub(super) fn ask(&mut self, cx: &mut Context) {
        let now = cx.now.moment;
        self.asked = Some(now);
        cx.tell(Request::Sync { at_ms: now.0 });
    }

    /// Takes the keeper's answer; returns whether the question was the open one.
    pub(super) fn on_synced(&mut self, asked: Moment) -> bool {
        let is_answer = self.asked == Some(asked);
        if is_answer {
            self.reached = asked;
            self.asked = None;
        }
        is_answer
    }

    /// Drops a question that will not be answered.
    pub(super) const fn forget_question(&mut self) {
        self.asked = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_for_the_question_that_is_open_and_for_no_other() {
        let at = |moment| Watermark {
            reached: Moment(5),
            asked: moment,
        };
        let mut open = at(Some(Moment(10)));
        assert_eq!(open.poll_timeout(Some(Moment(20))), None);
        assert!(!open.on_synced(Moment(9)) && open.is_asked());
        assert!(open.on_synced(Moment(10)) && !open.is_asked());
        assert_eq!(open.reached(), Moment(10));
        assert_eq!(open.poll_timeout(Some(Moment(20))), Some(Moment(20)));
        let mut forgotten = at(Some(Moment(10)));
        forgotten.forget_question();
        assert!(!forgotten.on_synced(Moment(10)));
        assert_eq!(forgotten.reached(), Moment(5));
    }
}
