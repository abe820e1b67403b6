//! Milliseconds on `CLOCK_MONOTONIC`: the only clock that decides anything here.

use nix::{
    time::{ClockId, clock_gettime},
    unistd::{SysconfVar, sysconf},
};

/// Now.
pub(crate) fn now_ms() -> u64 {
    ms_of(ClockId::CLOCK_MONOTONIC)
}

/// The kernel's ticks since boot as milliseconds of the Unix epoch, to be shown.
pub(crate) fn unix_ms_of_ticks(ticks: u64) -> u64 {
    let a_second = sysconf(SysconfVar::CLK_TCK).ok().flatten();
    let a_second = a_second
        .and_then(|it| u64::try_from(it).ok())
        .unwrap_or(100);
    let ago = ms_of(ClockId::CLOCK_BOOTTIME).saturating_sub(ticks * 1000 / a_second.max(1));
    ms_of(ClockId::CLOCK_REALTIME).saturating_sub(ago)
}

fn ms_of(clock: ClockId) -> u64 {
    let Ok(time) = clock_gettime(clock) else {
        return 0;
    };
    let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec()).unwrap_or(0);
    seconds * 1000 + nanos / 1_000_000
}
