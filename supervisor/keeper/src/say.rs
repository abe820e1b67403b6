//! The keeper's own log lines, to stderr: text, or one JSON object a line.

use std::{
    fmt,
    io::Write,
    sync::atomic::{AtomicBool, Ordering},
};

static JSON: AtomicBool = AtomicBool::new(false);

/// Chooses JSON lines for the rest of the process's life.
pub(crate) fn use_json(json: bool) {
    JSON.store(json, Ordering::Relaxed);
}

/// Writes one line. A stderr that takes nothing is no reason to do anything.
pub(crate) fn line(text: fmt::Arguments<'_>) {
    let text = text.to_string();
    let at = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ");
    let line = if JSON.load(Ordering::Relaxed) {
        let at = at.to_string();
        let object = serde_json::json!({ "time": at, "from": "keeper", "message": text });
        format!("{object}\n")
    } else {
        format!("{at} mattervisor keeper: {text}\n")
    };
    // One write, so that lines of several processes do not mix.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// Says something to whoever reads the daemon's stderr.
macro_rules! say {
    ($($text:tt)*) => { $crate::say::line(format_args!($($text)*)) };
}
pub(crate) use say;
