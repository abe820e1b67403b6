//! A test whose prerequisite is missing says so and passes; with `MATTERVISOR_TESTS=all` the test
//! fails.

use std::{fs::OpenOptions, io::Write as _};

/// Whether a missing prerequisite is a failure.
pub fn must_run_all() -> bool {
    std::env::var_os("MATTERVISOR_TESTS").is_some_and(|value| value == "all")
}

/// Notes a skipped test in the file that `MATTERVISOR_SKIPPED` names, from which `./dev test` lists
/// the tests that were not run.
pub fn note(reason: &str) {
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

/// Ends the test with a reason, or fails it where everything must run.
#[macro_export]
macro_rules! skip {
    ($($reason:tt)*) => {{
        let reason = format!($($reason)*);
        assert!(!$crate::must_run_all(), "may not be skipped here: {reason}");
        eprintln!("skipped: {reason}");
        $crate::note(&reason);
        return;
    }};
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
