//! Translates the notify keys that the keeper passes on for the engine. Pure.

use engine::Notification;
use keeper::message::{READY_FD, READY_FD_CLOSED};

/// The notification of a key and its value; none: they change no state.
pub(super) fn of(key: &str, value: &str) -> Option<Notification> {
    let ms = || Some(value.parse::<u64>().ok()?.div_ceil(1000));
    match (key, value) {
        ("READY", "1") => Some(Notification::Ready),
        (READY_FD, READY_FD_CLOSED) => Some(Notification::ReadyClosed),
        (READY_FD, _) => Some(Notification::ReadySignal),
        ("RELOADING", "1") => Some(Notification::Reloading),
        ("WATCHDOG", "1") => Some(Notification::Alive),
        ("WATCHDOG", "trigger") => Some(Notification::WatchdogTrigger),
        ("WATCHDOG_USEC", _) => ms().map(|ms| Notification::WatchdogTimeout { ms }),
        ("EXTEND_TIMEOUT_USEC", _) => ms().map(|ms| Notification::ExtendTimeout { ms }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rounded_up_to_milliseconds_and_nonsense_means_nothing() {
        assert_eq!(
            of("WATCHDOG_USEC", "1"),
            Some(Notification::WatchdogTimeout { ms: 1 })
        );
        assert_eq!(
            of("EXTEND_TIMEOUT_USEC", "2000"),
            Some(Notification::ExtendTimeout { ms: 2 })
        );
        for (key, value) in [("WATCHDOG_USEC", "-1"), ("READY", "0"), ("STATUS", "1")] {
            assert_eq!(of(key, value), None, "{key}={value}");
        }
    }
}
