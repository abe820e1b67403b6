//! What blocks or waits, done beside the control thread: on the blocking pool, or as a task.
//!
//! A job may hang (a name service, a file server) and nobody can end it, so each kind has so many
//! threads and no more: what hangs holds up its own kind alone.

use std::{path::Path, time::Duration};

use plan::Plan;
use tokio::sync::mpsc;

use super::{
    file_watcher,
    input::{Done, Input, Job, Swap},
    network_probe::{self, Asker},
    watchers, work,
};
use crate::{
    accounts,
    applied::{self, Kept, Mark, Swapped},
    configuration, credentials, history, holder,
    host_names::HostNames,
    listening, logs, prepare, shown,
    staging::{self, Broken, Staged, StagedFile},
    status_files, store,
    threads::Threads,
};

/// Threads for what changes or stores something: one of each is asked for at a time.
const CHANGES_MAX: usize = 16;
/// Threads for what a run waits for before it starts.
const STARTS_MAX: usize = 24;
/// Threads for looks at addresses. They read of every process, which can hang for one of them.
const ADDRESSES_MAX: usize = 4;
/// Longest wait for such a look: after that whoever waits goes on without.
const ADDRESS_LOOK_MAX: Duration = Duration::from_secs(10);
/// Threads for looks at disks, programs, certificates and files.
const LOOKS_MAX: usize = 4;
/// Threads for answers to clients.
const REPLIES_MAX: usize = 8;
/// Threads for tasks of the loop's own: one that watches files, and one that finds groups.
const TASKS_MAX: usize = 4;
/// Jobs that block at one time; more wait for a thread.
pub(super) const THREADS_MAX: usize = CHANGES_MAX
    + STARTS_MAX
    + ADDRESSES_MAX
    + LOOKS_MAX
    + REPLIES_MAX
    + TASKS_MAX
    + network_probe::OPENERS_MAX;

/// Where jobs are done.
pub(super) struct Jobs {
    options: plan::Options,
    results: mpsc::UnboundedSender<Input>,
    changes: Threads,
    starts: Threads,
    addresses: Threads,
    looks: Threads,
    replies: Threads,
    names: HostNames,
    asker: Asker,
}

impl Jobs {
    pub(super) fn new(options: plan::Options, results: mpsc::UnboundedSender<Input>) -> Self {
        let names = HostNames::new();
        Self {
            options,
            results,
            changes: Threads::new(CHANGES_MAX),
            starts: Threads::new(STARTS_MAX),
            addresses: Threads::new(ADDRESSES_MAX),
            looks: Threads::new(LOOKS_MAX),
            replies: Threads::new(REPLIES_MAX),
            asker: Asker::new(names.clone()),
            names,
        }
    }

    /// Starts a job; its result comes back as [`Input::Done`].
    pub(super) fn start(&self, job: Job) {
        let threads = match &job {
            Job::Prepare(_) | Job::Probe { .. } | Job::AwaitLine { .. } => {
                return self.start_task(job);
            }
            Job::Check { .. } | Job::ShowPlan { .. } | Job::Diff { .. } => &self.replies,
            Job::Holder { .. } | Job::Addresses { .. } | Job::LookAtListeners { .. } => {
                return self.start_address_look(job);
            }
            Job::Watch(_) | Job::LookAtFiles(_) => &self.looks,
            Job::Load(_)
            | Job::MissingAccounts { .. }
            | Job::Stage { .. }
            | Job::Swap(_)
            | Job::PutBack { .. }
            | Job::Discard { .. }
            | Job::Keep { .. }
            | Job::StoreHolds { .. }
            | Job::StoreSchedule { .. }
            | Job::StoreMaintenance { .. }
            | Job::WriteStatusFiles { .. }
            | Job::Record { .. }
            | Job::RecordExits { .. }
            | Job::StoreRunning { .. }
            | Job::StoreOrder { .. }
            | Job::ReadResult { .. } => &self.changes,
        };
        let (options, send) = (self.options.clone(), self.sender());
        threads.run(move || {
            if let Some(done) = block(job, &options) {
                send(done);
            }
        });
    }

    fn sender(&self) -> impl Fn(Done) + Clone + Send + 'static {
        let results = self.results.clone();
        // The loop is gone only when the process is about to be.
        move |done| drop(results.send(Input::Done(Box::new(done))))
    }

    /// Starts what may hang, and is answered in time all the same.
    fn start_address_look(&self, job: Job) {
        let (options, send, unseen) = (self.options.clone(), self.sender(), unseen(&job));
        let look = self
            .addresses
            .run_within(ADDRESS_LOOK_MAX, move || block(job, &options));
        tokio::spawn(async move {
            if let Some(done) = look.await.flatten().or(unseen) {
                send(done);
            }
        });
    }

    /// Starts what waits and does not block.
    fn start_task(&self, job: Job) {
        let send = self.sender();
        match job {
            Job::Probe {
                run,
                probe,
                ask,
                timeout_ms,
            } => {
                let asker = self.asker.clone();
                tokio::spawn(async move {
                    let asked = std::time::Instant::now();
                    let answer = asker.ask(&ask, timeout_ms).await;
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
            Job::Prepare(starts) => {
                prepare::begin(starts, &self.starts, &self.names, move |run, outcome| {
                    send(Done::Prepared { run, outcome });
                });
            }
            _ => unreachable!("it blocks"),
        }
    }
}

/// The answer of a look at addresses that has not come to its end.
fn unseen(job: &Job) -> Option<Done> {
    let why = format!(
        "the look at it took longer than {} s",
        ADDRESS_LOOK_MAX.as_secs()
    );
    Some(match job {
        Job::Holder { run, address } => Done::Holder {
            run: *run,
            holder: holder::Holder {
                reason: format!("{address} is in use; who has it is not known: {why}"),
                line: Vec::new(),
            },
        },
        Job::Addresses { .. } => Done::Addresses(Err(why)),
        Job::LookAtListeners { looks, .. } => {
            let seen = looks.iter().map(|it| listening::Seen {
                service: it.service.clone(),
                run: it.run,
                sight: listening::Sight::Hidden(why.clone()),
            });
            Done::Listeners(seen.collect())
        }
        _ => return None,
    })
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
        Job::Discard { staged, made } => {
            staging::discard(&staged, &made);
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
        Job::StoreMaintenance { maintenance } => {
            let written = store::write_maintenance(&state_dir, maintenance.as_ref());
            Done::MaintenanceStored(written.map_err(|error| error.to_string()))
        }
        Job::WriteStatusFiles { plan, situations } => {
            Done::StatusFilesWritten(status_files::write(&plan, &situations))
        }
        Job::Record { lines, now_ms } => {
            let written = history::append(&state_dir, now_ms, &lines);
            Done::Recorded(written.map_err(|error| (lines, error.to_string())))
        }
        Job::StoreRunning { running } => {
            let written = store::write_running(&state_dir, &running);
            Done::RunningStored(written.map_err(|error| error.to_string()))
        }
        Job::RecordExits { records, now_ms } => {
            let written = history::exits::append(&state_dir, now_ms, &records);
            Done::ExitsRecorded(written.map_err(|error| error.to_string()))
        }
        Job::StoreOrder { service, order } => work::store(&state_dir, &service, &order),
        Job::ReadResult { service, id } => work::read(&state_dir, &service, id),
        Job::Watch(watch) => Done::Watched(watchers::look(&watch)),
        Job::LookAtFiles(look) => Done::FilesSeen(file_watcher::look(&look)),
        Job::Holder { run, address } => Done::Holder {
            run,
            holder: holder::find(&address),
        },
        Job::Addresses {
            wanted,
            running,
            keeper,
        } => Done::Addresses(Ok(listening::taken(&wanted, &running, keeper))),
        Job::LookAtListeners { looks, keeper } => Done::Listeners(listening::look(&looks, keeper)),
        Job::Check { .. } | Job::ShowPlan { .. } | Job::Diff { .. } => {
            reply(job, options);
            return None;
        }
        Job::Prepare(_) | Job::Probe { .. } | Job::AwaitLine { .. } => return None,
    })
}

/// Answers a client. One that has gone away no longer wants its answer.
fn reply(job: Job, options: &plan::Options) {
    match job {
        Job::Check { plan, reply } => {
            let _ = reply.send(configuration::check(options, Some(&plan)));
        }
        Job::ShowPlan { plan, names, reply } => {
            let _ = reply.send(Ok(shown::plan(&plan, &names)));
        }
        Job::Diff { plan, names, reply } => {
            let _ = reply.send(shown::diff(options, &plan, &names));
        }
        _ => unreachable!("nobody waits for its answer"),
    }
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
        modes: &it.modes,
        mark: &it.mark,
        rejected: it.rejected,
        before,
    };
    applied::swap(state_dir, swap).map_err(|error| error.to_string())
}

fn put_back(staged: &[StagedFile]) {
    match staging::swap(staged, &[]) {
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
