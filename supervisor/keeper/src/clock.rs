//! Milliseconds on `CLOCK_MONOTONIC`: the only clock that decides anything here.

use nix::time::{ClockId, clock_gettime};

/// Now.
pub(crate) fn now_ms() -> u64 {
    let Ok(time) = clock_gettime(ClockId::CLOCK_MONOTONIC) else {
        return 0;
    };
    let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec()).unwrap_or(0);
    seconds * 1000 + nanos / 1_000_000
}
