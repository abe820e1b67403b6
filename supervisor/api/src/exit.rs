//! How the main process of a service ended, why, and what followed. This file alone puts it into
//! words.

use std::fmt;

use serde::{Deserialize, Serialize};

use text::{duration, in_a_row};

/// The end of one run of a service, as it is kept for a year.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ExitRecord {
    /// Names the run, over all supervisors and boots.
    pub id: String,
    /// When the main process ended, RFC 3339 in UTC; if nobody saw that, when it was found out.
    pub at: String,
    /// Whose run it was.
    pub service: String,
    /// Its main process.
    pub pid: Option<i32>,
    /// It ended by itself, with this code.
    pub code: Option<i32>,
    /// A signal ended it: `KILL`. Neither code nor signal: nobody saw how it ended.
    pub signal: Option<String>,
    /// It left a core dump.
    #[serde(default)]
    pub core: bool,
    /// How long it ran, in milliseconds; null: not known.
    pub ran_ms: Option<u64>,
    /// Why it was sent SIGKILL on its way down; null: it was not.
    pub killed: Option<KillReason>,
    /// Why it ended.
    pub cause: ExitCause,
    /// What follows.
    pub next: NextRun,
    /// So many more runs of the service have ended since the record before: of a service that ends
    /// all the time not every end is kept.
    #[serde(default)]
    pub left_out: u64,
}

/// Why a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum ExitCause {
    /// Nobody in the supervisor asked it to.
    Itself,
    /// Somebody asked for it.
    Change {
        /// Id of the change.
        id: String,
        /// By whom, for people: `root`, `alice (uid 1000)`.
        by: String,
        /// `stop`, `restart`, `signal KILL`, `reconfigure`.
        what: String,
    },
    /// Somebody asked for it; which change that was is not known any more.
    Command,
    /// Files that the service reads had changed, and it takes that by a restart.
    Files {
        /// The first of them, by path; at most [`FILES_MAX`].
        paths: Vec<String>,
        /// So many more.
        more: u64,
    },
    /// Another configuration was applied, which needs another process; nobody asked for it by a
    /// change.
    Configuration,
    /// The same, and that has the service no more.
    Removed,
    /// Everything was stopped, with the supervisor.
    Shutdown,
    /// A service that it requires went down, or was restarted.
    Dependency {
        /// Which one.
        on: String,
    },
    /// A job had it stopped for its own time.
    Job {
        /// Which one.
        name: String,
    },
    /// A service that it is bound to was not up any more.
    Binding {
        /// Which one.
        on: String,
    },
    /// It was not ready in time.
    NotReady {
        /// In words: what its probe said last.
        said: String,
    },
    /// Its liveness probe failed.
    Liveness {
        /// In words: what the probe said last; may be empty.
        said: String,
    },
    /// Its watchdog heard nothing, or was triggered.
    Watchdog {
        /// In words; may be empty.
        said: String,
    },
    /// SIGKILL had been sent long before.
    Outlived,
    /// The supervisor was killed; its next start took this for granted, or saw to it.
    SupervisorKilled,
    /// The machine went down, and the supervisor with it.
    MachineDown,
}

/// Paths that [`ExitCause::Files`] names.
pub const FILES_MAX: usize = 4;

/// Why a run was sent SIGKILL on its way down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum KillReason {
    /// It had been asked to end, and its own time for that was over.
    StopTimeout,
    /// It had been asked to end, and the time of the shutdown was over before its own.
    ShutdownDeadline,
    /// It had not been asked, since the time of the shutdown was over.
    Unasked,
}

/// What followed the end of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum NextRun {
    /// Another run, at once.
    Start,
    /// Another run, as soon as what it needs is up.
    Wait,
    /// Another run, after a pause.
    Pause {
        /// Milliseconds.
        ms: u64,
        /// Early ends in a row, this one included.
        early: u32,
        /// Each of them was a failure.
        failed: bool,
    },
    /// None: it has done its work, or is down as somebody wants it.
    Rest,
    /// None: it has failed.
    Fail {
        /// In words.
        why: String,
    },
    /// Nobody was there to decide.
    Unknown,
}

impl ExitRecord {
    /// It ended though nobody asked for that, and was started again.
    pub fn is_automatic_restart(&self) -> bool {
        let again = matches!(
            self.next,
            NextRun::Start | NextRun::Wait | NextRun::Pause { .. }
        );
        let unasked = match self.cause {
            ExitCause::Itself
            | ExitCause::NotReady { .. }
            | ExitCause::Liveness { .. }
            | ExitCause::Watchdog { .. }
            | ExitCause::Files { .. }
            | ExitCause::Binding { .. } => true,
            ExitCause::Change { .. }
            | ExitCause::Command
            | ExitCause::Configuration
            | ExitCause::Removed
            | ExitCause::Shutdown
            | ExitCause::Dependency { .. }
            | ExitCause::Job { .. }
            | ExitCause::Outlived
            | ExitCause::SupervisorKilled
            | ExitCause::MachineDown => false,
        };
        again && unasked
    }

    /// How and why it ended: `killed by KILL after 3h2m`.
    pub fn how(&self) -> String {
        let mut text = match (&self.signal, self.code) {
            (Some(signal), _) => text::killed_by(signal),
            (None, Some(code)) => text::exit_code(code),
            (None, None) => "ended unseen".to_owned(),
        };
        if let Some(ms) = self.ran_ms {
            text.push_str(" after ");
            text.push_str(&duration(ms));
        }
        let core = self.core.then(|| "core dumped".to_owned());
        let killed = self.killed.map(|why| why.words().to_owned());
        let why = [core, self.cause.words(), killed];
        let why: Vec<String> = why.into_iter().flatten().collect();
        if !why.is_empty() {
            text.push_str(" (");
            text.push_str(&why.join("; "));
            text.push(')');
        }
        text
    }
}

impl fmt::Display for ExitRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.how())?;
        match &self.next {
            NextRun::Start => f.write_str("; starts again at once")?,
            NextRun::Wait => f.write_str("; starts again once what it needs is up")?,
            NextRun::Pause { ms, early, failed } => {
                let (times, pause) = (in_a_row(*early, *failed), duration(*ms));
                write!(f, "; {times}, starts again in {pause}")?;
            }
            NextRun::Rest if self.cause == ExitCause::Itself => {
                f.write_str("; has done its work")?;
            }
            NextRun::Rest => f.write_str("; stays down")?,
            NextRun::Fail { why } => write!(f, "; is not started again: {why}")?,
            NextRun::Unknown => {}
        }
        match self.left_out {
            0 => Ok(()),
            1 => f.write_str(" [1 more end since the one before is left out]"),
            many => write!(f, " [{many} more ends since the one before are left out]"),
        }
    }
}

impl ExitCause {
    fn words(&self) -> Option<String> {
        let said = |what: &str, said: &str| match said {
            "" => what.to_owned(),
            said => format!("{what}: {said}"),
        };
        Some(match self {
            Self::Itself => return None,
            Self::Change { by, what, .. } => format!("{what} by {by}"),
            Self::Command => "by a command; whose is not known any more".to_owned(),
            Self::Files { paths, more } => {
                let more = (*more > 0).then(|| format!("{more} more"));
                let all = text::list(paths.iter().chain(&more));
                format!("restarted because {all} changed")
            }
            Self::Configuration => "restarted by another configuration".to_owned(),
            Self::Removed => "its configuration has it no more".to_owned(),
            Self::Shutdown => "the supervisor stopped".to_owned(),
            Self::Dependency { on } => format!("with {on}, which it requires"),
            Self::Job { name } => format!("stopped for {name}"),
            Self::Binding { on } => format!("{on}, which it is bound to, was not up any more"),
            Self::NotReady { said } => said.clone(),
            Self::Liveness { said: words } => said("its liveness probe failed", words),
            Self::Watchdog { said: words } => said("its watchdog", words),
            Self::Outlived => "long after SIGKILL".to_owned(),
            Self::SupervisorKilled => {
                "the supervisor was killed; found at its next start".to_owned()
            }
            Self::MachineDown => "the machine went down; found at its next start".to_owned(),
        })
    }
}

impl KillReason {
    const fn words(self) -> &'static str {
        match self {
            Self::StopTimeout => "did not stop in time",
            Self::ShutdownDeadline => "had not stopped when the time of the shutdown was over",
            Self::Unasked => {
                "killed without being asked to stop: the time of the shutdown was over"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(cause: ExitCause, next: NextRun) -> ExitRecord {
        ExitRecord {
            id: "1".to_owned(),
            at: "2026-11-22T03:12:07.000Z".to_owned(),
            service: "a".to_owned(),
            pid: Some(7),
            code: None,
            signal: Some("KILL".to_owned()),
            core: false,
            ran_ms: Some(10_920_000),
            killed: None,
            cause,
            next,
            left_out: 0,
        }
    }

    #[test]
    fn causes_read_well() {
        let how = |cause| record(cause, NextRun::Start).how();
        let on = || "postgresql".to_owned();
        let files = |count: usize, more| {
            let paths = ["/etc/a.pem", "/etc/b.pem"].map(str::to_owned);
            let paths = paths[..count].to_vec();
            how(ExitCause::Files { paths, more })
        };
        assert_eq!(
            [
                files(1, 0),
                files(2, 3),
                how(ExitCause::Dependency { on: on() }),
                how(ExitCause::Job {
                    name: "backup".to_owned(),
                }),
                how(ExitCause::Binding { on: on() }),
            ],
            [
                "killed by KILL after 3h2m (restarted because /etc/a.pem changed)",
                "killed by KILL after 3h2m (restarted because /etc/a.pem, /etc/b.pem and 3 more changed)",
                "killed by KILL after 3h2m (with postgresql, which it requires)",
                "killed by KILL after 3h2m (stopped for backup)",
                "killed by KILL after 3h2m (postgresql, which it is bound to, was not up any more)",
            ]
        );
        let unasked = ExitRecord {
            killed: Some(KillReason::Unasked),
            ..record(ExitCause::Shutdown, NextRun::Rest)
        };
        assert_eq!(
            unasked.how(),
            "killed by KILL after 3h2m (the supervisor stopped; killed without being asked to stop: \
             the time of the shutdown was over)"
        );
        // What ends well again and again has not failed.
        let well = ExitRecord {
            code: Some(0),
            signal: None,
            ..record(ExitCause::Itself, pause(false))
        };
        assert_eq!(
            well.to_string(),
            "exit code 0 after 3h2m; ended 4 times in a row, starts again in 4s"
        );
    }

    const fn pause(failed: bool) -> NextRun {
        NextRun::Pause {
            ms: 4000,
            early: 4,
            failed,
        }
    }

    #[test]
    fn an_end_reads_well() {
        let crash = record(ExitCause::Itself, NextRun::Start);
        assert_eq!(
            crash.to_string(),
            "killed by KILL after 3h2m; starts again at once"
        );
        let asked = ExitCause::Change {
            id: "x".to_owned(),
            by: "alice (uid 1000)".to_owned(),
            what: "stop".to_owned(),
        };
        let stopped = ExitRecord {
            killed: Some(KillReason::StopTimeout),
            ..record(asked, NextRun::Rest)
        };
        assert_eq!(
            stopped.to_string(),
            "killed by KILL after 3h2m (stop by alice (uid 1000); did not stop in time); stays down"
        );
        let loops = ExitRecord {
            signal: Some("SEGV".to_owned()),
            core: true,
            ran_ms: Some(300),
            left_out: 40,
            ..record(ExitCause::Itself, pause(true))
        };
        assert_eq!(
            loops.to_string(),
            "killed by SEGV after 0.3s (core dumped); 4 failures in a row, starts again in 4s \
             [40 more ends since the one before are left out]"
        );
        let unseen = ExitRecord {
            signal: None,
            ran_ms: None,
            ..record(ExitCause::SupervisorKilled, NextRun::Unknown)
        };
        assert_eq!(
            unseen.to_string(),
            "ended unseen (the supervisor was killed; found at its next start)"
        );
    }

    #[test]
    fn only_what_nobody_asked_for_is_an_automatic_restart() {
        assert!(record(ExitCause::Itself, NextRun::Wait).is_automatic_restart());
        assert!(!record(ExitCause::Itself, NextRun::Rest).is_automatic_restart());
        assert!(!record(ExitCause::Removed, NextRun::Start).is_automatic_restart());
    }
}
