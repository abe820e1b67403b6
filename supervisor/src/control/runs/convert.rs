//! Translates a service of the plan into what the engine and the keeper take. Pure.

use std::collections::{BTreeMap, BTreeSet};

use engine::{
    ExitSet, Kind, Policy, ProbeSpec, Ready, Reload, ReloadHow, Restart, ServiceId, Spec,
    StartLimit, Watchdog, WatchdogAction,
};

/// The engine's spec of a service. `ids` has every enabled service; edges to others are left out.
pub(crate) fn spec(service: &plan::Service, ids: &BTreeMap<String, ServiceId>) -> Spec {
    let edges =
        |names: &BTreeSet<String>| names.iter().filter_map(|n| ids.get(n).copied()).collect();
    Spec {
        kind: if service.oneshot {
            Kind::Oneshot
        } else {
            Kind::Daemon
        },
        requires: edges(&service.requires),
        wants: edges(&service.wants),
        binds_to: edges(&service.binds_to),
        after: edges(&service.after),
        validated: !service.validate.is_empty()
            || !service.credentials.is_empty()
            || service.has_reload_token(),
        ready: match &service.ready.kind {
            plan::ReadyKind::Exec => Ready::Exec,
            plan::ReadyKind::Delay(ms) => Ready::Delay(*ms),
            plan::ReadyKind::Notify => Ready::Notify,
            plan::ReadyKind::Fd(_) | plan::ReadyKind::Log(_) => Ready::ReadySignal,
            plan::ReadyKind::Probe(it) => Ready::Probe(probe(it)),
        },
        ready_timeout_ms: service.ready.timeout_ms,
        liveness: service.liveness.as_ref().map(probe),
        health: service.health.as_ref().map(probe),
        watchdog: service.watchdog.map(watchdog),
        scheduled: service.oneshot
            && (service.job || service.schedule.as_ref().is_some_and(|it| !it.at_start)),
        job: service.job,
        restart: restart(&service.restart),
        stop: service.stop,
        reload: service.reload.as_ref().map(reload),
    }
}

fn probe(it: &plan::Probe) -> ProbeSpec {
    ProbeSpec {
        delay_ms: it.delay_ms,
        interval_ms: it.interval_ms.max(1),
        failures: it.failures.max(1),
        successes: it.successes.max(1),
    }
}

fn reload(it: &plan::Reload) -> Reload {
    Reload {
        how: match it.how {
            plan::ReloadHow::Signal(signal) => ReloadHow::Signal(signal),
            plan::ReloadHow::Command(_) => ReloadHow::Command,
        },
        timeout_ms: it.timeout_ms.max(1),
        confirm: it.confirm.as_ref().map(probe),
    }
}

const fn watchdog(it: plan::Watchdog) -> Watchdog {
    Watchdog {
        timeout_ms: it.timeout_ms,
        action: match it.action {
            plan::WatchdogAction::Restart => WatchdogAction::Restart,
            plan::WatchdogAction::Degrade => WatchdogAction::Degrade,
        },
        signal: it.signal,
    }
}

fn restart(it: &plan::Restart) -> Restart {
    Restart {
        policy: match it.policy {
            plan::Policy::Always => Policy::Always,
            plan::Policy::UnlessStopped => Policy::UnlessStopped,
            plan::Policy::OnFailure => Policy::OnFailure,
            plan::Policy::Never => Policy::Never,
        },
        success: ExitSet {
            codes: it.success_codes.clone(),
            signals: it.success_signals.clone(),
        },
        prevent: ExitSet {
            codes: it.prevent_codes.clone(),
            signals: it.prevent_signals.clone(),
        },
        delay_ms: it.delay_ms,
        factor_milli: it.factor_milli,
        max_delay_ms: it.max_delay_ms,
        jitter_milli: it.jitter_milli,
        reset_after_ms: it.reset_after_ms,
        limit: it
            .limit
            .map(|(starts, within_ms)| StartLimit { starts, within_ms }),
    }
}

/// As `ioprio_set(2)` takes it.
pub(crate) fn io_priority(it: plan::IoPriority) -> u16 {
    let class: u16 = match it.class {
        plan::IoClass::Realtime => 1,
        plan::IoClass::BestEffort => 2,
        plan::IoClass::Idle => 3,
    };
    class << 13 | u16::from(it.level)
}

/// Where log lines are forwarded to, as the keeper takes it.
pub(crate) fn forward(it: plan::Forward) -> keeper::message::Forward {
    use keeper::message::Forward;
    match (it.to, it.format) {
        (plan::ForwardTo::Syslog, _) => Forward::Syslog,
        (plan::ForwardTo::Journal, _) => Forward::Journal,
        (plan::ForwardTo::Stdout, plan::ForwardFormat::Text) => Forward::StdoutText,
        (plan::ForwardTo::Stdout, plan::ForwardFormat::Json) => Forward::StdoutJson,
    }
}
