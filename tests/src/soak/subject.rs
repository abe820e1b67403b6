//! The daemon under attack. A failure here is a value that the caller judges, and fails no test.

use std::{
    os::unix::process::ExitStatusExt,
    path::Path,
    process::Child,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use api::{ServiceStatus, StatusReply};
use nix::sys::signal::Signal;

use crate::{
    ctl::Running,
    processes::{alive, children, command_line, kill},
    site::Site,
    wait,
};

/// Everything must be back within this time, on a busy machine.
pub(super) const LIMIT: Duration = Duration::from_secs(30);
/// `ctl` waits this long for an answer.
const CTL_TIMEOUT: &str = "40s";
/// The soak waits this long for `ctl` or the keeper to end.
const CTL_LIMIT: Duration = Duration::from_secs(60);
/// Pause between two looks at the status.
const PAUSE: Duration = Duration::from_millis(20);
/// Lines of the supervisor's output that a failure quotes.
const LAST_LINES: usize = 4;

/// Exit and output of a `ctl` that was run.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    /// Exit code of `ctl`; `None` if `ctl` has not ended in time.
    pub(super) code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Answer {
    pub(super) fn done(&self) -> bool {
        self.code == Some(0)
    }

    /// Standard output and standard error, in one line.
    pub(super) fn text(&self) -> String {
        format!("{} {}", self.stdout, self.stderr)
            .trim()
            .replace('\n', " | ")
    }
}

/// A daemon on a site of its own.
pub(super) struct Subject {
    keeper: Mutex<Option<Child>>,
    /// Grows when the keeper is about to be killed, and when another keeper is started.
    epoch: AtomicU64,
    pub(super) site: Site,
}

impl Subject {
    pub(super) fn new(site: Site) -> Self {
        Self {
            keeper: Mutex::new(None),
            epoch: AtomicU64::new(0),
            site,
        }
    }

    pub(super) fn root(&self) -> &Path {
        self.site.root()
    }

    /// Starts the supervisor, and does not wait for an answer.
    pub(super) fn start(&self) {
        let child = self.site.spawn_supervisor();
        *self.keeper() = Some(child);
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }

    /// Odd while a keeper runs that nobody has killed yet. The same odd number at two moments means
    /// that the same keeper ran all the time between them.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }

    /// Pid of the keeper; 0 if there is none.
    pub(super) fn keeper_pid(&self) -> i32 {
        let pid = self.keeper().as_ref().map_or(0, Child::id);
        i32::try_from(pid).unwrap_or(0)
    }

    /// Pid of a control process, if one runs at this moment.
    pub(super) fn control_pid(&self) -> Option<i32> {
        let children = children(self.keeper_pid()).into_iter();
        let controls = children.filter(|pid| alive(*pid) && is_control(*pid));
        // While one control process replaces another, the newer has the higher pid.
        controls.max()
    }

    /// Waits until a control process runs; `None` if none comes in time.
    pub(super) fn wait_control(&self) -> Option<i32> {
        wait::within(LIMIT, || self.control_pid())
    }

    /// Sends SIGKILL to the keeper, and with it to another process, and reaps the keeper.
    pub(super) fn kill_keeper(&self, with: Option<i32>) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
        if let Some(mut child) = self.keeper().take() {
            let _ = child.kill();
            if let Some(other) = with {
                kill(other, Signal::SIGKILL);
            }
            let _ = child.wait();
        }
    }

    /// Exit status of a keeper that has ended by itself, in words.
    pub(super) fn has_ended(&self) -> Option<String> {
        let status = self.keeper().as_mut()?.try_wait().ok().flatten()?;
        Some(status.to_string())
    }

    /// Sends SIGTERM; returns the exit code, or 128 + the number of the signal. `None`: the keeper
    /// does not end.
    pub(super) fn stop(&self) -> Option<i32> {
        let mut keeper = self.keeper();
        let child = keeper.as_mut()?;
        kill(i32::try_from(child.id()).ok()?, Signal::SIGTERM);
        let status = wait::within(CTL_LIMIT, || child.try_wait().ok().flatten())?;
        *keeper = None;
        let signal = status.signal().unwrap_or(0);
        Some(status.code().unwrap_or(128 + signal))
    }

    /// Runs `ctl`.
    pub(super) fn ctl(&self, arguments: &[&str]) -> Answer {
        let mut command = self.site.ctl_command();
        command.args(["--timeout", CTL_TIMEOUT]).args(arguments);
        let mut running = Running::start(&mut command);
        if wait::within(CTL_LIMIT, || running.has_ended().then_some(())).is_none() {
            return Answer {
                code: None,
                stdout: String::new(),
                stderr: format!("{arguments:?} has not ended within {CTL_LIMIT:?}"),
            };
        }
        let ended = running.finish_within(LIMIT);
        Answer {
            code: Some(ended.code),
            stdout: ended.stdout,
            stderr: ended.stderr,
        }
    }

    /// The status, if `ctl` prints one.
    pub(super) fn status(&self) -> Option<StatusReply> {
        let answer = self.ctl(&["status", "--format", "json"]);
        serde_json::from_str(&answer.stdout).ok()
    }

    /// Waits until these services are as wanted; an error names the states of those that are not.
    pub(super) fn wait_for(
        &self,
        names: &[&str],
        wanted: impl Fn(&ServiceStatus) -> bool,
    ) -> Result<StatusReply, String> {
        let end = Instant::now() + LIMIT;
        let mut why = String::new();
        while Instant::now() < end {
            if let Some(ended) = self.has_ended() {
                return Err(format!("the supervisor has ended: {ended}"));
            }
            let _ = wait::within(PAUSE, || None::<()>);
            let Some(status) = self.status() else {
                "there is no status".clone_into(&mut why);
                continue;
            };
            let is_wanted = |name: &&str| {
                let mut services = status.services.iter();
                services.any(|it| it.name == *name && wanted(it))
            };
            let not: Vec<&str> = names.iter().copied().filter(|it| !is_wanted(it)).collect();
            if not.is_empty() {
                return Ok(status);
            }
            let words = |it: &&ServiceStatus| not.contains(&it.name.as_str());
            let states = status.services.iter().filter(words);
            let states =
                states.map(|it| format!("{} {} (held: {})", it.name, it.state, it.held.is_some()));
            why = states.collect::<Vec<_>>().join(", ");
        }
        Err(format!("after {LIMIT:?}: {why}"))
    }

    /// All output of the supervisor and its control processes so far.
    pub(super) fn said(&self) -> String {
        let bytes = std::fs::read(self.site.path("supervisor.log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The last lines of all output, in one line.
    pub(super) fn last_said(&self) -> String {
        let said = self.said();
        let lines: Vec<&str> = said.lines().collect();
        lines[lines.len().saturating_sub(LAST_LINES)..].join(" | ")
    }

    fn keeper(&self) -> MutexGuard<'_, Option<Child>> {
        self.keeper.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        if let Some(mut child) = self.keeper().take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Whether a process is a control process that is past its exec.
pub(super) fn is_control(pid: i32) -> bool {
    command_line(pid).contains(" control --root")
}
