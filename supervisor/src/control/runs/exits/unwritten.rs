//! Ends of runs of one service that are not on the disk yet, and how many more may go there.
//!
//! A service that ends again and again has only some of its ends kept: [`BURST`] in a row, then one
//! every [`REFILL_MS`], which counts those left out before it. Limits: those, and [`WAITING_MAX`].

use api::{ExitCause, ExitRecord, NextRun};
use engine::Moment;
use serde::{Deserialize, Serialize};

/// Ends of one service that are kept one by one, before there is a pause between them.
pub(super) const BURST: u32 = 48;
/// After this time one more end is kept, in milliseconds.
pub(super) const REFILL_MS: u64 = 60 * 60_000;
/// Records of one service that wait to be written; while the disk is full, more are left out.
pub(super) const WAITING_MAX: usize = 16;
/// Ends of one service that are not on the disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Unwritten {
    /// How many more ends may be kept.
    pub(super) room: u32,
    /// When `room` was counted.
    counted_at: Moment,
    /// Records to be written, oldest first.
    pub(super) waiting: Vec<ExitRecord>,
    /// A record for which there is no room yet. A later one may take its place, and counts it.
    pub(super) held: Option<ExitRecord>,
    /// Id of the record that was taken in last, which may have been left out.
    last: Option<String>,
}

impl Unwritten {
    pub(super) const fn new(now: Moment) -> Self {
        Self {
            room: BURST,
            counted_at: now,
            waiting: Vec::new(),
            held: None,
            last: None,
        }
    }

    /// The record with this id has been taken in. A control process that dies over a record hands
    /// over that one alone: no run of the service begins meanwhile.
    pub(super) fn knows(&self, id: &str) -> bool {
        self.last.as_deref() == Some(id) || self.is_on_its_way(id)
    }

    /// The record waits, or is held back.
    pub(super) fn is_on_its_way(&self, id: &str) -> bool {
        self.waiting.iter().chain(&self.held).any(|it| it.id == id)
    }

    /// Adds the room that time has brought.
    fn refill(&mut self, now: Moment) {
        let more = now.since(self.counted_at) / REFILL_MS;
        self.room = self
            .room
            .saturating_add(u32::try_from(more).unwrap_or(BURST))
            .min(BURST);
        self.counted_at = self.counted_at.after(more * REFILL_MS);
    }

    /// Takes in one more end. Returns the id of the record that is left out for it, if there is
    /// one.
    pub(super) fn take(&mut self, now: Moment, record: ExitRecord) -> Option<String> {
        self.refill(now);
        self.last = Some(record.id.clone());
        if self.held.is_none() && self.has_room() {
            self.room -= 1;
            self.waiting.push(record);
            return None;
        }
        let held = self.held.take();
        let left_out = held.as_ref().map_or(0, |held| held.left_out + 1);
        // Of two ends, a failure is kept rather than a success.
        let (best, other) = match held {
            Some(held) if is_failure(&held) && !is_failure(&record) => (held, Some(record)),
            held => (record, held),
        };
        self.held = Some(ExitRecord { left_out, ..best });
        other.map(|it| it.id)
    }

    const fn has_room(&self) -> bool {
        self.room > 0 && self.waiting.len() < WAITING_MAX
    }

    /// Lets the held record go if there is room, or if it must: the daemon ends.
    pub(super) fn release(&mut self, now: Moment, must: bool) -> bool {
        self.refill(now);
        if !self.has_room() && !must {
            return false;
        }
        let Some(held) = self.held.take() else {
            return false;
        };
        self.room = self.room.saturating_sub(1);
        self.waiting.push(held);
        true
    }

    /// When there is room for the held record. While the disk is full, time brings none.
    pub(super) fn due(&self) -> Option<Moment> {
        let waits = self.held.is_some() && self.waiting.len() < WAITING_MAX;
        waits.then(|| self.counted_at.after(REFILL_MS))
    }

    /// These records are on the disk.
    pub(super) fn are_written(&mut self, now: Moment, ids: &[String]) {
        self.waiting.retain(|it| !ids.contains(&it.id));
        // Their places are free for the held record.
        self.release(now, false);
    }

    /// Whether nothing has to be remembered of this service.
    pub(super) fn is_over(&self) -> bool {
        self.room == BURST && self.is_written()
    }

    /// All records are on the disk.
    pub(super) fn is_written(&self) -> bool {
        self.waiting.is_empty() && self.held.is_none()
    }
}

fn is_failure(record: &ExitRecord) -> bool {
    !(record.cause == ExitCause::Itself && record.next == NextRun::Rest)
}
