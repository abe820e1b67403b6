//! What must survive the control process: all of a service but its policy, which the plan brings.
//!
//! The keeper holds one record a service, opaque, and gives it to the next control process. So a
//! record is whole by itself: whatever the engine would need to go on is a field here or in the
//! state.

use alloc::{collections::BTreeSet, string::String, vec::Vec};

use run_model::{Exit, Stop};
use serde::{Deserialize, Serialize};

use crate::{
    detail::Detail,
    ids::{Moment, RunId, ServiceId},
    lease::Lease,
    order::RestartReason,
    state::{Goal, Helper, Hold, State, StopTarget},
    up::{Probing, Up},
};

/// Goal, hold, state and counters of one service. Opaque but for the goal and the hold, which the
/// control process also keeps on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// What is wanted.
    pub goal: Goal,
    /// Who stopped it, if somebody did.
    pub hold: Option<Hold>,
    /// The job that keeps it stopped, if one does.
    pub(crate) lease: Option<Lease>,
    /// Of a job: the request that it works on, or worked on last.
    pub(crate) request: Option<String>,
    pub(crate) state: State,
    pub(crate) since: Moment,
    /// Early ends in a row.
    pub(crate) early: Early,
    /// When the automatic starts were that the start limit may still count.
    pub(crate) starts: Vec<Moment>,
    pub(crate) restarts: u32,
    pub(crate) last_exit: Option<(Exit, Moment)>,
    pub(crate) detail: Detail,
    /// Why the service has to go down once before it may be up again, if it has to.
    pub(crate) restart_pending: Option<RestartReason>,
    /// The service has left the plan: to be stopped and forgotten.
    pub(crate) removing: bool,
    /// What SIGKILL has not ended of an earlier run. Nothing is started beside it.
    pub(crate) leftovers: Option<Leftovers>,
    /// Not to be restarted when it ends by itself.
    pub(crate) once: bool,
    /// Not to be started until a command or its time comes, though it is wanted: its work is done
    /// for now.
    pub(crate) idle_until_triggered: bool,
    /// Wanted services that the next start does not wait for: the service was up, and these have
    /// not settled since.
    pub(crate) passed: BTreeSet<ServiceId>,
    /// Of the present run, from its spawn until it is gone.
    pub(crate) run_terms: Option<RunTerms>,
}

/// What SIGKILL has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Leftovers {
    /// The run that left it; or, of an earlier daemon's, the run that could not be started for it.
    pub(crate) run: RunId,
    /// How many processes were left when the keeper last looked; at least one.
    pub(crate) count: u32,
}

/// What holds for one run, whatever the plan says by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunTerms {
    /// How the run is asked to end: a plan that replaces the process must still stop the old one in
    /// the old one's way.
    pub(crate) stop: Stop,
    /// What the run has said of its watchdog's timeout; zero: it need not speak.
    pub(crate) watchdog_ms: Option<u64>,
}

/// Ends of runs, in a row, that nobody asked for and that came early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Early {
    pub(crate) count: u32,
    /// None of them was a success.
    pub(crate) failed: bool,
}

impl Early {
    pub(crate) const NONE: Self = Self {
        count: 0,
        failed: true,
    };

    /// One more.
    pub(crate) const fn add(&mut self, success: bool) {
        self.count = self.count.saturating_add(1);
        self.failed &= !success;
    }
}

impl Record {
    /// A service that has no process: what is known of it after a reboot.
    pub const fn at_rest(goal: Goal, hold: Option<Hold>) -> Self {
        Self {
            goal,
            hold,
            lease: None,
            request: None,
            state: State::Stopped,
            since: Moment(0),
            early: Early::NONE,
            starts: Vec::new(),
            restarts: 0,
            last_exit: None,
            detail: Detail::NONE,
            restart_pending: None,
            removing: false,
            leftovers: None,
            once: false,
            idle_until_triggered: false,
            passed: BTreeSet::new(),
            run_terms: None,
        }
    }

    /// What it was when the record was made.
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// The main run, whether it still executes or is being swept.
    pub(crate) const fn main_run(&self) -> Option<RunId> {
        match &self.state {
            State::Spawning { run, .. }
            | State::Starting { run, .. }
            | State::Running {
                up: Up { run, .. }, ..
            }
            | State::Reloading {
                up: Up { run, .. }, ..
            }
            | State::Stopping {
                run,
                target: StopTarget::Main,
                ..
            } => Some(*run),
            State::Validating { .. }
            | State::Stopping { .. }
            | State::Stopped
            | State::Waiting { .. }
            | State::Backoff { .. }
            | State::Failed { .. }
            | State::Completed => None,
        }
    }

    /// The validator's run, while there is one: of a start or of a reload.
    pub(crate) const fn validator(&self) -> Option<RunId> {
        match &self.state {
            State::Validating { run, .. }
            | State::Reloading {
                helper: Some(Helper::Validator(run)),
                ..
            }
            | State::Stopping {
                run,
                target: StopTarget::Validator,
                ..
            } => Some(*run),
            _ => None,
        }
    }

    /// The reload command's run, while there is one.
    pub(crate) const fn reload_run(&self) -> Option<RunId> {
        match &self.state {
            State::Reloading {
                helper: Some(Helper::Command(run)),
                ..
            } => Some(*run),
            _ => None,
        }
    }

    /// Every run whose facts still matter.
    pub(crate) fn runs(&self) -> [Option<RunId>; 4] {
        [
            self.main_run(),
            self.validator(),
            self.reload_run(),
            self.leftovers.map(|it| it.run),
        ]
    }

    /// The record without what no person sees and no successor needs: the deadlines and counts of
    /// probes and watchdog.
    pub(crate) fn shown(&self) -> Self {
        let mut copy = self.clone();
        if let Some(watchdog) = copy.state.up_mut().and_then(|up| up.watchdog.as_mut()) {
            watchdog.by = None;
        }
        for probe in copy.state.probes_mut() {
            *probe = Probing {
                next_at: None,
                failures: 0,
                successes: 0,
                verdict: probe.verdict,
            };
        }
        copy
    }

    /// Probes that were under way when the control process died have to be asked again.
    pub(crate) fn wake_probes(&mut self, now: Moment) {
        for probe in self.state.probes_mut() {
            probe.next_at = probe.next_at.or(Some(now));
        }
    }
}

impl State {
    /// There is a process, or there may be something left of one.
    pub(crate) const fn is_live(&self) -> bool {
        match self {
            Self::Validating { .. }
            | Self::Spawning { .. }
            | Self::Starting { .. }
            | Self::Running { .. }
            | Self::Reloading { .. }
            | Self::Stopping { .. } => true,
            Self::Stopped
            | Self::Waiting { .. }
            | Self::Backoff { .. }
            | Self::Failed { .. }
            | Self::Completed => false,
        }
    }

    /// It goes down.
    pub(crate) const fn is_stopping(&self) -> bool {
        matches!(self, Self::Stopping { .. })
    }

    /// Exec has succeeded, and nothing has asked it to end.
    pub(crate) const fn executes(&self) -> bool {
        matches!(
            self,
            Self::Starting { .. } | Self::Running { .. } | Self::Reloading { .. }
        )
    }

    /// Ready or completed.
    pub(crate) const fn is_up(&self) -> bool {
        matches!(
            self,
            Self::Running { .. } | Self::Reloading { .. } | Self::Completed
        )
    }

    fn probes_mut(&mut self) -> impl Iterator<Item = &mut Probing> {
        let all = match self {
            Self::Starting { probe, .. } => [probe.as_mut(), None, None],
            Self::Running { up, .. } => {
                let (liveness, health) = up.probes_mut();
                [liveness, health, None]
            }
            Self::Reloading { up, confirm, .. } => {
                let (liveness, health) = up.probes_mut();
                [liveness, health, confirm.as_mut().map(|it| &mut it.probing)]
            }
            Self::Stopped
            | Self::Waiting { .. }
            | Self::Validating { .. }
            | Self::Spawning { .. }
            | Self::Stopping { .. }
            | Self::Backoff { .. }
            | Self::Failed { .. }
            | Self::Completed => [None, None, None],
        };
        all.into_iter().flatten()
    }
}
