//! Facts that no control process has acknowledged. Bounded: a run has at most one `Spawned` or
//! `Failed`, one `Exited`, few `Swept`, and of each notify key only the last value.

use std::collections::VecDeque;

use crate::message::{Fact, Numbered, RunId};

/// Unacknowledged signals that are kept; a second one already means "hurry".
const SIGNALS_MAX: usize = 16;

/// Facts of about this many bytes go into a `Hello`.
const HELLO_BYTES_MAX: usize = 1 << 20;
/// A fact without output is about this long.
const FACT_BYTES: usize = 256;

/// The queue; what has been sent stays until acknowledged.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    queue: VecDeque<Numbered>,
    last: u64,
    sent: u64,
}

impl Facts {
    /// Something has happened.
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

    /// Everything has been taken in.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Everything up to this number has been taken in. Returns the runs that this was about and
    /// that no other fact is about.
    pub(crate) fn acknowledge(&mut self, seq: u64) -> Vec<RunId> {
        let done = self.queue.partition_point(|fact| fact.seq <= seq);
        let done: Vec<Numbered> = self.queue.drain(..done).collect();
        let mut runs: Vec<RunId> = done.iter().filter_map(|it| about(&it.fact)).collect();
        runs.sort_unstable();
        runs.dedup();
        runs.retain(|run| !self.mention(*run));
        runs
    }

    /// A new control process knows nothing yet.
    pub(crate) fn rewind(&mut self) {
        self.sent = 0;
    }

    /// Number of the last fact that the control process has been sent.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// The control process that had been sent so much goes on.
    pub(crate) fn resume(&mut self, sent: u64) {
        self.sent = sent;
    }

    /// The next one that this control process has not been sent.
    pub(crate) fn next_unsent(&mut self) -> Option<Numbered> {
        let at = self.queue.partition_point(|fact| fact.seq <= self.sent);
        let fact = self.queue.get(at)?;
        self.sent = fact.seq;
        Some(fact.clone())
    }

    /// For `Hello`: the oldest ones, as many as a frame takes well; the rest is sent one by one.
    pub(crate) fn first_unsent(&mut self) -> Vec<Numbered> {
        let mut bytes = 0;
        let mut first = Vec::new();
        while bytes < HELLO_BYTES_MAX
            && let Some(numbered) = self.next_unsent()
        {
            bytes += match &numbered.fact {
                Fact::Exited { output, .. } => FACT_BYTES + output.len(),
                _ => FACT_BYTES,
            };
            first.push(numbered);
        }
        first
    }

    /// A fact about the run is still kept.
    fn mention(&self, run: RunId) -> bool {
        self.queue.iter().any(|old| about(&old.fact) == Some(run))
    }
}

/// The run that a fact is about.
fn about(fact: &Fact) -> Option<RunId> {
    match fact {
        Fact::Spawned { run, .. }
        | Fact::Failed { run, .. }
        | Fact::Exited { run, .. }
        | Fact::Swept { run, .. }
        | Fact::Notified { run, .. } => Some(*run),
        Fact::Signalled { .. } => None,
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
        let mut facts = Facts::default();
        for value in ["a", "b", "c"] {
            facts.push(status(value));
        }
        let kept = facts.next_unsent().unwrap();
        assert_eq!((kept.seq, kept.fact), (3, status("c")));
        assert!(facts.next_unsent().is_none());
    }

    #[test]
    fn facts_come_again_until_acknowledged() {
        let mut facts = Facts::default();
        facts.push(Fact::Signalled { signal: 15 });
        facts.push(status("a"));
        assert_eq!(facts.next_unsent().unwrap().seq, 1);
        assert!(facts.acknowledge(1).is_empty());
        facts.rewind();
        assert_eq!(facts.next_unsent().unwrap().seq, 2);
        assert_eq!(facts.acknowledge(2), [1]);
        assert!(facts.next_unsent().is_none());
    }

    #[test]
    fn a_run_is_done_with_its_last_fact() {
        let mut facts = Facts::default();
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
        let mut facts = Facts::default();
        for _ in 0..1000 {
            facts.push(Fact::Signalled { signal: 1 });
        }
        assert_eq!(facts.queue.len(), SIGNALS_MAX);
    }
}
