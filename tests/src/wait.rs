//! Waiting for what sends no event, such as a line in a file or an entry in /proc.
//!
//! Where there is an event to wait for, wait for the event: [`crate::Site::wait_for`].

use std::time::{Duration, Instant};

use nix::poll::{PollTimeout, poll};

/// Longest wait for anything, on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(20);
/// Pause between two looks.
const STEP_MS: u16 = 5;

/// Looks until there is something, for at most [`LIMIT`]; then fails, saying what was waited for.
pub fn eventually<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(LIMIT, look).unwrap_or_else(|| panic!("{what}: not within {LIMIT:?}"))
}

/// Looks until there is something, or the time is over.
pub fn within<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if Instant::now() >= end {
            return None;
        }
        let _ = poll(&mut [], PollTimeout::from(STEP_MS));
    }
}
