//! Families of the daemon itself, its two processes and the host.

use api::DaemonState;

use super::exposition::Text;
use crate::{
    host::{Host, ProcessUsage},
    metrics_snapshot::Scrape,
};

/// The daemon as a whole.
pub(super) fn own(text: &mut Text, scrape: &Scrape) {
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
    for state in DaemonState::ALL {
        let set = u8::from(state == it.state);
        text.sample("state", &[("mattervisor_state", state.as_str())], set);
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
}

/// The supervisor's own processes, each with its name.
pub(super) fn processes(text: &mut Text, used: &[(&str, Option<ProcessUsage>)]) {
    let help = "Resident memory of the supervisor's own processes.";
    text.family("process_resident_memory_bytes", "gauge", "bytes", help);
    let used = || used.iter().filter_map(|(name, it)| Some((*name, (*it)?)));
    for (name, it) in used() {
        let labels = [("process", name)];
        text.sample("process_resident_memory_bytes", &labels, it.memory_bytes);
    }
    let help = "CPU time of the supervisor's own processes.";
    text.family("process_cpu_seconds", "counter", "seconds", help);
    for (name, it) in used() {
        let labels = [("process", name)];
        text.sample("process_cpu_seconds_total", &labels, it.cpu.as_secs_f64());
    }
}

/// The machine.
pub(super) fn host(text: &mut Text, host: &Host) {
    let mut bytes = |name, help, value| {
        text.family(name, "gauge", "bytes", help);
        text.sample(name, &[], value);
    };
    let help = "Memory of the host.";
    bytes("host_memory_bytes", help, host.memory_bytes);
    let help = "Memory of the host that programs can have without swapping.";
    bytes("host_memory_available_bytes", help, host.available_bytes);
    let help = "Swap space of the host.";
    bytes("host_swap_bytes", help, host.swap_bytes);
    let help = "Swap space of the host that is free.";
    bytes("host_swap_free_bytes", help, host.swap_free_bytes);
    let help = "Processes of the host that run or wait for a CPU or a disk, over a minute.";
    text.family("host_load1", "gauge", "", help);
    text.sample("host_load1", &[], host.load1);
}
