//! `GET /metrics`: everything countable, as `OpenMetrics` 1.0 text.
//!
//! Written by hand: it is one text of lines, all of it made anew for each scrape, and nothing is kept
//! between two. What `/proc` has to be asked for is asked on a blocking thread.

use std::{
    collections::BTreeMap,
    fmt::{Display, Write as _},
    time::Duration,
};

use api::{JobProgress, ServiceStatus};
use axum::{
    body::Body,
    extract::State,
    http::{HeaderValue, header},
    response::Response,
};

use super::{
    extract::{NoParams, Params},
    handler::{Answer, Loop},
};
use crate::{
    ask::Ask,
    metrics_snapshot::{Scrape, ServiceSchedule, ServiceTally},
    usage::{self, Usage},
};

/// What the text is, for who scrapes it.
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Every state that a service can be in.
const STATES: [&str; 11] = [
    "disabled",
    "stopped",
    "waiting",
    "spawning",
    "starting",
    "running",
    "reloading",
    "stopping",
    "backoff",
    "failed",
    "completed",
];
/// Every state of the daemon itself.
const OWN_STATES: [&str; 3] = ["starting", "running", "stopping"];

/// Gathers and answers.
pub(super) async fn answer(State(shared): Loop, Params(NoParams {}): Params<NoParams>) -> Answer {
    let scrape = shared.ask(|reply| Ask::Scrape { reply }).await??;
    let usage = shared.usage(&scrape.status, false).await;
    let mut response = Response::new(Body::from(exposition(&scrape, &usage)));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    Ok(response)
}

fn exposition(scrape: &Scrape, usage: &BTreeMap<String, Usage>) -> String {
    let mut text = Text::default();
    own(&mut text, scrape);
    states(&mut text, &scrape.status.services);
    schedules(&mut text, &scrape.schedules);
    counts(&mut text, &scrape.tallies);
    probes(&mut text, &scrape.tallies);
    jobs(&mut text, scrape);
    logs(&mut text, scrape);
    used(&mut text, usage);
    text.0.push_str("# EOF\n");
    text.0
}

/// The daemon itself.
fn own(text: &mut Text, scrape: &Scrape) {
    let it = &scrape.status.supervisor;
    text.family("build", "info", "", "The supervisor's version.");
    text.sample("build_info", &[("version", &it.version)], 1);
    text.family(
        "uptime_seconds",
        "gauge",
        "seconds",
        "Time since the keeper started.",
    );
    text.sample("uptime_seconds", &[], it.uptime_seconds);
    text.family(
        "state",
        "stateset",
        "",
        "What the daemon as a whole is doing.",
    );
    for state in OWN_STATES {
        let set = u8::from(state == it.state);
        text.sample("state", &[("mattervisor_state", state)], set);
    }
    let help = "Deaths of the control process, after each of which another took over.";
    text.family("control_restarts", "counter", "", help);
    text.sample("control_restarts_total", &[], it.control_restarts);
    text.family(
        "warnings",
        "gauge",
        "",
        "Warnings that ctl status shows now.",
    );
    text.sample("warnings", &[], it.warnings.len());
    let help = "1 while users are told that there is maintenance.";
    text.family("maintenance", "gauge", "", help);
    text.sample("maintenance", &[], u8::from(it.maintenance.is_some()));
    text.family(
        "events",
        "counter",
        "",
        "Events since the control process started.",
    );
    text.sample("events_total", &[], scrape.events.published);
    let help = "Events that a follower was too slow for.";
    text.family("events_dropped", "counter", "", help);
    text.sample("events_dropped_total", &[], scrape.events.dropped);
    text.family(
        "event_followers",
        "gauge",
        "",
        "Clients that follow the events.",
    );
    text.sample("event_followers", &[], scrape.events.followers);
    let both = [("keeper", it.keeper_pid), ("control", it.pid)];
    let both = both.map(|(name, pid)| (name, usage::of_process(pid)));
    let help = "Resident memory of the supervisor's own processes.";
    text.family("process_resident_memory_bytes", "gauge", "bytes", help);
    for (name, used) in &both {
        if let Some((bytes, _)) = used {
            text.sample("process_resident_memory_bytes", &[("process", name)], bytes);
        }
    }
    let help = "CPU time of the supervisor's own processes.";
    text.family("process_cpu_seconds", "counter", "seconds", help);
    for (name, used) in &both {
        if let Some((_, seconds)) = used {
            text.sample("process_cpu_seconds_total", &[("process", name)], seconds);
        }
    }
}

/// What each service is.
fn states(text: &mut Text, services: &[ServiceStatus]) {
    text.family("service_state", "stateset", "", "The state of a service.");
    for service in services {
        for state in STATES {
            let labels = [
                ("service", service.name.as_str()),
                ("mattervisor_service_state", state),
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
    gauge("service_wanted", help, |it| Some(u8::from(it.goal == "up")));
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

/// How what runs by the clock has done.
fn schedules(text: &mut Text, schedules: &BTreeMap<String, ServiceSchedule>) {
    let mut times = |name, help, value: fn(&ServiceSchedule) -> Option<u64>| {
        text.family(name, "gauge", "seconds", help);
        for (service, schedule) in schedules {
            if let Some(at_ms) = value(schedule) {
                let seconds = Duration::from_millis(at_ms).as_secs_f64();
                text.sample(name, &[("service", service)], seconds);
            }
        }
    };
    let help = "When the last good run of what runs by the clock ended, in Unix time; missing before the first.";
    times("service_last_success_timestamp_seconds", help, |it| it.good);
    let help = "When what runs by the clock runs next, in Unix time.";
    times("service_next_run_timestamp_seconds", help, |it| it.next_run);
    let mut flags = |name, help, value: fn(&ServiceSchedule) -> bool| {
        text.family(name, "gauge", "", help);
        for (service, schedule) in schedules {
            text.sample(name, &[("service", service)], u8::from(value(schedule)));
        }
    };
    let help = "1 if a good run of what runs by the clock should have ended by now.";
    flags("service_overdue", help, |it| it.overdue);
    let help = "1 if the last run of what runs by the clock failed.";
    flags("service_last_run_failed", help, |it| it.failed);
}

/// What has happened to each service.
fn counts(text: &mut Text, tallies: &BTreeMap<String, ServiceTally>) {
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

fn probes(text: &mut Text, tallies: &BTreeMap<String, ServiceTally>) {
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

/// The work of jobs.
fn jobs(text: &mut Text, scrape: &Scrape) {
    let tallies = || {
        let each = scrape.tallies.iter();
        each.filter_map(|(name, it)| Some((name.as_str(), it.work.as_ref()?)))
    };
    let help = "Requests of a job that have come to their end: done, or failed.";
    text.family("job_requests", "counter", "", help);
    for (name, work) in tallies() {
        for (outcome, count) in [("done", work.done), ("failed", work.failed)] {
            let labels = [("service", name), ("outcome", outcome)];
            text.sample("job_requests_total", &labels, count);
        }
    }
    let help = "Time from the request of a job's work to its end.";
    text.family("job_duration_seconds", "summary", "seconds", help);
    for (name, work) in tallies() {
        let labels = [("service", name)];
        text.sample("job_duration_seconds_sum", &labels, work.sum.as_secs_f64());
        let count = work.done + work.failed;
        text.sample("job_duration_seconds_count", &labels, count);
    }
    let help = "The same, of the last request.";
    text.family("job_last_duration_seconds", "gauge", "seconds", help);
    for (name, work) in tallies() {
        let seconds = work.last.as_secs_f64();
        text.sample("job_last_duration_seconds", &[("service", name)], seconds);
    }
    let all = scrape.status.services.iter();
    let all = all.filter_map(|it| Some((it.name.as_str(), it.job.as_ref()?)));
    let all: Vec<_> = all.collect();
    let help = "1 while a job is on its way.";
    text.family("job_active", "gauge", "", help);
    for (name, job) in &all {
        text.sample("job_active", &[("service", name)], u8::from(job.active));
    }
    let help =
        "How much of its present step a job has done, from 0 to 1; missing where it does not say.";
    text.family("job_progress_ratio", "gauge", "ratio", help);
    for (name, job) in &all {
        if let Some(ratio) = job.progress.as_ref().and_then(ratio) {
            text.sample("job_progress_ratio", &[("service", name)], ratio);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share is told, not a number")]
fn ratio(progress: &JobProgress) -> Option<f64> {
    let (done, total) = (progress.done?, progress.total.filter(|it| *it > 0)?);
    Some((done as f64 / total as f64).min(1.0))
}

fn logs(text: &mut Text, scrape: &Scrape) {
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

/// What each service uses, its children included.
fn used(text: &mut Text, usage: &BTreeMap<String, Usage>) {
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

/// The text that is being written.
#[derive(Default)]
struct Text(String);

impl Text {
    /// Begins a family; its name ends with its unit, if it has one.
    fn family(&mut self, name: &str, kind: &str, unit: &str, help: &str) {
        let _ = writeln!(self.0, "# TYPE mattervisor_{name} {kind}");
        if !unit.is_empty() {
            let _ = writeln!(self.0, "# UNIT mattervisor_{name} {unit}");
        }
        let _ = writeln!(self.0, "# HELP mattervisor_{name} {help}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let _ = write!(self.0, "mattervisor_{name}");
        for (at, (label, value)) in labels.iter().enumerate() {
            let _ = write!(self.0, "{}{label}=\"", if at == 0 { '{' } else { ',' });
            for character in value.chars() {
                match character {
                    '\\' => self.0.push_str("\\\\"),
                    '"' => self.0.push_str("\\\""),
                    '\n' => self.0.push_str("\\n"),
                    other => self.0.push(other),
                }
            }
            self.0.push('"');
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{end} {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        let mut text = Text::default();
        text.sample(
            "x_total",
            &[("a", "back\\slash \"quoted\"\nline"), ("b", "ä")],
            1.5,
        );
        assert_eq!(
            text.0,
            "mattervisor_x_total{a=\"back\\\\slash \\\"quoted\\\"\\nline\",b=\"ä\"} 1.5\n"
        );
    }
}
