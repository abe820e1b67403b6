//! Invariant: no output leaves before the keeper messages that were queued before it.
//!
//! Messages in the link's socket reach the keeper, whatever becomes of this process; messages that
//! still wait for room die with this process. So jobs and answers wait until all earlier messages
//! to the keeper are in the socket: normally until the end of the turn, longer only while a keeper
//! that does not read leaves no room. Therefore the next control process knows of everything that
//! is on disk or that a client has heard.
//!
//! Owner: the event loop. Sans-IO. Limit: [`ANSWERS_MAX`]; jobs are bounded by who wants them.

use std::collections::VecDeque;

use crate::control::input::Output;

/// Most waiting answers; a further answer is dropped, and its client asks for the outcome.
const ANSWERS_MAX: usize = 4096;

/// Waiting outputs, each with the number of link bytes that must be in the socket before it.
#[derive(Debug, Default)]
pub(in crate::control) struct InOrder {
    waiting: VecDeque<(u64, Output)>,
    answers: usize,
}

impl InOrder {
    /// Queues an output. `said`: total bytes of messages to the keeper before it.
    pub(in crate::control) fn push(&mut self, said: u64, output: Output) {
        if matches!(output, Output::Answer(_)) {
            if self.answers == ANSWERS_MAX {
                return;
            }
            self.answers += 1;
        }
        self.waiting.push_back((said, output));
    }

    /// The next output with nothing left to wait for. `written`: total bytes written to the socket.
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
