//! Messages to deliver: for each target one delivery is under way, other messages wait. Sans-IO.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use engine::RunId;

use crate::deliver::Message;

/// Most deliveries under way at one time, each a process; at most one per target.
const UNDER_WAY_MAX: usize = 4;
/// Most messages that wait for one target; the oldest is dropped, and the next message says how
/// many were.
const WAITING_MAX: usize = 64;

/// All queues, by name of the target.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    queues: BTreeMap<String, Queue>,
    under_way: BTreeMap<RunId, String>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Arc<Message>>,
    dropped: u32,
    busy: bool,
    /// Turn counter: the target served last comes last.
    served: u64,
}

impl Outbox {
    /// Adds a message for this target. False: the queue dropped an older message for it.
    pub(super) fn push(&mut self, target: &str, message: Arc<Message>) -> bool {
        let queue = self.queues.entry(target.to_owned()).or_default();
        let full = queue.waiting.len() == WAITING_MAX;
        if full {
            queue.waiting.pop_front();
            queue.dropped = queue.dropped.saturating_add(1);
        }
        queue.waiting.push_back(message);
        !full
    }

    /// The next message that may go, and how many messages the queue dropped before it.
    pub(super) fn next(&mut self) -> Option<(String, Arc<Message>, u32)> {
        if self.under_way.len() >= UNDER_WAY_MAX {
            return None;
        }
        let ready = self
            .queues
            .iter_mut()
            .filter(|(_, it)| !it.busy && !it.waiting.is_empty());
        let (target, queue) = ready.min_by_key(|(_, it)| it.served)?;
        let message = queue.waiting.pop_front()?;
        Some((target.clone(), message, std::mem::take(&mut queue.dropped)))
    }

    /// Notes that the delivery to the target is under way as this run.
    pub(super) fn began(&mut self, run: RunId, target: String) {
        if let Some(queue) = self.queues.get_mut(&target) {
            queue.busy = true;
            queue.served = run.0;
        }
        self.under_way.insert(run, target);
    }

    /// Notes that the run is over; returns its target.
    pub(super) fn ended(&mut self, run: RunId) -> Option<String> {
        let target = self.under_way.remove(&run)?;
        if let Some(queue) = self.queues.get_mut(&target) {
            queue.busy = false;
            if queue.waiting.is_empty() && queue.dropped == 0 {
                self.queues.remove(&target);
            }
        }
        Some(target)
    }

    /// Drops a target that has left the plan.
    pub(super) fn forget(&mut self, target: &str) {
        self.queues.remove(target);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliver::example;

    fn numbered(count: u32) -> Arc<Message> {
        let mut message = example();
        message.count = count;
        Arc::new(message)
    }

    #[test]
    fn one_target_is_served_in_order_and_one_at_a_time() {
        let mut outbox = Outbox::default();
        assert!(outbox.push("a", numbered(1)) && outbox.push("a", numbered(2)));
        let (target, first, _) = outbox.next().unwrap();
        assert_eq!(first.count, 1);
        outbox.began(RunId(1), target);
        assert!(outbox.next().is_none(), "one of a target at a time");
        assert_eq!(outbox.ended(RunId(1)).as_deref(), Some("a"));
        assert_eq!(outbox.next().unwrap().1.count, 2);
        assert_eq!(outbox.ended(RunId(1)), None);
    }

    #[test]
    fn what_is_too_much_is_dropped_and_counted() {
        let mut outbox = Outbox::default();
        for count in 0..WAITING_MAX + 3 {
            let kept = outbox.push("a", numbered(u32::try_from(count).unwrap()));
            assert_eq!(kept, count < WAITING_MAX);
        }
        let (_, oldest, dropped) = outbox.next().unwrap();
        assert_eq!((oldest.count, dropped), (3, 3));
        assert_eq!(outbox.next().unwrap().2, 0);
    }

    #[test]
    fn a_target_that_hangs_keeps_no_other_waiting_and_all_get_their_turn() {
        let mut outbox = Outbox::default();
        for target in ["a", "b", "c", "d", "e", "f"] {
            outbox.push(target, numbered(1));
            outbox.push(target, numbered(2));
        }
        let mut served = Vec::new();
        let mut run = 0;
        while let Some((target, ..)) = outbox.next() {
            run += 1;
            outbox.began(RunId(run), target.clone());
            served.push(target);
        }
        assert_eq!(served, ["a", "b", "c", "d"], "so many at a time");
        // The first three deliveries hang; the fourth slot serves all other targets in turn.
        for next in ["e", "f", "d", "e", "f"] {
            outbox.ended(RunId(run)).unwrap();
            let (target, ..) = outbox.next().unwrap();
            assert_eq!(target, next);
            run += 1;
            outbox.began(RunId(run), target);
        }
    }
}
