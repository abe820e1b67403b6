//! A value that must get to the disk, with retries until it is there.
//!
//! Owner: the component with the value. This module writes nothing: [`OnDisk::due`] returns the
//! value that a job is to write now, [`OnDisk::written`] takes the result. One attempt at a time. A
//! failed attempt is repeated after [`PAUSE_MS`], doubling up to [`PAUSE_MS_MAX`], and at once when
//! there is a new value. Clients wait for a disk that does not answer no longer than
//! [`PATIENCE_MS`].

use engine::Moment;

/// Pause after the first failed attempt, in milliseconds.
const PAUSE_MS: u64 = 1_000;
/// The longest pause.
const PAUSE_MS_MAX: u64 = 30_000;
/// Longest time that clients wait for an attempt to end.
pub(super) const PATIENCE_MS: u64 = 5_000;

/// Whether a value is on the disk, as far as known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Durability {
    /// The value is on the disk.
    Stored,
    /// An attempt under way will tell.
    Awaited,
    /// The value is not on the disk, for this reason.
    Unstored(String),
}

/// A change that an attempt brought for administrators, reported once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// No change.
    None,
    /// Writes fail from now on.
    Fails,
    /// Writes work again.
    Works,
}

/// Attempts to write.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    under_way: Option<UnderWay>,
    trouble: Option<Trouble>,
}

#[derive(Debug)]
struct UnderWay {
    patience: Moment,
    /// Whether the attempt was made for a new value.
    new: bool,
    /// Whether the attempt has lasted longer than the patience.
    slow: bool,
}

#[derive(Debug)]
struct Trouble {
    why: String,
    pause_ms: u64,
    again_at: Moment,
}

impl Attempts {
    /// Begins an attempt if one is due. `new`: there is a value that has not been tried yet.
    pub(super) fn begin(&mut self, now: Moment, new: bool) -> bool {
        let due = self.trouble.as_ref().is_none_or(|it| it.again_at <= now);
        if self.under_way.is_some() || !(new || due) {
            return false;
        }
        self.under_way = Some(UnderWay {
            patience: now.after(PATIENCE_MS),
            new,
            slow: false,
        });
        true
    }

    /// Takes the result of the attempt.
    pub(super) fn end(&mut self, now: Moment, failed: Option<String>) -> News {
        let new = self.under_way.take().is_none_or(|it| it.new);
        let news = match (&self.trouble, &failed) {
            (None, Some(_)) => News::Fails,
            (Some(_), None) => News::Works,
            (None, None) | (Some(_), Some(_)) => News::None,
        };
        // Only timed retries make the pauses longer.
        let before = self.trouble.take().filter(|_| !new);
        self.trouble = failed.map(|why| {
            let pause_ms = before.map_or(PAUSE_MS, |it| (it.pause_ms * 2).min(PAUSE_MS_MAX));
            Trouble {
                why,
                pause_ms,
                again_at: now.after(pause_ms),
            }
        });
        news
    }

    /// The durability of a value that is not written yet.
    pub(super) fn standing(&self) -> Durability {
        match (&self.under_way, &self.trouble) {
            (Some(it), _) if !it.slow => Durability::Awaited,
            (_, Some(trouble)) => Durability::Unstored(trouble.why.clone()),
            (Some(_), None) => {
                let seconds = PATIENCE_MS / 1_000;
                // The attempt begins only after the keeper has been told, which this module cannot
                // see.
                let who = "the disk has not answered, or the keeper, which hears of it first";
                Durability::Unstored(format!("not written within {seconds} s: {who}"))
            }
            (None, None) => Durability::Awaited,
        }
    }

    /// When [`Self::timeout`] has something to do.
    pub(super) fn poll_timeout(&self) -> Option<Moment> {
        match (&self.under_way, &self.trouble) {
            (Some(it), _) => (!it.slow).then_some(it.patience),
            (None, Some(trouble)) => Some(trouble.again_at),
            (None, None) => None,
        }
    }

    /// Notes that time has passed.
    pub(super) fn timeout(&mut self, now: Moment) {
        if let Some(it) = &mut self.under_way {
            it.slow |= it.patience <= now;
        }
    }
}

/// A value in memory that is to be on the disk.
#[derive(Debug)]
pub(super) struct OnDisk<T> {
    wanted: T,
    /// The value as last read or written; none: unknown.
    seen: Option<T>,
    writing: Option<T>,
    attempts: Attempts,
    /// Whether the two differ.
    behind: bool,
    /// Whether the value has changed since the last attempt.
    changed: bool,
    /// Least time from the beginning of one attempt to the next, in milliseconds.
    pace_ms: u64,
    /// The next attempt begins no earlier.
    not_before: Moment,
}

impl<T: Clone + PartialEq> OnDisk<T> {
    /// `seen`: the value on the disk.
    pub(super) fn new(wanted: T, seen: Option<T>) -> Self {
        let behind = seen.as_ref() != Some(&wanted);
        Self {
            wanted,
            seen,
            writing: None,
            attempts: Attempts::default(),
            behind,
            changed: behind,
            pace_ms: 0,
            not_before: Moment(0),
        }
    }

    /// Spaces attempts this far apart for a value that changes often, so that one write takes
    /// several changes.
    pub(super) const fn paced(mut self, pace_ms: u64) -> Self {
        self.pace_ms = pace_ms;
        self
    }

    /// Writes every change at once from now on.
    pub(super) const fn hurry(&mut self) {
        self.pace_ms = 0;
        self.not_before = Moment(0);
    }

    /// Whether a job is writing the value.
    pub(super) const fn is_being_written(&self) -> bool {
        self.attempts.under_way.is_some()
    }

    pub(super) const fn wanted(&self) -> &T {
        &self.wanted
    }

    pub(super) const fn seen(&self) -> Option<&T> {
        self.seen.as_ref()
    }

    /// Whether this holds for the value on the disk, whatever an attempt under way brings.
    pub(super) fn is_so(&self, is_so: impl Fn(&T) -> bool) -> bool {
        self.seen.as_ref().is_some_and(&is_so) && self.writing.as_ref().is_none_or(is_so)
    }

    /// Changes the wanted value.
    pub(super) fn change(&mut self, change: impl FnOnce(&mut T)) {
        change(&mut self.wanted);
        // Another value may be on its way to the disk.
        self.behind = self.writing.is_some() || self.seen.as_ref() != Some(&self.wanted);
        self.changed = true;
    }

    /// Writes the value once more at once, since the file may have been removed. So may the file
    /// that is just being written.
    pub(super) fn doubt(&mut self) {
        self.seen = None;
        self.writing = None;
        self.behind = true;
        self.changed = true;
    }

    /// The value to write now, if a write is due.
    pub(super) fn due(&mut self, now: Moment) -> Option<T> {
        let early = now < self.not_before;
        if !self.behind || early || !self.attempts.begin(now, self.changed) {
            return None;
        }
        self.changed = false;
        self.not_before = now.after(self.pace_ms);
        self.writing = Some(self.wanted.clone());
        self.writing.clone()
    }

    /// Takes the result of a write: the error says why it failed.
    pub(super) fn written(&mut self, now: Moment, result: Result<(), String>) -> News {
        let failed = result.err();
        if let (Some(written), None) = (self.writing.take(), &failed) {
            self.seen = Some(written);
        }
        let news = self.attempts.end(now, failed);
        self.behind = self.seen.as_ref() != Some(&self.wanted);
        news
    }

    /// The durability of the whole value.
    pub(super) fn standing(&self) -> Durability {
        if self.behind {
            self.attempts.standing()
        } else {
            Durability::Stored
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Moment> {
        let waits = self.behind || self.writing.is_some();
        let paced = self.behind && self.changed && self.pace_ms > 0 && !self.is_being_written();
        let attempts = self.attempts.poll_timeout().filter(|_| waits);
        attempts
            .into_iter()
            .chain(paced.then_some(self.not_before))
            .min()
    }

    pub(super) fn timeout(&mut self, now: Moment) {
        self.attempts.timeout(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENOSPC: &str = "no space left on device";

    fn unstored() -> Durability {
        Durability::Unstored(ENOSPC.to_owned())
    }

    #[test]
    fn what_could_not_be_written_is_tried_again_by_time_with_longer_pauses() {
        let mut value = OnDisk::new(0, Some(0));
        assert_eq!((value.due(Moment(0)), value.poll_timeout()), (None, None));
        value.change(|it| *it = 1);
        let mut now = Moment(0);
        let mut pauses = Vec::new();
        for _ in 0..7 {
            assert_eq!(value.due(now), Some(1));
            assert_eq!(value.due(now), None, "one at a time");
            assert_eq!(value.standing(), Durability::Awaited);
            value.written(now, Err(ENOSPC.to_owned()));
            assert_eq!(value.standing(), unstored());
            assert_eq!(value.due(now), None, "not before its time");
            let next = value.poll_timeout().unwrap();
            pauses.push(next.since(now));
            now = next;
        }
        assert_eq!(pauses, [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
        assert_eq!(value.due(now), Some(1));
        value.written(now, Ok(()));
        assert_eq!(
            (value.standing(), value.seen()),
            (Durability::Stored, Some(&1))
        );
        assert_eq!(value.poll_timeout(), None);
    }

    #[test]
    fn something_new_is_tried_at_once() {
        let now = Moment(0);
        let mut value = OnDisk::new(0, Some(0));
        value.change(|it| *it = 1);
        value.due(now).unwrap();
        // The value has changed meanwhile.
        value.change(|it| *it = 2);
        value.written(now, Err(ENOSPC.to_owned()));
        assert_eq!(value.due(now), Some(2));
        value.written(now, Err(ENOSPC.to_owned()));
        assert_eq!(value.due(now), None);
        value.doubt();
        assert_eq!(value.due(now), Some(2));
        value.written(now, Err(ENOSPC.to_owned()));
        value.change(|it| *it = 3);
        assert_eq!(value.due(now), Some(3));
        value.written(now, Ok(()));
        // The old value is wanted again, while another is on its way to the disk.
        value.change(|it| *it = 4);
        assert_eq!(value.due(now), Some(4));
        value.change(|it| *it = 3);
        assert_eq!(value.standing(), Durability::Awaited);
        assert!(!value.is_so(|it| *it == 3) && !value.is_so(|it| *it == 4));
        value.written(now, Ok(()));
        assert_eq!(value.due(now), Some(3));
        // The file may be removed as soon as it exists.
        value.doubt();
        value.written(now, Ok(()));
        assert_eq!(
            (value.standing(), value.due(now)),
            (Durability::Awaited, Some(3))
        );
        value.written(now, Ok(()));
        // The old value is wanted again.
        value.change(|it| *it = 4);
        value.change(|it| *it = 3);
        assert_eq!(
            (value.standing(), value.due(now)),
            (Durability::Stored, None)
        );
        assert_eq!(value.poll_timeout(), None);
    }

    #[test]
    fn a_disk_that_does_not_answer_is_waited_for_so_long() {
        let mut value = OnDisk::new(1, Some(0));
        value.due(Moment(0)).unwrap();
        assert_eq!(value.poll_timeout(), Some(Moment(PATIENCE_MS)));
        value.timeout(Moment(PATIENCE_MS - 1));
        assert_eq!(value.standing(), Durability::Awaited);
        value.timeout(Moment(PATIENCE_MS));
        assert!(matches!(value.standing(), Durability::Unstored(_)));
        assert_eq!(value.poll_timeout(), None);
        value.written(Moment(60_000), Ok(()));
        assert_eq!(value.standing(), Durability::Stored);
    }
}
