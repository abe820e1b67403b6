//! How the stand-in can be told to misbehave, by environment and, while it runs, by a file.
//!
//! | variable | what it does |
//! | --- | --- |
//! | `STANDIN_DB_RETRIES`, `STANDIN_DB_PAUSE_MS` | tries and pause while the database is away (18, 10000) |
//! | `STANDIN_DB_EXIT` | exit code when it stays away (1; old releases: 102) |
//! | `STANDIN_LOCK_MS` | life of a lock that a killed migration leaves (15000) |
//! | `STANDIN_MIGRATE_MS` | how long the migrations take, at every start (20 each, when they are applied) |
//! | `STANDIN_BIND_FAIL_MS` | time from a port in use to the exit (6000) |
//! | `STANDIN_HANG=1` | never becomes ready |
//! | `STANDIN_IGNORE_TERM=1` | takes no notice of SIGTERM and SIGINT |
//! | `STANDIN_STOP_MS` | time to stop (0 to 15000 when up for less than that, as the real one) |
//! | `STANDIN_BATCH_MS` | how long batched notifications wait, and between two looks at them (900000, and `EmailBatchingInterval`) |
//! | `STANDIN_CRASH_AT_START=CODE` | exits at once with this code |
//! | `STANDIN_CRASH_AFTER_MS` | panics, exit code 2, after this time |
//! | `STANDIN_UNHEALTHY=1` | the ping with status says 500 |
//! | `STANDIN_DEAD=1` | every ping says 500 |
//! | `STANDIN_MOOD_FILE` | a file with `dead`, `unhealthy` or nothing, read at each ping |

use std::{path::PathBuf, time::Duration};

/// The values of this table, read once.
#[derive(Clone, Debug)]
pub(crate) struct Moods {
    /// Tries until the database counts as away.
    pub(crate) db_retries: u32,
    /// Pause between two tries.
    pub(crate) db_pause: Duration,
    /// Exit code when the database stays away.
    pub(crate) db_exit: u8,
    /// Life of the migration lock.
    pub(crate) lock: Duration,
    /// Duration of the migrations at every start.
    pub(crate) migrate: Option<Duration>,
    /// Time from a failed bind to the exit.
    pub(crate) bind_fail: Duration,
    /// Whether the server never becomes ready.
    pub(crate) hang: bool,
    /// Whether the server ignores SIGTERM and SIGINT.
    pub(crate) ignore_term: bool,
    /// Fixed time to stop.
    pub(crate) stop: Option<Duration>,
    /// How long batched notifications wait.
    pub(crate) batch: Option<Duration>,
    /// Exit code of a crash at the start.
    pub(crate) crash_at_start: Option<u8>,
    /// Time until a panic.
    pub(crate) crash_after: Option<Duration>,
    constant: Mood,
    file: Option<PathBuf>,
}

/// The answers of the pings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// The true state.
    Well,
    /// The ping with status fails.
    Unhealthy,
    /// Every ping fails.
    Dead,
}

impl Moods {
    /// Reads the environment. A value that is no number counts as not set.
    pub(crate) fn from_environment() -> Self {
        let constant = if set("STANDIN_DEAD") {
            Mood::Dead
        } else if set("STANDIN_UNHEALTHY") {
            Mood::Unhealthy
        } else {
            Mood::Well
        };
        Self {
            db_retries: number("STANDIN_DB_RETRIES").unwrap_or(18),
            db_pause: millis("STANDIN_DB_PAUSE_MS").unwrap_or(Duration::from_secs(10)),
            db_exit: number("STANDIN_DB_EXIT").unwrap_or(1),
            lock: millis("STANDIN_LOCK_MS").unwrap_or(Duration::from_secs(15)),
            migrate: millis("STANDIN_MIGRATE_MS"),
            bind_fail: millis("STANDIN_BIND_FAIL_MS").unwrap_or(Duration::from_secs(6)),
            hang: set("STANDIN_HANG"),
            ignore_term: set("STANDIN_IGNORE_TERM"),
            stop: millis("STANDIN_STOP_MS"),
            batch: millis("STANDIN_BATCH_MS"),
            crash_at_start: number("STANDIN_CRASH_AT_START"),
            crash_after: millis("STANDIN_CRASH_AFTER_MS"),
            constant,
            file: std::env::var_os("STANDIN_MOOD_FILE").map(Into::into),
        }
    }

    /// The mood of this moment: the worse of the constant mood and the file's.
    pub(crate) fn now(&self) -> Mood {
        let text = self
            .file
            .as_ref()
            .and_then(|path| std::fs::read_to_string(path).ok());
        match (self.constant, text.as_deref().map(str::trim)) {
            (Mood::Dead, _) | (_, Some("dead")) => Mood::Dead,
            (Mood::Unhealthy, _) | (_, Some("unhealthy")) => Mood::Unhealthy,
            _ => Mood::Well,
        }
    }
}

fn set(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| value == "1")
}

fn number<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}

fn millis(name: &str) -> Option<Duration> {
    number(name).map(Duration::from_millis)
}
