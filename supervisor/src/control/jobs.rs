//! What blocks or waits, done beside the control thread: on the blocking pool, or as a task.
//!
//! A job may hang (a name service, a file server) and nobody can end it, so each kind has so many
//! threads and no more: what hangs holds up its own kind alone.

use std::{path::Path, sync::Arc};

use plan::{Plan, Service};
use tokio::sync::{Semaphore, mpsc};

use super::{
    file_watcher,
    host_names::HostNames,
    input::{Broken, Done, Input, Job, Resolved, Staged, StagedFile, Swap, Unresolved},
    network_probe, watchers,
};
use crate::{
    accounts,
    applied::{self, Kept, Mark, Swapped},
    configuration, credentials, history, holder, logs, shown, staging, store,
};

/// Where programs without a slash are looked up.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Threads for what changes or stores something: one of each is asked for at a time.
const CHANGES_MAX: usize = 16;
/// Threads for what a run waits for before it starts.
const STARTS_MAX: usize = 24;
/// Threads for looks at disks, programs, certificates and files.
const LOOKS_MAX: usize = 4;
/// Threads for answers to clients.
const REPLIES_MAX: usize = 8;
/// Threads for tasks of the loop's own: one that watches files, and one that finds groups.
const TASKS_MAX: usize = 4;
/// Jobs that block at one time; more wait for a thread.
pub(super) const THREADS_MAX: usize =
    CHANGES_MAX + STARTS_MAX + LOOKS_MAX + REPLIES_MAX + TASKS_MAX;

/// Where jobs are done.
pub(super) struct Jobs {
    options: plan::Options,
    results: mpsc::UnboundedSender<Input>,
    changes: Arc<Semaphore>,
    starts: Arc<Semaphore>,
    looks: Arc<Semaphore>,
    replies: Arc<Semaphore>,
    names: HostNames,
}

impl Jobs {
    pub(super) fn new(options: plan::Options, results: mpsc::UnboundedSender<Input>) -> Self {
        let threads = |count| Arc::new(Semaphore::new(count));
        Self {
            options,
            results,
            changes: threads(CHANGES_MAX),
            starts: threads(STARTS_MAX),
            looks: threads(LOOKS_MAX),
            replies: threads(REPLIES_MAX),
            names: HostNames::new(),
        }
    }

    /// Starts a job; its result comes back as [`Input::Done`].
    pub(super) fn start(&self, job: Job) {
        let threads = match &job {
            Job::Probe { .. } | Job::AwaitLine { .. } => return self.start_task(job),
            Job::Check { .. } | Job::ShowPlan { .. } | Job::Diff { .. } => &self.replies,
            Job::Resolve { .. } | Job::Lay { .. } | Job::Holder { .. } => &self.starts,
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
            | Job::Record { .. } => &self.changes,
        };
        let (options, send) = (self.options.clone(), self.sender());
        blocking(threads, move || {
            if let Some(done) = block(job, &options) {
                send(done);
            }
        });
    }

    fn sender(&self) -> impl Fn(Done) + Send + 'static {
        let results = self.results.clone();
        // The loop is gone only when the process is about to be.
        move |done| drop(results.send(Input::Done(Box::new(done))))
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
                let names = self.names.clone();
                tokio::spawn(async move {
                    let asked = std::time::Instant::now();
                    let answer = network_probe::ask(&ask, timeout_ms, &names).await;
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
            _ => unreachable!("it blocks"),
        }
    }
}

/// Does it on a thread, as soon as there is one for its kind.
fn blocking(threads: &Arc<Semaphore>, work: impl FnOnce() + Send + 'static) {
    let threads = Arc::clone(threads);
    tokio::spawn(async move {
        // Nobody closes it.
        if let Ok(one) = threads.acquire_owned().await {
            drop(tokio::task::spawn_blocking(move || {
                work();
                drop(one);
            }));
        }
    });
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
        Job::Resolve { run, service } => Done::Resolved {
            run,
            resolved: resolve(&service),
        },
        Job::Watch(watch) => Done::Watched(watchers::look(&watch)),
        Job::LookAtFiles(look) => Done::FilesSeen(file_watcher::look(&look)),
        Job::Lay {
            run,
            service,
            prune,
        } => Done::Laid {
            run,
            laid: lay(&service, prune),
        },
        Job::Holder { run, address, hint } => Done::Holder {
            run,
            reason: holder::with_hint(holder::describe(&address), &hint),
        },
        // A client that has gone away no longer wants its answer.
        Job::Check { reply } => {
            let _ = reply.send(configuration::check(options));
            return None;
        }
        Job::ShowPlan { plan, names, reply } => {
            let _ = reply.send(Ok(shown::plan(&plan, &names)));
            return None;
        }
        Job::Diff { plan, names, reply } => {
            let _ = reply.send(shown::diff(options, &plan, &names));
            return None;
        }
        Job::Probe { .. } | Job::AwaitLine { .. } => return None,
    })
}

fn lay(service: &Service, prune: bool) -> Result<(), credentials::NotLaid> {
    credentials::lay(service)?;
    if prune {
        credentials::prune(service);
    }
    Ok(())
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

/// Ids and program of a service, looked up in the user database and on PATH.
pub(crate) fn resolve(service: &Service) -> Result<Resolved, Unresolved> {
    let fail = |reason: String| Unresolved { reason };
    let ids = accounts::ids(service).map_err(fail)?;
    let path = service.env.get("PATH").map_or(PATH, |it| it.value.as_str());
    let name = service.command.first().map_or("", String::as_str);
    let program = look_up_program(name, path).map_err(fail)?;
    Ok(Resolved { ids, program })
}

/// Absolute path of a program, which is executable.
pub(crate) fn look_up_program(name: &str, path: &str) -> Result<String, String> {
    let executable = |path: &Path| {
        path.is_file() && nix::unistd::access(path, nix::unistd::AccessFlags::X_OK).is_ok()
    };
    if name.contains('/') {
        // Left to exec, which says exactly what is wrong with it.
        return Ok(name.to_owned());
    }
    let dirs = path.split(':').filter(|dir| !dir.is_empty());
    let mut candidates = dirs.map(|dir| Path::new(dir).join(name));
    match candidates.find(|candidate| executable(candidate)) {
        Some(found) => Ok(found.display().to_string()),
        None => Err(format!("there is no program '{name}' in {path}")),
    }
}
