//! What must survive the control process: all of a service but its policy, which the plan brings.
//!
//! The keeper holds one opaque record for each service, and gives the records to the next control
//! process. So a record is complete by itself: whatever the engine needs to go on is a field here
//! or in the state.

use alloc::{collections::BTreeSet, string::String, vec::Vec};

use run_model::{Exit, Stop};
use serde::{Deserialize, Serialize};

use crate::{
    detail::Detail,
    ids::{Moment, RunId, ServiceId},
    lease::Lease,
    reasons::RestartReason,
    state::{Goal, Helper, Hold, State, StopTarget},
    up::{Probing, Up},
};

/// Goal, hold, state and counters of one service. Opaque except for the goal and the hold, which
/// the control process also keeps on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Whether the service is meant to be up or down.
    pub goal: Goal,
    /// Who stopped it, if somebody did.
    pub hold: Option<Hold>,
    /// The lease of the job that keeps the service stopped, if any.
    pub(crate) lease: Option<Lease>,
    /// Of a job: the request that the job works on, or worked on last.
    pub(crate) request: Option<String>,
    pub(crate) state: State,
    pub(crate) since: Moment,
    /// Early ends in a row.
    pub(crate) early: Early,
    /// Times of the automatic starts that the start limit may still count.
    pub(crate) starts: Vec<Moment>,
    pub(crate) restarts: u32,
    pub(crate) last_exit: Option<(Exit, Moment)>,
    pub(crate) detail: Detail,
    /// Why the service has to go down once before it may be up again, if it has to.
    pub(crate) restart_pending: Option<RestartReason>,
    /// The service has left the plan: to be stopped and forgotten.
    pub(crate) removing: bool,
    /// Processes of an earlier run that SIGKILL has not ended. No run starts beside them.
    pub(crate) leftovers: Option<Leftovers>,
    /// Whether the service stays down when its run ends by itself.
    pub(crate) once: bool,
    /// Whether the service, though wanted, stays down until a command or its schedule triggers a
    /// run, since its work is done for now.
    pub(crate) idle_until_triggered: bool,
    /// Wanted services that the next start does not wait for: they have not settled since this
    /// service was last up.
    pub(crate) passed: BTreeSet<ServiceId>,
    /// Terms of the present run, from its spawn until nothing of the run is left.
    pub(crate) run_terms: Option<RunTerms>,
}

/// Processes that SIGKILL has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Leftovers {
    /// The run of the leftovers; for an earlier daemon's leftovers, the run that could not start.
    pub(crate) run: RunId,
    /// How many processes were left when the keeper last looked; at least one.
    pub(crate) count: u32,
}

/// Terms of one run, fixed at its spawn whatever later plans say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunTerms {
    /// How to stop the run: when a plan replaces the process, the old process still needs the old
    /// stop terms.
    pub(crate) stop: Stop,
    /// The watchdog timeout that the run has set by notification; zero: none.
    pub(crate) watchdog_ms: Option<u64>,
}

/// Early ends in a row that nobody asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Early {
    pub(crate) count: u32,
    /// Whether none of these runs succeeded.
    pub(crate) failed: bool,
}

impl Early {
    pub(crate) const NONE: Self = Self {
        count: 0,
        failed: true,
    };

    /// Counts one more end.
    pub(crate) const fn add(&mut self, success: bool) {
        self.count = self.count.saturating_add(1);
        self.failed &= !success;
    }
}

impl Record {
    /// The record of a service without a process, as known after a reboot.
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

    /// The state when the record was made.
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

    /// The record without the deadlines and counts of probes and watchdog, which no person sees and
    /// no successor needs.
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

    /// Makes probes that were under way when the control process died due again.
    pub(crate) fn wake_probes(&mut self, now: Moment) {
        for probe in self.state.probes_mut() {
            probe.next_at = probe.next_at.or(Some(now));
        }
    }
}

impl State {
    /// Whether a process exists, or remains of a process may.
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

    /// Whether the service is on its way down.
    pub(crate) const fn is_stopping(&self) -> bool {
        matches!(self, Self::Stopping { .. })
    }

    /// Whether the process executes and has not been asked to end.
    pub(crate) const fn executes(&self) -> bool {
        matches!(
            self,
            Self::Starting { .. } | Self::Running { .. } | Self::Reloading { .. }
        )
    }

    /// Whether the service is ready or completed.
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
