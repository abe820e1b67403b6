//! How a process ended, in the keeper's words: for its own log lines, and for the last line in a service's log.

use nix::sys::signal::Signal;

use crate::message::Exit;

/// `exit code 1`, `killed by SIGKILL`.
pub(crate) fn exit_text(exit: Exit) -> String {
    match exit {
        Exit::Code(code) => format!("exit code {code}"),
        Exit::Signal(number) => match Signal::try_from(number) {
            Ok(signal) => format!("killed by {signal}"),
            Err(_) => format!("killed by signal {number}"),
        },
    }
}
