//! Purposes of a signal in a service file.

use text::signal;

/// Purpose of a signal in a service file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To ask a process to end. SIGCONT follows, so that a paused one hears it.
    Stop,
    /// To have a process take a new configuration.
    Reload,
}

/// Why a signal cannot serve this purpose; none: it can.
pub(crate) fn unfit(number: i32, purpose: Purpose) -> Option<&'static str> {
    match (signal::name(number)?, purpose) {
        ("STOP", Purpose::Stop) => Some("pauses a process, which then ends only by SIGKILL"),
        ("CONT", Purpose::Stop) => Some("ends no process"),
        ("TSTP" | "TTIN" | "TTOU", Purpose::Stop) => {
            Some("is taken back by the SIGCONT that follows each stop signal")
        }
        ("STOP" | "KILL", Purpose::Reload) => Some("is heard by no process"),
        _ => None,
    }
}
