//! Notices that the wall clock was set, or that the machine has slept: only while a schedule needs
//! to know, and without any other wake-up.

use std::{io, os::fd::OwnedFd, time::Duration};

use nix::sys::{
    time::TimeSpec,
    timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
};
use tokio::net::unix::pipe;

/// Expiry of the timer, never reached: seconds of the Unix epoch.
const NEVER_SECONDS: u64 = 9_000_000_000;

/// A timer that the kernel cancels when the clock is set.
#[derive(Debug, Default)]
pub(in crate::control) struct WallClock {
    timer: Option<pipe::Receiver>,
    /// Whether the timer could not be made, which was logged.
    failed: bool,
}

impl WallClock {
    /// Returns when the clock has been set; never returns where no schedule needs to know.
    pub(in crate::control) async fn was_set(&mut self, minded: bool) {
        if !minded {
            self.timer = None;
        } else if self.timer.is_none() && !self.failed {
            match watch() {
                Ok(timer) => self.timer = Some(timer),
                Err(error) => {
                    tracing::warn!("cannot watch for the clock being set: {error}");
                    self.failed = true;
                }
            }
        }
        let Some(timer) = &self.timer else {
            return std::future::pending().await;
        };
        // The timer is readable for one reason alone: the clock was set, which cancels the timer.
        let _ = timer.readable().await;
        // Armed again before anybody reads the clock, so that no second change is missed.
        self.timer = watch().ok();
    }
}

fn watch() -> io::Result<pipe::Receiver> {
    let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
    let timer = TimerFd::new(ClockId::CLOCK_REALTIME, flags)?;
    let never = Expiration::OneShot(TimeSpec::from_duration(Duration::from_secs(NEVER_SECONDS)));
    let set = TimerSetTimeFlags::TFD_TIMER_ABSTIME | TimerSetTimeFlags::TFD_TIMER_CANCEL_ON_SET;
    timer.set(never, set)?;
    // Not a pipe, but tokio only asks whether the descriptor is readable.
    pipe::Receiver::from_owned_fd_unchecked(OwnedFd::from(timer))
}
