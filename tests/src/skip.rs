//! Tests that need what is not everywhere say so and pass; with `MATTERVISOR_TESTS=all` they fail.

/// Whether a missing prerequisite is a failure.
pub fn must_run_all() -> bool {
    std::env::var_os("MATTERVISOR_TESTS").is_some_and(|value| value == "all")
}

/// Ends the test with a reason, or fails it where everything must run.
#[macro_export]
macro_rules! skip {
    ($($reason:tt)*) => {{
        let reason = format!($($reason)*);
        assert!(!$crate::must_run_all(), "may not be skipped here: {reason}");
        eprintln!("skipped: {reason}");
        return;
    }};
}

/// The value, or the end of the test with the reason.
#[macro_export]
macro_rules! need {
    ($found:expr) => {
        match $found {
            Ok(value) => value,
            Err(missing) => $crate::skip!("{missing}"),
        }
    };
}
