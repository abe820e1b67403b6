//! The line of the keeper's own that stands in a service's log behind all that a run has said.

use crate::{exit_text::exit_text, message::Exit};

/// What the line says of a main process that ran for so long, in milliseconds.
pub(crate) fn text(pid: i32, exit: Exit, core: bool, ran_ms: u64) -> String {
    let core = if core { " (core dumped)" } else { "" };
    let exit = exit_text(exit);
    format!("pid {pid} ended: {exit}{core} after {}", span(ran_ms))
}

/// The two largest units.
fn span(ms: u64) -> String {
    let seconds = ms / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}.{}s", ms % 1000 / 100),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, _, _) => format!("{hours}h {}m", minutes % 60),
        _ => format!("{days}d {}h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_one_line() {
        assert_eq!(
            text(7, Exit::Code(1), false, 7_380_000),
            "pid 7 ended: exit code 1 after 2h 3m"
        );
        assert_eq!(
            text(7, Exit::Signal(11), true, 250),
            "pid 7 ended: killed by SIGSEGV (core dumped) after 0.2s"
        );
    }
}
