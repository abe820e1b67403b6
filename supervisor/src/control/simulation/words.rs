//! Short descriptions of events, for the last lines before a failure.

use keeper::message::Request;

use crate::control::input::{Done, Job};

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

pub(super) fn of_job(job: &Job) -> String {
    match job {
        Job::Load(source) => cut(format!("load {source:?}")),
        Job::Check { .. } => "check".to_owned(),
        Job::ShowPlan { .. } => "show plan".to_owned(),
        Job::Diff { .. } => "diff".to_owned(),
        Job::MissingAccounts { .. } => "missing accounts".to_owned(),
        Job::Stage { plan, rehearsal } => {
            format!("stage {:?}, rehearsal: {rehearsal}", plan.services.keys())
        }
        Job::Swap(swap) => cut(format!("swap {:?}", swap.staged)),
        Job::PutBack { staged } => cut(format!("put back {staged:?}")),
        Job::Keep { .. } => "keep".to_owned(),
        Job::Discard { .. } => "discard".to_owned(),
        Job::StoreHolds { holds } => format!("store holds {:?}", holds.services.keys()),
        Job::StoreSchedule { .. } => "store schedule".to_owned(),
        Job::StoreOrder { service, order } => format!("store {} for {service}", order.id),
        Job::ReadResult { service, id } => format!("read result of {id} by {service}"),
        Job::Record { lines, .. } => format!("record {}", lines.len()),
        Job::StoreRunning { .. } => "store what runs".to_owned(),
        Job::AskWhatUsersAreTold { question, .. } => format!("question {question} to a server"),
        Job::StoreMaintenance { .. } => "store maintenance".to_owned(),
        Job::WriteStatusFiles { situations, .. } => format!("write status files {situations:?}"),
        Job::RecordExits { records, .. } => format!("record {} ends", records.len()),
        Job::Prepare(starts) => {
            let runs: Vec<_> = starts.iter().map(|it| (it.run, &it.service.name)).collect();
            format!("prepare {runs:?}")
        }
        Job::AwaitLine { run, pattern, .. } => format!("await {pattern} of {run:?}"),
        Job::CheckHost(_) => "watch".to_owned(),
        Job::LookAtFiles(_) => "look at files".to_owned(),
        Job::Addresses { wanted, .. } => format!("addresses {wanted:?}"),
        Job::LookAtListeners { looks, .. } => format!("look at listeners {looks:?}"),
        Job::Holder { run, .. } => format!("holder for {run:?}"),
        Job::Probe { run, probe, .. } => format!("probe {probe:?} of {run:?}"),
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
