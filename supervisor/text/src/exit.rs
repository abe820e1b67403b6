//! How a process has ended.

/// The end of a process by itself: `exit code 1`.
pub fn exit_code(code: i32) -> String {
    format!("exit code {code}")
}

/// The end of a process by a signal, named without `SIG` as [`crate::signal::shown`] has it:
/// `killed by KILL`.
pub fn killed_by(signal: &str) -> String {
    format!("killed by {signal}")
}

/// How often runs have ended early in a row: `4 failures in a row`, or `ended 4 times in a row`
/// where one of them was no failure.
pub fn in_a_row(times: u32, failed: bool) -> String {
    if failed {
        format!("{times} failures in a row")
    } else {
        format!("ended {times} times in a row")
    }
}
