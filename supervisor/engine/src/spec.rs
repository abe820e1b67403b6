//! What the engine knows of a service: its policy, without any command line.
//!
//! Times are milliseconds, factors thousandths.

use alloc::collections::BTreeSet;

use run_model::{Exit, Stop};

use crate::ids::ServiceId;

/// Everything that governs one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// A daemon stays up; a oneshot runs to its end.
    pub kind: Kind,
    /// Must be ready or completed before this service starts; their stop stops this service first.
    pub requires: BTreeSet<ServiceId>,
    /// Started before this service; their failure does not hold this service back.
    pub wants: BTreeSet<ServiceId>,
    /// Like `requires`; in addition any way that they go down, also a crash, stops this service.
    pub binds_to: BTreeSet<ServiceId>,
    /// Order alone: this service starts after these have settled, and stops before them.
    pub after: BTreeSet<ServiceId>,
    /// A validator command is run before every start and reload.
    pub validated: bool,
    /// When dependents may start.
    pub ready: Ready,
    /// Longest time from exec to ready; none: no limit.
    pub ready_timeout_ms: Option<u64>,
    /// After `failures` failures in a row the run is ended and restarted.
    pub liveness: Option<ProbeSpec>,
    /// After `failures` failures in a row the service shows as degraded; nothing is restarted.
    pub health: Option<ProbeSpec>,
    /// Once ready, a run must say that it is alive, again and again.
    pub watchdog: Option<Watchdog>,
    /// A oneshot that is idle until [`crate::Command::Run`] or [`crate::Command::Job`]: it does not
    /// start with the daemon.
    pub scheduled: bool,
    /// A scheduled oneshot that only [`crate::Command::Job`] starts, and that may have others
    /// stopped.
    pub job: bool,
    /// What follows an exit.
    pub restart: Restart,
    /// How a run is asked to end.
    pub stop: Stop,
    /// How a run takes a new configuration without ending; none: the service cannot.
    pub reload: Option<Reload>,
}

/// What an exit of the main process means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Meant to stay up.
    Daemon,
    /// Meant to run to its end; a success is `completed`, which satisfies dependents.
    Oneshot,
}

/// When a run counts as ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ready {
    /// As soon as exec has succeeded.
    Exec,
    /// When the run says so by the notify protocol (`Notification::Ready`); a reload lasts until it
    /// says so again.
    Notify,
    /// When the run has given its signal (`Notification::ReadySignal`): a newline on a descriptor,
    /// a line in its log. A run gives the signal once; a reload does not wait for it.
    ReadySignal,
    /// So many milliseconds after exec.
    Delay(u64),
    /// When a probe succeeds `successes` times in a row.
    Probe(ProbeSpec),
}

/// Timing and thresholds of a probe. The control process knows how to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeSpec {
    /// Wait before the first attempt (after exec for readiness, after ready for the others).
    pub delay_ms: u64,
    /// Pause from the result of one attempt to the next attempt; at least 1.
    pub interval_ms: u64,
    /// Failures in a row that count as a failure; at least 1.
    pub failures: u32,
    /// Successes in a row that count as a success; at least 1.
    pub successes: u32,
}

/// How long a run may be silent, and what its silence means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watchdog {
    /// Longest silence, unless the run itself says otherwise.
    pub timeout_ms: u64,
    /// What follows a longer silence.
    pub action: WatchdogAction,
    /// Number of the signal that ends a silent run.
    pub signal: i32,
}

/// What the silence of a watched run means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchdogAction {
    /// The run is ended, by the watchdog's signal first; the restart policy decides what follows.
    Restart,
    /// The service shows as degraded until the run says that it is alive.
    Degrade,
}

/// What follows when a run ends by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restart {
    /// Which exits are followed by a new run.
    pub policy: Policy,
    /// Exits that count as success; exit code 0 always does.
    pub success: ExitSet,
    /// Exits that no other run follows, whatever the policy.
    pub prevent: ExitSet,
    /// Pause before the restart after the second early end.
    pub delay_ms: u64,
    /// Each further pause is this many thousandths of the previous pause.
    pub factor_milli: u32,
    /// No pause is longer.
    pub max_delay_ms: u64,
    /// A pause is lengthened by up to this many thousandths of itself, at random.
    pub jitter_milli: u32,
    /// A run that was up this long clears the count of early deaths.
    pub reset_after_ms: u64,
    /// The service fails after more automatic starts than this.
    pub limit: Option<StartLimit>,
}

/// Which exits of a run another run follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Every exit.
    Always,
    /// Every exit; and a hold survives a reboot (the control process sees to that).
    UnlessStopped,
    /// Exits that are not a success.
    OnFailure,
    /// None.
    Never,
}

/// At most `starts` automatic starts within `within_ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartLimit {
    /// Number of starts that the limit still allows.
    pub starts: u32,
    /// Window, up to now, in which starts count.
    pub within_ms: u64,
}

/// Exit codes and signals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExitSet {
    /// Exit codes, 0 to 255.
    pub codes: BTreeSet<i32>,
    /// Signal numbers.
    pub signals: BTreeSet<i32>,
}

impl ExitSet {
    /// Whether the exit is in the set.
    pub(crate) fn contains(&self, exit: Exit) -> bool {
        match exit {
            Exit::Code(code) => self.codes.contains(&code),
            Exit::Signal(signal) => self.signals.contains(&signal),
        }
    }
}

/// How a run takes a new configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reload {
    /// How the run is told to reload.
    pub how: ReloadHow,
    /// Longest time of a reload, from its validator to its confirmation.
    pub timeout_ms: u64,
    /// Asked after all other steps, until the first yes: whether the run has the new configuration.
    /// The thresholds of this probe have no meaning. None: nothing is asked.
    pub confirm: Option<ProbeSpec>,
}

/// What tells a run to take a new configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReloadHow {
    /// A signal to the main process. With `Ready::Notify` the run reports when it is ready again.
    Signal(i32),
    /// A command of its own, which must exit with success.
    Command,
}
