//! Work that blocks or waits, off the control thread: on the blocking pool, or as a future of the
//! loop.
//!
//! A task may hang (a name service, a file server) and nobody can end a hanging task, so each kind
//! has a fixed number of threads: a hanging task delays only its own kind.

use std::{io, path::Path, time::Duration};

use plan::Plan;
use tokio::sync::mpsc;

use crate::{
    accounts,
    control::{
        input::{Done, Input, Swap, Task},
        monitors::{host_checks, inotify},
        runs::network_probe::{self, Asker},
        work,
    },
    credentials, describe, history,
    host_names::HostNames,
    listening, load_plan, logs,
    plan_store::{self, AppliedBy, Kept, Swapped},
    port_owner, prepare,
    staging::{self, Broken, Staged, StagedFile},
    status_files, store,
    threads::Threads,
};

/// Threads for tasks that change or store something: one task of each kind at a time.
const CHANGES_MAX: usize = 16;
/// Threads for preparations of runs before they start.
const STARTS_MAX: usize = 24;
/// Threads for address checks. These read about every process, and such a read can hang.
const ADDRESSES_MAX: usize = 4;
/// Longest wait for an address check: after that, the work that waits goes on without its result.
const ADDRESS_LOOK_MAX: Duration = Duration::from_secs(10);
/// Threads for results of jobs: one read at a time, unless the disk hangs.
const RESULTS_MAX: usize = 2;
/// Longest wait for a result: after that, the client hears where the result is.
const RESULT_MAX: Duration = Duration::from_secs(10);
/// Threads for checks of disks, programs, certificates and files.
const LOOKS_MAX: usize = 4;
/// Threads for answers to clients.
const REPLIES_MAX: usize = 8;
/// Threads for futures of the loop: the file watch, and the lookup of groups.
const TASKS_MAX: usize = 4;
/// Most blocking tasks at one time; further tasks wait for a thread.
pub(in crate::control) const THREADS_MAX: usize = CHANGES_MAX
    + STARTS_MAX
    + ADDRESSES_MAX
    + RESULTS_MAX
    + LOOKS_MAX
    + REPLIES_MAX
    + TASKS_MAX
    + network_probe::OPENERS_MAX;

/// The threads and futures that do tasks.
pub(in crate::control) struct Tasks {
    options: plan::Options,
    results: mpsc::UnboundedSender<Input>,
    changes: Threads,
    starts: Threads,
    addresses: Threads,
    readers: Threads,
    looks: Threads,
    replies: Threads,
    names: HostNames,
    asker: Asker,
}

impl Tasks {
    pub(in crate::control) fn new(
        options: plan::Options,
        results: mpsc::UnboundedSender<Input>,
    ) -> Self {
        let names = HostNames::new();
        Self {
            options,
            results,
            changes: Threads::new(CHANGES_MAX),
            starts: Threads::new(STARTS_MAX),
            addresses: Threads::new(ADDRESSES_MAX),
            readers: Threads::new(RESULTS_MAX),
            looks: Threads::new(LOOKS_MAX),
            replies: Threads::new(REPLIES_MAX),
            asker: Asker::new(names.clone()),
            names,
        }
    }

    /// Starts a task; its result comes back as [`Input::Done`].
    pub(in crate::control) fn start(&self, task: Task) {
        let threads = match &task {
            Task::Prepare(_)
            | Task::Probe { .. }
            | Task::AwaitLine { .. }
            | Task::AskWhatUsersAreTold { .. } => {
                return self.start_on_loop(task);
            }
            Task::Check { .. } | Task::ShowPlan { .. } | Task::Diff { .. } => &self.replies,
            Task::Holder { .. } | Task::Addresses { .. } | Task::LookAtListeners { .. } => {
                return self.start_within(&self.addresses, ADDRESS_LOOK_MAX, task);
            }
            Task::ReadResult { .. } => {
                return self.start_within(&self.readers, RESULT_MAX, task);
            }
            Task::CheckHost(_) | Task::LookAtFiles(_) => &self.looks,
            Task::Load(_)
            | Task::MissingAccounts { .. }
            | Task::Stage { .. }
            | Task::Swap(_)
            | Task::PutBack { .. }
            | Task::Discard { .. }
            | Task::Keep { .. }
            | Task::StoreHolds { .. }
            | Task::StoreSchedule { .. }
            | Task::StoreMaintenance { .. }
            | Task::WriteStatusFiles { .. }
            | Task::Record { .. }
            | Task::RecordExits { .. }
            | Task::StoreRunning { .. }
            | Task::StoreOrder { .. } => &self.changes,
        };
        let (options, send) = (self.options.clone(), self.sender());
        threads.run(move || {
            if let Some(done) = block(task, &options) {
                send(done);
            }
        });
    }

    fn sender(&self) -> impl Fn(Done) + Clone + Send + 'static {
        let results = self.results.clone();
        // The loop is gone only when the process is about to be.
        move |done| drop(results.send(Input::Done(Box::new(done))))
    }

    /// Starts a task that may hang, with an answer within the limit in any case.
    fn start_within(&self, threads: &Threads, limit: Duration, task: Task) {
        let (options, send) = (self.options.clone(), self.sender());
        let unseen = unseen(&task, &options, limit);
        let look = threads.run_within(limit, move || block(task, &options));
        tokio::spawn(async move {
            if let Some(done) = look.await.flatten().or(unseen) {
                send(done);
            }
        });
    }

    /// Starts a task that waits without blocking.
    fn start_on_loop(&self, task: Task) {
        let send = self.sender();
        match task {
            Task::Probe {
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
                    let (ok, detail) = (
                        answer.is_ok(),
                        answer.err().map(String::from).unwrap_or_default(),
                    );
                    send(Done::Probed {
                        run,
                        probe,
                        ok,
                        detail,
                        took,
                    });
                });
            }
            Task::AwaitLine {
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
            Task::AskWhatUsersAreTold { question, probe } => {
                let asker = self.asker.clone();
                tokio::spawn(async move {
                    let answer = asker.ask(&probe.ask, probe.timeout_ms).await;
                    send(Done::UsersAreTold { question, answer });
                });
            }
            Task::Prepare(starts) => {
                prepare::begin(starts, &self.starts, &self.names, move |run, outcome| {
                    send(Done::Prepared { run, outcome });
                });
            }
            _ => unreachable!("it blocks"),
        }
    }
}

/// The result of a check that did not finish in time.
fn unseen(task: &Task, options: &plan::Options, limit: Duration) -> Option<Done> {
    let seconds = limit.as_secs();
    let why = format!("the look at it took longer than {seconds} s");
    Some(match task {
        Task::ReadResult { service, id } => {
            let state_dir = plan::Paths::new(options).state_dir;
            let why = format!("the disk has not answered for {seconds} s");
            work::unread(&state_dir, service, id.clone(), &why)
        }
        Task::Holder { run, address } => Done::Holder {
            run: *run,
            holder: port_owner::Holder {
                reason: format!("{address} is in use; who has it is not known: {why}"),
                line: Vec::new(),
            },
        },
        Task::Addresses { .. } => Done::Addresses(Err(why)),
        Task::LookAtListeners { looks, .. } => {
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

fn block(task: Task, options: &plan::Options) -> Option<Done> {
    let state_dir = plan::Paths::new(options).state_dir;
    Some(match task {
        Task::Load(source) => Done::Loaded(load_plan::of(&source, options)),
        Task::MissingAccounts { plan } => {
            let mut missing = accounts::look(&plan);
            missing.commands.extend(credentials::missing(&plan));
            Done::MissingAccounts(missing)
        }
        Task::Stage { plan, rehearsal } => Done::Staged(stage(&plan, rehearsal)),
        Task::Swap(it) => Done::Swapped(swap(&state_dir, *it)),
        Task::PutBack { staged } => {
            put_back(&staged);
            Done::PutBack
        }
        Task::Discard { staged, made } => {
            staging::discard(&staged, &made);
            Done::Discarded
        }
        Task::Keep { plan, mark } => {
            keep(&state_dir, &plan, mark);
            return None;
        }
        Task::StoreHolds { holds } => {
            Done::HoldsStored(holds.write(&state_dir).map_err(|error| error.to_string()))
        }
        Task::StoreSchedule { handled } => {
            Done::ScheduleStored(in_words(store::write_schedule(&state_dir, &handled)))
        }
        Task::StoreMaintenance { maintenance } => {
            let written = store::write_maintenance(&state_dir, maintenance.as_ref());
            Done::MaintenanceStored(in_words(written))
        }
        Task::WriteStatusFiles { plan, situations } => {
            Done::StatusFilesWritten(status_files::write(&plan, &situations))
        }
        Task::Record { lines, now_ms } => {
            let written = history::append(&state_dir, now_ms, &lines);
            Done::Recorded(written.map_err(|error| (lines, error.to_string())))
        }
        Task::StoreRunning { running } => {
            let written = store::write_running(&state_dir, &running);
            Done::RunningStored(written.map_err(|error| error.to_string()))
        }
        Task::RecordExits { records, now_ms } => {
            let written = history::exits::append(&state_dir, now_ms, &records);
            Done::ExitsRecorded(written.map_err(|error| error.to_string()))
        }
        Task::StoreOrder { service, order } => work::store(&state_dir, &service, &order),
        Task::ReadResult { service, id } => work::read(&state_dir, &service, id),
        Task::CheckHost(watch) => Done::HostChecked(host_checks::look(&watch)),
        Task::LookAtFiles(look) => Done::FilesSeen(inotify::look(&look)),
        Task::Holder { run, address } => Done::Holder {
            run,
            holder: port_owner::find(&address),
        },
        Task::Addresses {
            wanted,
            running,
            keeper,
        } => Done::Addresses(Ok(listening::taken(&wanted, &running, keeper))),
        Task::LookAtListeners { looks, keeper } => Done::Listeners(listening::look(&looks, keeper)),
        Task::Check { .. } | Task::ShowPlan { .. } | Task::Diff { .. } => {
            reply(task, options);
            return None;
        }
        Task::Prepare(_)
        | Task::Probe { .. }
        | Task::AwaitLine { .. }
        | Task::AskWhatUsersAreTold { .. } => return None,
    })
}

fn in_words(written: io::Result<()>) -> Result<(), String> {
    written.map_err(|error| error.to_string())
}

/// Answers a client. A client that has gone away needs no answer.
fn reply(task: Task, options: &plan::Options) {
    match task {
        Task::Check { plan, reply } => {
            let _ = reply.send(load_plan::check(options, Some(&plan)));
        }
        Task::ShowPlan { plan, names, reply } => {
            let _ = reply.send(Ok(describe::plan(&plan, &names)));
        }
        Task::Diff { plan, names, reply } => {
            let _ = reply.send(describe::diff(options, &plan, &names));
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
    let swap = plan_store::Swap {
        plan: &it.plan,
        files: &it.staged,
        modes: &it.modes,
        mark: &it.mark,
        rejected: it.rejected,
        before,
    };
    plan_store::swap(state_dir, swap).map_err(|error| error.to_string())
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

fn keep(state_dir: &Path, plan: &Plan, mark: AppliedBy) {
    let kept = Kept {
        mark,
        not_up: Vec::new(),
        plan: plan.clone(),
    };
    if let Err(error) = plan_store::keep(state_dir, kept, false) {
        tracing::error!("cannot keep the configuration that works, to go back to: {error}");
    }
}
