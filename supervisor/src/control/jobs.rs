//! What blocks or waits, done beside the control thread: on the blocking pool, or as a task.

use std::path::Path;

use plan::Plan;
use tokio::sync::mpsc;

use super::{
    file_watcher,
    input::{Broken, Done, Input, Job, Staged, StagedFile, Swap},
    network_probe, watchers,
};
use crate::{
    accounts,
    applied::{self, Kept, Mark, Swapped},
    configuration, credentials, history, holder, logs, prepare, shown, staging, store,
};

/// Starts a job; its result comes back as [`Input::Done`].
pub(super) fn start(job: Job, options: &plan::Options, results: &mpsc::UnboundedSender<Input>) {
    let results = results.clone();
    // The loop is gone only when the process is about to be.
    let send = move |done: Done| drop(results.send(Input::Done(Box::new(done))));
    let options = options.clone();
    match job {
        Job::Probe {
            run,
            probe,
            ask,
            timeout_ms,
        } => {
            tokio::spawn(async move {
                let asked = std::time::Instant::now();
                let answer = network_probe::ask(&ask, timeout_ms).await;
                let took = asked.elapsed();
                let (ok, detail) = (answer.is_ok(), answer.err().unwrap_or_default());
                send(Done::Probed {
                    run,
                    probe,
                    ok,
                    detail,
                    took,
                });
            });
        }
        Job::AwaitLine {
            run,
            service,
            dir,
            pattern,
            since_unix_ms,
            unwanted,
        } => {
            tokio::spawn(async move {
                let name = service.clone();
                let line = logs::await_line(service, dir, &pattern, since_unix_ms);
                tokio::select! {
                    seen = line => match seen {
                        Ok(()) => send(Done::LineSeen { run, pattern }),
                        Err(error) => tracing::error!(
                            service = name,
                            "cannot wait for the line that makes it ready: {error}"
                        ),
                    },
                    _ = unwanted => {}
                }
            });
        }
        Job::Prepare(starts) => prepare::begin(starts, move |run, outcome| {
            send(Done::Prepared { run, outcome });
        }),
        Job::Check { plan, reply } => {
            // A client that has gone away no longer wants its answer.
            blocking(move || drop(reply.send(configuration::check(&options, Some(&plan)))));
        }
        Job::ShowPlan { plan, names, reply } => {
            blocking(move || drop(reply.send(Ok(shown::plan(&plan, &names)))));
        }
        Job::Diff { plan, names, reply } => {
            blocking(move || drop(reply.send(shown::diff(&options, &plan, &names))));
        }
        job => blocking(move || {
            if let Some(done) = block(job, &options) {
                send(done);
            }
        }),
    }
}

fn blocking(work: impl FnOnce() + Send + 'static) {
    drop(tokio::task::spawn_blocking(work));
}

fn block(job: Job, options: &plan::Options) -> Option<Done> {
    let state_dir = plan::Paths::new(options).state_dir;
    Some(match job {
        Job::Load(source) => Done::Loaded(configuration::of(&source, options)),
        Job::MissingAccounts { plan } => {
            let mut missing = accounts::look(&plan);
            missing.commands.extend(credentials::missing(&plan));
            Done::MissingAccounts(missing)
        }
        Job::Stage { plan, rehearsal } => Done::Staged(stage(&plan, rehearsal)),
        Job::Swap(it) => Done::Swapped(swap(&state_dir, *it)),
        Job::PutBack { staged } => {
            put_back(&staged);
            Done::PutBack
        }
        Job::Discard { staged } => {
            staging::discard(&staged);
            Done::Discarded
        }
        Job::Keep { plan, mark } => {
            keep(&state_dir, &plan, mark);
            return None;
        }
        Job::StoreHolds { holds } => {
            Done::HoldsStored(holds.write(&state_dir).map_err(|error| error.to_string()))
        }
        Job::StoreSchedule { handled } => {
            let written = store::write_schedule(&state_dir, &handled);
            Done::ScheduleStored(written.map_err(|error| error.to_string()))
        }
        Job::Record { lines, now_ms } => {
            let written = history::append(&state_dir, now_ms, &lines);
            Done::Recorded(written.map_err(|error| (lines, error.to_string())))
        }
        Job::Watch(watch) => Done::Watched(watchers::look(&watch)),
        Job::LookAtFiles(look) => Done::FilesSeen(file_watcher::look(&look)),
        Job::Holder { run, address } => Done::Holder {
            run,
            holder: holder::find(&address),
        },
        Job::Prepare(_)
        | Job::Probe { .. }
        | Job::AwaitLine { .. }
        | Job::Check { .. }
        | Job::ShowPlan { .. }
        | Job::Diff { .. } => return None,
    })
}

/// A service whose account is another than it says would run as the wrong one.
fn stage(plan: &Plan, rehearsal: bool) -> Staged {
    let mut staged = if rehearsal {
        staging::rehearse(plan)
    } else {
        staging::stage(plan)
    };
    let clashes = accounts::look(plan).clashes.into_iter();
    staged
        .broken
        .extend(clashes.map(|(name, why)| (name, Broken { why, own: None })));
    staged
}

fn swap(state_dir: &Path, it: Swap) -> Result<Swapped, String> {
    let before = it.before.map(|(plan, mark, not_up)| Kept {
        mark,
        not_up,
        plan: Plan::clone(&plan),
    });
    let swap = applied::Swap {
        plan: &it.plan,
        files: &it.staged,
        mark: &it.mark,
        rejected: it.rejected,
        before,
    };
    applied::swap(state_dir, swap).map_err(|error| error.to_string())
}

fn put_back(staged: &[StagedFile]) {
    match staging::swap(staged) {
        Ok(undo) => {
            let spoiled = undo.forget();
            for (service, Broken { why, .. }) in &spoiled {
                tracing::error!(service, "cannot put a file of the running plan back: {why}");
            }
            for file in staged
                .iter()
                .filter(|it| !spoiled.contains_key(&it.service))
            {
                tracing::warn!(
                    service = file.service,
                    "put {} back: the configuration it was of had not been applied",
                    file.path.display()
                );
            }
        }
        Err(error) => tracing::error!("cannot put files of the running plan back: {error}"),
    }
}

fn keep(state_dir: &Path, plan: &Plan, mark: Mark) {
    let kept = Kept {
        mark,
        not_up: Vec::new(),
        plan: plan.clone(),
    };
    if let Err(error) = applied::keep(state_dir, kept, false) {
        tracing::error!("cannot keep the configuration that works, to go back to: {error}");
    }
}
