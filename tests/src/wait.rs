//! Waits for changes that send no event, such as a line in a file or an entry in /proc.
//!
//! Where an event exists, wait for the event: [`crate::Site::wait_for`].

use std::time::{Duration, Instant};

use nix::poll::{PollTimeout, poll};

/// Longest wait for anything, on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(20);
/// Pause between two looks.
const STEP_MS: u16 = 5;

/// Looks until `look` finds something, for at most [`LIMIT`]; then fails and names `what`.
pub fn eventually<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(LIMIT, look).unwrap_or_else(|| panic!("{what}: not within {LIMIT:?}"))
}

/// Looks until `look` finds something, or the time is over.
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
