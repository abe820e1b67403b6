//! Frames that the control process has not been sent: the rest of its hello, then facts.
//!
//! Facts stay until they are acknowledged. Bounded: a run has at most one `Spawned` or `Failed`,
//! one `Exited`, few `Swept`, and of each notify key only the last value. A hello is as long as
//! what the keeper holds; all of it goes frame by frame, as the link takes it.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::message::{Fact, Notice, Numbered, RunId};

/// Unacknowledged signals that are kept; a second one already means "hurry".
const SIGNALS_MAX: usize = 16;

/// The queue. A fact that has been sent stays until it is acknowledged.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct FactQueue {
    queue: VecDeque<Numbered>,
    last: u64,
    sent: u64,
    greeting: Option<Greeting>,
}

/// The part of a hello that has not been sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Greeting {
    frames: VecDeque<Notice>,
    /// Facts up to this number belong to the hello.
    last: u64,
}

impl FactQueue {
    /// Adds a fact.
    pub(crate) fn push(&mut self, fact: Fact) {
        self.coalesce(&fact);
        self.last += 1;
        let seq = self.last;
        self.queue.push_back(Numbered { seq, fact });
    }

    fn coalesce(&mut self, new: &Fact) {
        match new {
            Fact::Notified { run, key, .. } => self.queue.retain(|old| {
                !matches!(&old.fact, Fact::Notified { run: r, key: k, .. } if r == run && k == key)
            }),
            Fact::Swept { run, .. } => {
                let run = *run;
                self.queue
                    .retain(|old| !matches!(old.fact, Fact::Swept { run: r, .. } if r == run));
            }
            Fact::Signalled { .. } => {
                let of_this_kind = |old: &Numbered| matches!(old.fact, Fact::Signalled { .. });
                if self.queue.iter().filter(|old| of_this_kind(old)).count() >= SIGNALS_MAX
                    && let Some(oldest) = self.queue.iter().position(of_this_kind)
                {
                    self.queue.remove(oldest);
                }
            }
            Fact::Spawned { .. } | Fact::Failed { .. } | Fact::Exited { .. } => {}
        }
    }

    /// Whether the control process has acknowledged every fact.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Drops the facts up to this number. Returns the runs that these facts were about, except runs
    /// that other kept facts are about.
    pub(crate) fn acknowledge(&mut self, seq: u64) -> Vec<RunId> {
        let done = self.queue.partition_point(|fact| fact.seq <= seq);
        let done: Vec<Numbered> = self.queue.drain(..done).collect();
        let mut runs: Vec<RunId> = done.iter().filter_map(|it| it.fact.run()).collect();
        runs.sort_unstable();
        runs.dedup();
        runs.retain(|run| !self.mention(*run));
        runs
    }

    /// Begins a hello for a new control process: these frames, all facts, and the end mark.
    pub(crate) fn greet(&mut self, frames: VecDeque<Notice>) {
        self.sent = 0;
        let last = self.last;
        self.greeting = Some(Greeting { frames, last });
    }

    /// Number of the last fact that the control process has been sent.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// Continues with another control process, which has received the facts up to `sent`.
    pub(crate) fn resume(&mut self, sent: u64) {
        self.sent = sent;
        self.greeting = None;
    }

    /// The next frame that this control process has not been sent.
    pub(crate) fn next_unsent(&mut self) -> Option<Notice> {
        if let Some(frame) = self.greeting.as_mut().and_then(|it| it.frames.pop_front()) {
            return Some(frame);
        }
        let at = self.queue.partition_point(|fact| fact.seq <= self.sent);
        let fact = self.queue.get(at);
        if let Some(greeting) = &self.greeting
            && fact.is_none_or(|fact| fact.seq > greeting.last)
        {
            self.greeting = None;
            return Some(Notice::HelloEnd);
        }
        let fact = fact?;
        self.sent = fact.seq;
        Some(Notice::Fact(fact.clone()))
    }

    /// Whether [`Self::next_unsent`] has a frame.
    pub(crate) fn has_unsent(&self) -> bool {
        let last = self.queue.back();
        self.greeting.is_some() || last.is_some_and(|fact| fact.seq > self.sent)
    }

    /// Whether a fact about the run is still kept.
    fn mention(&self, run: RunId) -> bool {
        self.queue.iter().any(|old| old.fact.run() == Some(run))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(value: &str) -> Fact {
        Fact::Notified {
            run: 1,
            key: "STATUS".into(),
            value: value.into(),
        }
    }

    #[test]
    fn of_a_notify_key_only_the_last_value_is_kept() {
        let mut facts = FactQueue::default();
        for value in ["a", "b", "c"] {
            facts.push(status(value));
        }
        let (seq, fact) = (3, status("c"));
        let kept = Notice::Fact(Numbered { seq, fact });
        assert_eq!(facts.next_unsent(), Some(kept));
        assert!(facts.next_unsent().is_none());
    }

    #[test]
    fn facts_come_again_until_acknowledged() {
        let mut facts = FactQueue::default();
        facts.push(Fact::Signalled { signal: 15 });
        facts.push(status("a"));
        assert_eq!(next_seq(&mut facts), Some(1));
        assert!(facts.acknowledge(1).is_empty());
        facts.greet(VecDeque::from([Notice::AreYouThere]));
        facts.push(status("b"));
        facts.push(Fact::Signalled { signal: 1 });
        // The queue has a later value of the status that the hello was to send.
        assert_eq!(facts.next_unsent(), Some(Notice::AreYouThere));
        assert_eq!(facts.next_unsent(), Some(Notice::HelloEnd));
        assert_eq!(next_seq(&mut facts), Some(3));
        assert_eq!(facts.acknowledge(3), [1]);
        assert_eq!(next_seq(&mut facts), Some(4));
        assert!(facts.next_unsent().is_none());
    }

    fn next_seq(facts: &mut FactQueue) -> Option<u64> {
        match facts.next_unsent()? {
            Notice::Fact(numbered) => Some(numbered.seq),
            other => panic!("{other:?} is no fact"),
        }
    }

    #[test]
    fn a_run_is_done_with_its_last_fact() {
        let mut facts = FactQueue::default();
        let left = Vec::new();
        facts.push(status("a"));
        facts.push(Fact::Swept { run: 2, left });
        facts.push(Fact::Spawned {
            run: 1,
            pid: 1,
            at_ms: 0,
        });
        assert_eq!(facts.acknowledge(2), [2]);
        assert_eq!(facts.acknowledge(3), [1]);
    }

    #[test]
    fn signals_are_bounded() {
        let mut facts = FactQueue::default();
        for _ in 0..1000 {
            facts.push(Fact::Signalled { signal: 1 });
        }
        assert_eq!(facts.queue.len(), SIGNALS_MAX);
    }
}
