//! The keeper's line in a service's log behind all output of a run.

use text::duration;

use crate::{exit_text::exit_text, message::Exit};

/// Text of the line for a main process that ran for `ran_ms` milliseconds.
pub(crate) fn text(pid: i32, exit: Exit, core: bool, ran_ms: u64) -> String {
    let core = if core { " (core dumped)" } else { "" };
    let exit = exit_text(exit);
    format!("pid {pid} ended: {exit}{core} after {}", duration(ran_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_one_line() {
        assert_eq!(
            text(7, Exit::Code(1), false, 7_380_000),
            "pid 7 ended: exit code 1 after 2h3m"
        );
        assert_eq!(
            text(7, Exit::Signal(11), true, 250),
            "pid 7 ended: killed by SEGV (core dumped) after 0.2s"
        );
    }
}
