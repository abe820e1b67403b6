//! A test whose prerequisite is missing says so and passes; with `MATTERVISOR_TESTS=all` the test
//! fails.
//!
//! Every crate's tests say it here, so that `./dev test` can list what was not run.

use std::{fs::OpenOptions, io::Write as _};

/// Whether a missing prerequisite is a failure.
pub fn must_run_all() -> bool {
    std::env::var_os("MATTERVISOR_TESTS").is_some_and(|value| value == "all")
}

/// Prints that the test, or a part of it, is not run, and notes it in the file that
/// `MATTERVISOR_SKIPPED` names, from which `./dev test` lists what was not run.
///
/// By itself where root cannot get what is missing on every machine; else by [`skip!`].
pub fn note(reason: &str) {
    eprintln!("skipped: {reason}");
    let Some(path) = std::env::var_os("MATTERVISOR_SKIPPED") else {
        return;
    };
    let test = std::env::var("NEXTEST_TEST_NAME").unwrap_or_else(|_| {
        let thread = std::thread::current();
        thread.name().unwrap_or("a test").to_owned()
    });
    let file = OpenOptions::new().create(true).append(true).open(path);
    if let Err(error) = file.and_then(|mut file| writeln!(file, "{test}: {reason}")) {
        eprintln!("cannot note what was skipped: {error}");
    }
}

/// Ends the test with a reason, or fails it where everything must run. A second form ends a
/// function of a test with a value: `skip!(=> None; "needs root")`.
#[macro_export]
macro_rules! skip {
    (=> $value:expr; $($reason:tt)*) => {{
        let reason = format!($($reason)*);
        assert!(!$crate::must_run_all(), "may not be skipped here: {reason}");
        $crate::note(&reason);
        return $value;
    }};
    ($($reason:tt)*) => { $crate::skip!(=> (); $($reason)*) };
}

/// The value of a `Result`; an error ends the test and is the reason.
#[macro_export]
macro_rules! need {
    ($found:expr) => {
        match $found {
            Ok(value) => value,
            Err(missing) => $crate::skip!("{missing}"),
        }
    };
}
