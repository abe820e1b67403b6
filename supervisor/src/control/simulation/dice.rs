//! Randomness of a simulation, all from one seed, and the agenda of due events.

use std::collections::BTreeMap;

/// splitmix64: small, and the same on every machine.
#[derive(Clone, Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Dice of their own, so that more throws in one place change nothing in another.
    pub(super) fn split(&mut self) -> Self {
        Self(self.next())
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(super) fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap()
    }

    /// Both ends included.
    pub(super) fn between(&mut self, first: u64, last: u64) -> u64 {
        first + self.below(last - first + 1)
    }

    pub(super) fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    pub(super) fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.index(from.len())].clone()
    }

    /// Mostly soon, sometimes much later, in milliseconds.
    pub(super) fn pause(&mut self) -> u64 {
        match self.below(10) {
            0..4 => self.between(0, 5),
            4..7 => self.between(0, 400),
            7..9 => self.between(0, 5_000),
            _ => self.between(0, 40_000),
        }
    }
}

/// Due events in order of time; events of the same moment keep the order of insertion.
#[derive(Debug)]
pub(super) struct Agenda<T> {
    due: BTreeMap<(u64, u64), T>,
    count: u64,
}

impl<T> Default for Agenda<T> {
    fn default() -> Self {
        Self {
            due: BTreeMap::new(),
            count: 0,
        }
    }
}

impl<T> Agenda<T> {
    pub(super) fn push(&mut self, at: u64, what: T) {
        self.count += 1;
        self.due.insert((at, self.count), what);
    }

    /// Adds an event as in a stream: never before an earlier event.
    pub(super) fn push_last(&mut self, at: u64, what: T) {
        let last = self.due.last_key_value().map_or(0, |((at, _), _)| *at);
        self.push(at.max(last), what);
    }

    pub(super) fn next_at(&self) -> Option<u64> {
        self.due.first_key_value().map(|((at, _), _)| *at)
    }

    pub(super) fn pop(&mut self) -> Option<T> {
        self.due.pop_first().map(|(_, what)| what)
    }

    pub(super) fn len(&self) -> usize {
        self.due.len()
    }

    pub(super) fn clear(&mut self) {
        self.due.clear();
    }

    pub(super) fn drain(&mut self) -> impl Iterator<Item = T> {
        std::mem::take(&mut self.due).into_values()
    }
}
