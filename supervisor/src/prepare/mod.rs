//! The needs of a run before its spawn that may take time: ids of its account and programs
//! (`resolve.rs`), directories that change their owner, directories and files that somebody has
//! removed, copies of credentials, the addresses of host names in `listens` (`addresses.rs`), and
//! the removal of stale sockets.
//!
//! Owner: jobs beside the control thread, requested at each start (`control/runs/starts/mod.rs`),
//! since any of these may have changed after the last start. All starts of one input share one job:
//! it looks up each account once, by at most [`WORKERS_MAX`] threads. A name server that does not
//! answer delays only the services that need the name server.

mod addresses;
mod resolve;

use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use addresses::{addresses, literals};
use engine::RunId;
use plan::Service;

pub(crate) use addresses::{Address, has_names};
pub(crate) use resolve::{Resolved, resolve};

use crate::{
    credentials::{self, NotLaid},
    host_names::HostNames,
    lookups::Lookups,
    staging::{self, InUse, Settled, Terms},
    stale_sockets,
    threads::Threads,
    unready::Unready,
};

/// Threads that work on what starts in one moment: one that hangs holds up no other service as long
/// as there are fewer of them.
const WORKERS_MAX: usize = 16;

/// A run that is to be prepared.
#[derive(Debug)]
pub(crate) struct Start {
    /// The run that waits for it.
    pub(crate) run: RunId,
    /// Its service, of the plan that runs.
    pub(crate) service: Box<Service>,
    /// Needs of the run besides ids and programs.
    pub(crate) needs: Needs,
    /// The supervisor's.
    pub(crate) state_dir: PathBuf,
    /// Directories that other runs have.
    pub(crate) in_use: Vec<InUse>,
    /// Whether no caller waits for the result any more.
    pub(crate) unwanted: Arc<AtomicBool>,
}

/// Needs of a run besides ids and programs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Needs {
    /// Directories of another account change hands, and what is missing is made again.
    pub(crate) disk: bool,
    /// Its addresses have to be free: names are looked up, stale sockets removed.
    pub(crate) addresses: bool,
    /// Copies of credentials; true: those that it has no use for are removed.
    pub(crate) credentials: Option<bool>,
    /// Number of the token in its files.
    pub(crate) reload_token: Option<u64>,
}

/// A run that can be spawned, as far as it is known beforehand.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// Ids, programs and addresses.
    pub(crate) resolved: Arc<Resolved>,
    /// Directories that have changed hands, in words.
    pub(crate) changed: Vec<String>,
    /// This run, which is on its way down, has a directory that is to change hands: nothing has
    /// been done.
    pub(crate) in_use_by: Option<RunId>,
    /// Directories and files that were missing and are there again.
    pub(crate) made: Vec<PathBuf>,
    /// Whether copies of credentials could be made, if it needs any.
    pub(crate) laid: Result<(), NotLaid>,
    /// Whether the token could be written, if it needs one; else why not, in words.
    pub(crate) filled: Result<(), String>,
}

impl Prepared {
    /// A preparation that had nothing to do.
    pub(crate) const fn of(resolved: Arc<Resolved>) -> Self {
        Self {
            resolved,
            changed: Vec::new(),
            in_use_by: None,
            made: Vec::new(),
            laid: Ok(()),
            filled: Ok(()),
        }
    }
}

/// A result for a run.
pub(crate) type Outcome = Result<Prepared, Unready>;

/// Prepares all of them beside the control thread; each is told as it is done.
pub(crate) fn begin(
    starts: Vec<Start>,
    threads: &Threads,
    names: &HostNames,
    tell: impl Fn(RunId, Outcome) + Clone + Send + 'static,
) {
    let lookups = Arc::new(Lookups::default());
    let by_name = |start: &Start| start.needs.addresses && has_names(&start.service);
    let (named, plain): (Vec<_>, VecDeque<_>) = {
        let (named, plain): (Vec<_>, Vec<_>) = starts.into_iter().partition(by_name);
        (named, plain.into())
    };
    for start in named {
        let (lookups, tell) = (Arc::clone(&lookups), tell.clone());
        let (threads, names) = (threads.clone(), names.clone());
        tokio::spawn(async move {
            let listens = addresses(&start.service, &names).await;
            threads.run(move || tell(start.run, prepare(&start, &lookups, listens)));
        });
    }
    let workers = plain.len().min(WORKERS_MAX);
    let left = Arc::new(Mutex::new(plain));
    for _ in 0..workers {
        let (left, lookups, tell) = (Arc::clone(&left), Arc::clone(&lookups), tell.clone());
        threads.run(move || {
            let next = || {
                left.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .pop_front()
            };
            while let Some(start) = next() {
                let listens = literals(&start.service);
                tell(start.run, prepare(&start, &lookups, listens));
            }
        });
    }
}

fn prepare(start: &Start, lookups: &Lookups, listens: Vec<Address>) -> Outcome {
    let (service, needs) = (&*start.service, start.needs);
    // The ids come first: a missing account is the more useful reason.
    let ids = lookups.ids(service)?;
    let resolved = resolve(service, lookups)?;
    let (mut changed, mut made, mut in_use_by) = (Vec::new(), Vec::new(), None);
    if needs.disk {
        match settle(start)? {
            Settled::Done(said) => {
                changed = said;
                made = staging::make_missing(service)?;
            }
            Settled::InUse(by) => in_use_by = Some(by),
        }
    }
    if needs.addresses && in_use_by.is_none() {
        stale_sockets::remove(service, ids.as_ref())?;
    }
    let laid = needs
        .credentials
        .filter(|_| in_use_by.is_none())
        .map_or(Ok(()), |prune| lay(service, prune));
    let filled = needs
        .reload_token
        .filter(|_| in_use_by.is_none())
        .map_or(Ok(()), |number| staging::fill_tokens(service, number));
    Ok(Prepared {
        changed,
        in_use_by,
        resolved: Arc::new(Resolved {
            listens,
            ..resolved
        }),
        made,
        laid,
        filled,
    })
}

fn settle(start: &Start) -> Result<Settled, Unready> {
    let terms = Terms {
        state_dir: &start.state_dir,
        in_use: &start.in_use,
        wanted: &|| !start.unwanted.load(Ordering::Relaxed),
    };
    staging::settle(&start.service, &terms)
}

fn lay(service: &Service, prune: bool) -> Result<(), NotLaid> {
    credentials::lay(service)?;
    if prune {
        credentials::prune(service);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn start(number: u64, service: Service) -> Start {
        Start {
            run: RunId(number),
            service: Box::new(service),
            needs: Needs {
                disk: true,
                addresses: true,
                credentials: None,
                reload_token: None,
            },
            state_dir: "/nonexistent".into(),
            in_use: Vec::new(),
            unwanted: Arc::default(),
        }
    }

    /// More than there are threads, some of which cannot start and one that has a name to look up.
    #[test]
    fn each_of_many_is_told_once_and_none_for_another() {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().unwrap();
        let count = 5 * u64::try_from(WORKERS_MAX).unwrap();
        let lacks = |number: u64| number.is_multiple_of(3);
        let service = |number: u64| Service {
            name: format!("s{number}"),
            command: vec![["sh", "no-such-program"][usize::from(lacks(number))].to_owned()],
            listens: vec![format!(
                "{}:80",
                ["127.0.0.1", "localhost"][usize::from(number == 1)]
            )],
            ..Service::default()
        };
        let starts = (0..count).map(|number| start(number, service(number)));
        let starts: Vec<_> = starts.collect();
        let told = runtime.block_on(async {
            let (sender, mut told) = tokio::sync::mpsc::unbounded_channel();
            let (threads, names) = (Threads::new(2), HostNames::new());
            begin(starts, &threads, &names, move |run, outcome| {
                drop(sender.send((run, outcome)));
            });
            let mut all = BTreeMap::new();
            while let Some((run, outcome)) = told.recv().await {
                assert!(all.insert(run.0, outcome).is_none(), "{run:?} twice");
            }
            all
        });
        assert_eq!(told.len(), usize::try_from(count).unwrap());
        for (number, outcome) in told {
            match outcome {
                Ok(prepared) => {
                    assert!(!lacks(number) && prepared.resolved.program.ends_with("/sh"));
                    let listens = &prepared.resolved.listens;
                    assert!(listens.iter().all(|it| !it.at.is_empty()), "{listens:?}");
                }
                Err(why) => assert!(lacks(number) && !why.transient, "{why:?}"),
            }
        }
    }
}
