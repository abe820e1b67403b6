//! What an earlier keeper left behind when it and its control process died: found by its records
//! and its cgroups, asked to stop, killed, before anything is started. Never two of one service.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use nix::{
    libc,
    poll::{PollTimeout, poll},
};

use crate::{
    cgroup::{self, Cgroups},
    clock::now_ms,
    init::Init,
    message::Role,
    proc::{self, Stat},
    record::{Record, Records},
    say::say,
    sweep::kill_exactly,
    sys::pidfd,
};

/// Pause between two looks.
const PAUSE_MS: u8 = 20;
/// After SIGKILL, for the last to go.
const KILLED_MS: u64 = 5000;
/// A record may ask for more time; an init that waits for us has its own limits.
const STOP_MAX_MS: u64 = 120_000;
/// The machine's init is asked for more time while we wait.
const EXTEND: &str = "EXTEND_TIMEOUT_USEC=30000000";

/// Stops all leftovers; returns what was found, for the log.
pub(crate) fn stop(
    files: &Records,
    cgroups: Option<&Cgroups>,
    boot_id: &str,
    init: &Init,
) -> Vec<String> {
    let mut records = files.read();
    records.retain(|record| record.boot_id == boot_id);
    let mut said = BTreeMap::new();
    let mut left = find(&records, cgroups);
    for (pid, (_, service)) in &left {
        said.insert(*pid, format!("{service}: pid {pid}"));
    }
    if !left.is_empty() {
        say!("stops processes of an earlier supervisor: {}", join(&said));
        init.tell(EXTEND);
        ask(&records);
    }
    let longest = records.iter().map(|record| record.stop_timeout_ms).max();
    let kill_at = now_ms() + longest.unwrap_or(0).min(STOP_MAX_MS);
    let mut asked_init = now_ms();
    while !left.is_empty() && now_ms() < kill_at + KILLED_MS {
        if now_ms() >= kill_at {
            for (pid, (stat, _)) in &left {
                kill_exactly(*pid, stat);
            }
        }
        if now_ms() > asked_init + 10_000 {
            asked_init = now_ms();
            init.tell(EXTEND);
        }
        // Whose main process has gone is not waited for any longer.
        left.iter()
            .filter(|(pid, (_, service))| !main_lives(&records, service) && said.contains_key(*pid))
            .for_each(|(pid, (stat, _))| kill_exactly(*pid, stat));
        let _ = poll(&mut [], PollTimeout::from(PAUSE_MS));
        left = find(&records, cgroups);
        for (pid, (_, service)) in &left {
            said.entry(*pid)
                .or_insert_with(|| format!("{service}: pid {pid}"));
        }
    }
    for (pid, (_, service)) in &left {
        say!("{service}: pid {pid} of an earlier supervisor will not go");
    }
    for dir in groups(&records, cgroups) {
        let _ = std::fs::remove_dir(dir);
    }
    files.clear();
    said.into_values().collect()
}

fn join(said: &BTreeMap<i32, String>) -> String {
    said.values().cloned().collect::<Vec<_>>().join(", ")
}

fn ask(records: &[Record]) {
    for record in records {
        if is_main(record)
            && let Ok(fd) = pidfd::open(record.pid)
            && is_main(record)
        {
            let signal = match record.role {
                Role::Main => record.stop_signal,
                Role::Helper => libc::SIGKILL,
            };
            let _ = pidfd::signal(&fd, signal);
            let _ = pidfd::signal(&fd, libc::SIGCONT);
        }
    }
}

/// The very process of the record lives.
fn is_main(record: &Record) -> bool {
    proc::stat(record.pid).is_some_and(|stat| stat.start == record.start && stat.state != b'Z')
}

fn main_lives(records: &[Record], service: &str) -> bool {
    records
        .iter()
        .any(|record| record.service == service && is_main(record))
}

/// Groups that may hold leftovers: where this keeper has its own, and where records say.
fn groups(records: &[Record], cgroups: Option<&Cgroups>) -> BTreeSet<PathBuf> {
    let existing = cgroups.map(Cgroups::existing).unwrap_or_default();
    let recorded = records.iter().filter_map(|record| record.cgroup.clone());
    existing.into_iter().chain(recorded).collect()
}

/// Living leftovers by pid, with the service they belong to.
fn find(records: &[Record], cgroups: Option<&Cgroups>) -> BTreeMap<i32, (Stat, String)> {
    let mut found = BTreeMap::new();
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let mut add = |pid: i32, service: &str| {
        let stat = proc::stat(pid).filter(|stat| stat.state != b'Z' && pid != own);
        if let Some(stat) = stat {
            found
                .entry(pid)
                .or_insert_with(|| (stat, service.to_owned()));
        }
    };
    for dir in groups(records, cgroups) {
        let name = dir
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        for pid in cgroup::members(&dir) {
            add(pid, &name);
        }
    }
    if !records.is_empty() {
        for pid in proc::all() {
            let owner = records.iter().find(|record| belongs(record, pid));
            if let Some(record) = owner {
                add(pid, &record.service);
            }
        }
    }
    found
}

/// Without its leader a session's number says nothing: it may be another's by now. The pipe does.
fn belongs(record: &Record, pid: i32) -> bool {
    if pid == record.pid {
        return is_main(record);
    }
    let Some(stat) = proc::stat(pid) else {
        return false;
    };
    let same_session = stat.session == record.pid || stat.group == record.pid;
    (same_session && is_main(record)) || proc::holds_pipe(pid, record.pipe)
}
