//! Ends of runs: how the main process of a service ended, why, and what followed. This file alone
//! puts an end into words, so every client prints the same sentence.

use std::fmt;

use serde::{Deserialize, Serialize};

use text::{duration, in_a_row};

/// The end of one run of a service, as it is kept for a year.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ExitRecord {
    /// Id of the run, unique over all supervisors and boots.
    pub id: String,
    /// When the main process ended, RFC 3339 in UTC; for an end that nobody saw, when the
    /// supervisor found out.
    pub at: String,
    /// The service.
    pub service: String,
    /// The main process.
    pub pid: Option<i32>,
    /// Exit code, if the process exited by itself.
    pub code: Option<i32>,
    /// Signal that ended the process: `KILL`. Without code and signal, nobody saw how the run
    /// ended.
    pub signal: Option<String>,
    /// Whether the process left a core dump.
    #[serde(default)]
    pub core: bool,
    /// How long the run lasted, in milliseconds; null: not known.
    pub ran_ms: Option<u64>,
    /// Why the run was sent SIGKILL while it stopped; null: it was not.
    pub killed: Option<KillReason>,
    /// Why the run ended.
    pub cause: ExitCause,
    /// What follows the end.
    pub next: NextRun,
    /// Number of ends since the previous record that no record holds: of a service that ends all
    /// the time, the history does not keep every end.
    #[serde(default)]
    pub left_out: u64,
}

/// Why a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum ExitCause {
    /// The supervisor did not ask the process to end.
    Itself,
    /// A change stopped or restarted the service, or sent the signal.
    Change {
        /// Id of the change.
        id: String,
        /// By whom, for people: `root`, `alice (uid 1000)`.
        by: String,
        /// The change: `stop`, `restart`, `signal KILL`, `reconfigure`.
        what: String,
    },
    /// A change asked for the end; the supervisor no longer knows which change.
    Command,
    /// Files that the service reads had changed, and the service takes new files by a restart.
    Files {
        /// The changed files, first by path; at most [`FILES_MAX`].
        paths: Vec<String>,
        /// Number of further changed files.
        more: u64,
    },
    /// A new configuration was applied that needs another process; the supervisor knows no change
    /// that asked for the configuration.
    Configuration,
    /// A new configuration was applied that no longer has the service; the supervisor knows no
    /// change that asked for the configuration.
    Removed,
    /// The supervisor stopped, and every service with it.
    Shutdown,
    /// A service that this service requires went down or restarted.
    Dependency {
        /// The required service.
        on: String,
    },
    /// A job keeps the service stopped while the job works.
    Job {
        /// The job.
        name: String,
    },
    /// A service that this service is bound to was no longer up.
    Binding {
        /// The other service.
        on: String,
    },
    /// The service was not ready in time.
    NotReady {
        /// In words: what the readiness probe said last.
        said: String,
    },
    /// The liveness probe failed.
    Liveness {
        /// In words: what the probe said last; may be empty.
        said: String,
    },
    /// The watchdog heard nothing, or was triggered.
    Watchdog {
        /// In words; may be empty.
        said: String,
    },
    /// The run ended long after SIGKILL.
    Outlived,
    /// The supervisor was killed; its next start ended the run, or found it gone.
    SupervisorKilled,
    /// The machine went down, and the supervisor with the machine.
    MachineDown,
}

/// Most paths that [`ExitCause::Files`] names.
pub const FILES_MAX: usize = 4;

/// Why a run was sent SIGKILL while it stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum KillReason {
    /// The run had been asked to end, and its stop timeout had passed.
    StopTimeout,
    /// The run had been asked to end, and the deadline of the shutdown passed before the stop
    /// timeout.
    ShutdownDeadline,
    /// The run had not been asked to end when the deadline of the shutdown passed.
    Unasked,
}

/// What follows the end of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum NextRun {
    /// Another run, immediately.
    Start,
    /// Another run, once the services that it needs are up.
    Wait,
    /// Another run, after a pause.
    Pause {
        /// Length of the pause, in milliseconds.
        ms: u64,
        /// Early ends in a row, including this end.
        early: u32,
        /// Whether each of the early ends was a failure.
        failed: bool,
    },
    /// No run: the service has done its work, or is down as somebody wants it.
    Rest,
    /// No run: the service has failed.
    Fail {
        /// Why the service failed, in words.
        why: String,
    },
    /// Not known: no supervisor was there to decide.
    Unknown,
}

impl ExitRecord {
    /// Whether the run ended unasked and the service was started again.
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

    /// How and why the run ended: `killed by KILL after 3h2m`.
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
        // A service whose runs end well again and again has not failed.
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
