//! Families of each service: what it is, what has happened to it, what it uses and logs.

use std::collections::BTreeMap;

use api::{Goal, ServiceState, ServiceStatus};

use super::exposition::Text;
use crate::{
    metrics_snapshot::{Scrape, ServiceTally},
    usage::Usage,
};

/// States of services.
pub(super) fn states(text: &mut Text, services: &[ServiceStatus]) {
    text.family("service_state", "stateset", "", "The state of a service.");
    for service in services {
        for state in ServiceState::ALL {
            let labels = [
                ("service", service.name.as_str()),
                ("mattervisor_service_state", state.as_str()),
            ];
            text.sample("service_state", &labels, u8::from(state == service.state));
        }
    }
    let mut gauge = |name, help, value: fn(&ServiceStatus) -> Option<u8>| {
        text.family(name, "gauge", "", help);
        for service in services {
            if let Some(value) = value(service) {
                text.sample(name, &[("service", &service.name)], value);
            }
        }
    };
    let help = "1 if the service belongs to this host.";
    gauge("service_enabled", help, |it| Some(u8::from(it.enabled)));
    let help = "1 if the service is wanted to run.";
    gauge("service_wanted", help, |it| {
        Some(u8::from(it.goal == Goal::Up))
    });
    let help = "1 if somebody has stopped the service explicitly.";
    gauge("service_held", help, |it| Some(u8::from(it.held.is_some())));
    let help = "1 if the service is up and ready, or has completed.";
    gauge("service_ready", help, |it| Some(u8::from(it.ready)));
    let help = "What the health probe says; missing before its first word and without one.";
    gauge("service_healthy", help, |it| it.healthy.map(u8::from));
    let help = "Time for which the service has been in its state.";
    text.family("service_state_age_seconds", "gauge", "seconds", help);
    for service in services {
        if let Some(seconds) = service.uptime_seconds {
            let labels = [("service", service.name.as_str())];
            text.sample("service_state_age_seconds", &labels, seconds);
        }
    }
}

/// Counts of restarts, failed starts and exits.
pub(super) fn counts(text: &mut Text, tallies: &BTreeMap<String, ServiceTally>) {
    let help = "Automatic restarts.";
    text.family("service_restarts", "counter", "", help);
    for (name, tally) in tallies {
        text.sample(
            "service_restarts_total",
            &[("service", name)],
            tally.restarts,
        );
    }
    let help = "Starts that came to no process.";
    text.family("service_start_failures", "counter", "", help);
    for (name, tally) in tallies {
        let labels = [("service", name.as_str())];
        text.sample(
            "service_start_failures_total",
            &labels,
            tally.start_failures,
        );
    }
    let help = "Ends of the main process: exited with a code, or killed by a signal.";
    text.family("service_exits", "counter", "", help);
    for (name, tally) in tallies {
        for ((how, status), count) in &tally.exits {
            let labels = [("service", name.as_str()), ("how", how), ("status", status)];
            text.sample("service_exits_total", &labels, count);
        }
    }
}

/// How long probes took, and which said no.
pub(super) fn probes(text: &mut Text, tallies: &BTreeMap<String, ServiceTally>) {
    let probes = || {
        let services = tallies.iter();
        services.flat_map(|(name, tally)| {
            let each = tally.probes.iter();
            each.map(move |(probe, it)| ([("service", name.as_str()), ("probe", *probe)], it))
        })
    };
    let help = "Time that a probe took to say yes or no.";
    text.family("probe_duration_seconds", "summary", "seconds", help);
    for (labels, it) in probes() {
        text.sample("probe_duration_seconds_sum", &labels, it.sum.as_secs_f64());
        text.sample("probe_duration_seconds_count", &labels, it.count);
    }
    let help = "Time that a probe took the last time.";
    text.family("probe_last_duration_seconds", "gauge", "seconds", help);
    for (labels, it) in probes() {
        text.sample(
            "probe_last_duration_seconds",
            &labels,
            it.last.as_secs_f64(),
        );
    }
    text.family("probe_failures", "counter", "", "Probes that said no.");
    for (labels, it) in probes() {
        text.sample("probe_failures_total", &labels, it.failures);
    }
}

/// Counters of the logs of services: bytes written, lines lost.
pub(super) fn logs(text: &mut Text, scrape: &Scrape) {
    let help = "Written to the log files of a service, stamps included.";
    text.family("log_written_bytes", "counter", "bytes", help);
    for log in &scrape.logs {
        text.sample(
            "log_written_bytes_total",
            &[("service", &log.service)],
            log.bytes,
        );
    }
    let help = "Lines of a service that could not be written.";
    text.family("log_dropped_lines", "counter", "", help);
    for log in &scrape.logs {
        let labels = [("service", log.service.as_str())];
        text.sample("log_dropped_lines_total", &labels, log.dropped_lines);
    }
}

/// CPU, memory and processes of each service, its children included.
pub(super) fn used(text: &mut Text, usage: &BTreeMap<String, Usage>) {
    let help = "CPU time of a service with its children, as far as scrapes have seen it.";
    text.family("service_cpu_seconds", "counter", "seconds", help);
    for (name, usage) in usage {
        text.sample(
            "service_cpu_seconds_total",
            &[("service", name)],
            usage.cpu_seconds,
        );
    }
    let help = "Memory of a service with its children; what they share counts once.";
    text.family("service_memory_bytes", "gauge", "bytes", help);
    for (name, usage) in usage {
        text.sample(
            "service_memory_bytes",
            &[("service", name)],
            usage.memory_bytes,
        );
    }
    text.family("service_processes", "gauge", "", "Processes of a service.");
    for (name, usage) in usage {
        text.sample("service_processes", &[("service", name)], usage.processes);
    }
    let help = "When the main process of a service started, in Unix time.";
    text.family("service_start_time_seconds", "gauge", "seconds", help);
    for (name, usage) in usage {
        if let Some(started) = usage.started {
            text.sample("service_start_time_seconds", &[("service", name)], started);
        }
    }
}
