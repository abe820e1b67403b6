//! How a process ended, in words: for the keeper's own log lines, and for the last line in a
//! service's log.

use run_model::Exit;

/// `exit code 1`, `killed by KILL`.
pub(crate) fn exit_text(exit: Exit) -> String {
    match exit {
        Exit::Code(code) => text::exit_code(code),
        Exit::Signal(number) => text::killed_by(&text::signal::shown(number)),
    }
}
