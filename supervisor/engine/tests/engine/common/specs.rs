//! Service policies that tests start from.

use std::collections::BTreeSet;

use engine::{
    Escalation, ExitSet, Hold, Kind, Policy, ProbeSpec, Ready, Reload, ReloadHow, Restart,
    ServiceId, Spec, StartLimit, Stop, Watchdog, WatchdogAction,
};

pub(crate) const TERM: i32 = 15;
pub(crate) const STOP_MS: u64 = 50;

pub(crate) const fn id(n: u32) -> ServiceId {
    ServiceId(n)
}

pub(crate) fn set(ids: &[u32]) -> BTreeSet<ServiceId> {
    ids.iter().copied().map(ServiceId).collect()
}

pub(crate) fn hold() -> Hold {
    Hold {
        by: "alice (uid 1000)".into(),
        at_unix_ms: 1,
    }
}

pub(crate) fn daemon() -> Spec {
    Spec {
        kind: Kind::Daemon,
        requires: BTreeSet::new(),
        wants: BTreeSet::new(),
        binds_to: BTreeSet::new(),
        after: BTreeSet::new(),
        validated: false,
        ready: Ready::Exec,
        ready_timeout_ms: Some(100),
        liveness: None,
        health: None,
        watchdog: None,
        scheduled: false,
        job: false,
        restart: Restart {
            policy: Policy::Always,
            success: ExitSet::default(),
            prevent: ExitSet::default(),
            delay_ms: 10,
            factor_milli: 2000,
            max_delay_ms: 40,
            jitter_milli: 0,
            reset_after_ms: 1000,
            limit: None,
        },
        stop: Stop {
            signal: TERM,
            escalation: None,
            timeout_ms: STOP_MS,
        },
        reload: None,
    }
}

pub(crate) fn requiring(ids: &[u32]) -> Spec {
    Spec {
        requires: set(ids),
        ..daemon()
    }
}

/// A reload by a signal.
pub(crate) const fn hup() -> Reload {
    told(ReloadHow::Signal(1))
}

/// A reload by a command.
pub(crate) const fn by_command() -> Reload {
    told(ReloadHow::Command)
}

const fn told(how: ReloadHow) -> Reload {
    Reload {
        how,
        timeout_ms: 100,
        confirm: None,
    }
}

/// This reload with a confirmation of the new configuration.
pub(crate) fn confirmed(mut reload: Reload) -> Reload {
    reload.confirm = Some(probe(1));
    reload
}

/// The result of a validator or reload command that fails.
pub(crate) fn refused() -> Result<(), String> {
    Err("no".to_owned())
}

pub(crate) fn oneshot() -> Spec {
    let restart = Restart {
        policy: Policy::OnFailure,
        ..daemon().restart
    };
    Spec {
        kind: Kind::Oneshot,
        ready_timeout_ms: None,
        restart,
        ..daemon()
    }
}

/// A job that is tried again a few times, but never after exit code 1.
pub(crate) fn job() -> Spec {
    let mut spec = Spec {
        scheduled: true,
        job: true,
        ..oneshot()
    };
    spec.restart.prevent.codes.insert(1);
    spec.restart.limit = Some(StartLimit {
        starts: 2,
        within_ms: 1_000_000,
    });
    spec
}

pub(crate) const ABRT: i32 = 6;
pub(crate) const QUIT: i32 = 3;
/// Time from QUIT to TERM.
pub(crate) const SECOND_MS: u64 = 30;

/// A stop by QUIT, then TERM, then SIGKILL.
pub(crate) const fn in_two_steps() -> Stop {
    Stop {
        signal: QUIT,
        escalation: Some(Escalation {
            signal: TERM,
            after_ms: SECOND_MS,
        }),
        timeout_ms: STOP_MS,
    }
}

/// A watchdog with the timeout of a stop.
pub(crate) const fn watchdog(action: WatchdogAction) -> Watchdog {
    Watchdog {
        timeout_ms: STOP_MS,
        action,
        signal: ABRT,
    }
}

pub(crate) fn probe(failures: u32) -> ProbeSpec {
    ProbeSpec {
        delay_ms: 0,
        interval_ms: 10,
        failures,
        successes: 1,
    }
}

pub(crate) fn notify() -> Spec {
    Spec {
        ready: Ready::Notify,
        ..daemon()
    }
}

pub(crate) fn policy(policy: Policy) -> Spec {
    Spec {
        restart: Restart {
            policy,
            ..daemon().restart
        },
        ..daemon()
    }
}

pub(crate) fn keep(spec: Spec) -> Box<Spec> {
    Box::new(spec)
}

/// Three services: 1 requires 0, and 2 requires 1.
pub(crate) fn chain() -> [Spec; 3] {
    [daemon(), requiring(&[0]), requiring(&[1])]
}

pub(crate) fn live() -> Spec {
    Spec {
        liveness: Some(probe(3)),
        health: Some(probe(2)),
        ..daemon()
    }
}
