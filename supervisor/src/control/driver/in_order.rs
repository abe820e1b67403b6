//! Nothing goes out before what the keeper was told before it.
//!
//! What is in the socket of the link reaches the keeper, whatever becomes of this process; what
//! only waits for room there dies with it. So jobs and answers wait until all that the keeper was
//! told before them is in the socket: as a rule until the end of the turn, longer only while a
//! keeper that does not read leaves no room. What is on the disk, or what a client has heard, the
//! next control process knows of therefore.
//!
//! Owner: the event loop. Sans-IO. Limit: [`ANSWERS_MAX`]; jobs are bounded by who wants them.

use std::collections::VecDeque;

use crate::control::input::Output;

/// Answers that wait; one too many is dropped, and its client asks what became of its change.
const ANSWERS_MAX: usize = 4096;

/// What waits, each with how many bytes of the link have to be in the socket before.
#[derive(Debug, Default)]
pub(in crate::control) struct InOrder {
    waiting: VecDeque<(u64, Output)>,
    answers: usize,
}

impl InOrder {
    /// `said`: bytes that the keeper has been told before it, ever.
    pub(in crate::control) fn push(&mut self, said: u64, output: Output) {
        if matches!(output, Output::Answer(_)) {
            if self.answers == ANSWERS_MAX {
                return;
            }
            self.answers += 1;
        }
        self.waiting.push_back((said, output));
    }

    /// The next one that has nothing to wait for. `written`: bytes that are in the socket, or were.
    pub(in crate::control) fn pop(&mut self, written: u64) -> Option<Output> {
        let (said, _) = self.waiting.front()?;
        if *said > written {
            return None;
        }
        let (_, output) = self.waiting.pop_front()?;
        self.answers -= usize::from(matches!(output, Output::Answer(_)));
        Some(output)
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;
    use crate::control::api::answers::Answer;

    fn answer() -> Output {
        Output::Answer(Answer::Outcome(oneshot::channel().0, None))
    }

    #[test]
    fn all_waits_for_what_was_said_before_it_and_for_no_more() {
        let mut waiting = InOrder::default();
        waiting.push(10, Output::ReleaseMemory);
        waiting.push(30, answer());
        assert!(waiting.pop(9).is_none());
        assert!(matches!(waiting.pop(10), Some(Output::ReleaseMemory)));
        assert!(waiting.pop(29).is_none());
        assert!(matches!(waiting.pop(31), Some(Output::Answer(_))));
        assert!(waiting.pop(u64::MAX).is_none());
    }

    #[test]
    fn answers_that_wait_have_a_limit_and_jobs_are_not_dropped() {
        let mut waiting = InOrder::default();
        for _ in 0..=ANSWERS_MAX {
            waiting.push(1, answer());
        }
        waiting.push(1, Output::ReleaseMemory);
        assert_eq!(waiting.waiting.len(), ANSWERS_MAX + 1);
        while waiting.pop(1).is_some() {}
        waiting.push(1, answer());
        assert!(waiting.pop(1).is_some(), "there is room again");
    }
}
