//! Short descriptions of events, for the last lines before a failure.

use keeper::message::Request;

use crate::control::input::{Done, Task};

/// Longer descriptions are cut.
const CHARACTERS_MAX: usize = 200;

fn cut(text: String) -> String {
    if text.len() <= CHARACTERS_MAX {
        return text;
    }
    text.chars()
        .take(CHARACTERS_MAX)
        .chain("…".chars())
        .collect()
}

pub(super) fn of_request(request: &Request) -> String {
    match request {
        Request::Spawn(spawn) => format!(
            "spawn {} {} {:?} {:?}",
            spawn.run, spawn.service, spawn.role, spawn.argv
        ),
        Request::Remember { service, record } => {
            // The state comes last in the important part of a record.
            let state = record.find("\"state\"").map_or("", |at| &record[at..]);
            let text = if state.is_empty() { record } else { state };
            cut(format!("remember {service} {text}"))
        }
        Request::Open(open) => format!("open {}", open.service),
        other => cut(format!("{other:?}")),
    }
}

pub(super) fn of_job(job: &Task) -> String {
    match job {
        Task::Load(source) => cut(format!("load {source:?}")),
        Task::Check { .. } => "check".to_owned(),
        Task::ShowPlan { .. } => "show plan".to_owned(),
        Task::Diff { .. } => "diff".to_owned(),
        Task::MissingAccounts { .. } => "missing accounts".to_owned(),
        Task::Stage { plan, rehearsal } => {
            format!("stage {:?}, rehearsal: {rehearsal}", plan.services.keys())
        }
        Task::Swap(swap) => cut(format!("swap {:?}", swap.staged)),
        Task::PutBack { staged } => cut(format!("put back {staged:?}")),
        Task::Keep { .. } => "keep".to_owned(),
        Task::Discard { .. } => "discard".to_owned(),
        Task::StoreHolds { holds } => format!("store holds {:?}", holds.services.keys()),
        Task::StoreSchedule { .. } => "store schedule".to_owned(),
        Task::StoreOrder { service, order } => format!("store {} for {service}", order.id),
        Task::ReadResult { service, id } => format!("read result of {id} by {service}"),
        Task::Record { lines, .. } => format!("record {}", lines.len()),
        Task::StoreRunning { .. } => "store what runs".to_owned(),
        Task::AskWhatUsersAreTold { question, .. } => format!("question {question} to a server"),
        Task::StoreMaintenance { .. } => "store maintenance".to_owned(),
        Task::WriteStatusFiles { situations, .. } => format!("write status files {situations:?}"),
        Task::RecordExits { records, .. } => format!("record {} ends", records.len()),
        Task::Prepare(starts) => {
            let runs: Vec<_> = starts.iter().map(|it| (it.run, &it.service.name)).collect();
            format!("prepare {runs:?}")
        }
        Task::AwaitLine { run, pattern, .. } => format!("await {pattern} of {run:?}"),
        Task::CheckHost(_) => "watch".to_owned(),
        Task::LookAtFiles(_) => "look at files".to_owned(),
        Task::Addresses { wanted, .. } => format!("addresses {wanted:?}"),
        Task::LookAtListeners { looks, .. } => format!("look at listeners {looks:?}"),
        Task::Holder { run, .. } => format!("holder for {run:?}"),
        Task::Probe { run, probe, .. } => format!("probe {probe:?} of {run:?}"),
    }
}

pub(super) fn brief(done: &Done) -> String {
    match done {
        Done::Loaded(result) => format!("loaded: {}", result.is_ok()),
        Done::Staged(staged) => {
            let bad = staged.resolved.iter().filter(|(_, it)| it.is_err());
            let bad: Vec<_> = bad.map(|(name, _)| name).collect();
            format!("staged; unresolved {bad:?}, broken {:?}", staged.broken)
        }
        other => cut(format!("{other:?}")),
    }
}
