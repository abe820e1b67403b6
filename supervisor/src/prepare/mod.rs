//! What a run needs before it can be spawned and that may take its time: ids of its account,
//! programs, directories that change hands, directories and files that somebody has removed, copies
//! of credentials, the addresses that names in `listens` stand for, and that no stale socket is in the way.
//!
//! Owner: jobs beside the control thread, asked for at each start (`control/runs/preparation.rs`), since
//! any of it may have changed after the last one. What starts in the same moment is asked for
//! together: each account is looked up once, by at most [`WORKERS_MAX`] threads. A name server that
//! does not answer delays only who needs it, and no longer than [`LOOK_UP_MS_MAX`].

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use engine::RunId;
use keeper::message::Ids;
use plan::Service;
use tokio::time::Instant;

use crate::{
    credentials::{self, NotLaid},
    host_names::HostNames,
    lookups::Lookups,
    port_owner,
    programs::PATH,
    staging::{self, InUse, Settled, Terms},
    stale_sockets,
    threads::Threads,
    unready::Unready,
};

/// Threads that work on what starts in one moment: one that hangs holds up no other service as long
/// as there are fewer of them.
const WORKERS_MAX: usize = 16;
/// Longest wait for the names in a service's `listens`, in milliseconds.
const LOOK_UP_MS_MAX: u64 = 10_000;

/// A run that is to be prepared.
#[derive(Debug)]
pub(crate) struct Start {
    /// The run that waits for it.
    pub(crate) run: RunId,
    /// Its service, of the plan that runs.
    pub(crate) service: Box<Service>,
    /// What it needs besides ids and programs.
    pub(crate) needs: Needs,
    /// The supervisor's.
    pub(crate) state_dir: PathBuf,
    /// Directories that other runs have.
    pub(crate) in_use: Vec<InUse>,
    /// Nobody waits for it any more.
    pub(crate) unwanted: Arc<AtomicBool>,
}

/// What a run needs besides ids and programs.
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
    /// What was looked up.
    pub(crate) resolved: Arc<Resolved>,
    /// Directories that have changed hands, in words.
    pub(crate) changed: Vec<String>,
    /// This run, which is on its way down, has a directory that is to change hands: nothing has been
    /// done.
    pub(crate) in_use_by: Option<RunId>,
    /// Directories and files that were missing and are there again.
    pub(crate) made: Vec<PathBuf>,
    /// Whether copies of credentials could be made, if it needs any.
    pub(crate) laid: Result<(), NotLaid>,
    /// Whether the token could be written, if it needs one; else why not, in words.
    pub(crate) filled: Result<(), String>,
}

impl Prepared {
    /// Nothing had to be done.
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

/// What can be looked up of a service, at the time that it was.
#[derive(Clone, Debug, Default)]
pub(crate) struct Resolved {
    /// Ids; none: the supervisor's own.
    pub(crate) ids: Option<Ids>,
    /// Absolute path of `command[0]`.
    pub(crate) program: String,
    /// The same of its validators, reload command and probes, by the name that they are given.
    pub(crate) helpers: BTreeMap<String, Result<String, String>>,
    /// Where it listens.
    pub(crate) listens: Vec<Address>,
}

/// An address that a service listens on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// As the service file has it.
    pub(crate) said: String,
    /// What that stands for; empty: a name that was not looked up, or means nothing.
    pub(crate) at: Vec<SocketAddr>,
}

impl Address {
    /// What it stands for without a look-up; a name stands for nothing.
    pub(crate) fn literal(said: &str) -> Self {
        let plain = match said.strip_prefix("*:") {
            Some(port) => format!("0.0.0.0:{port}"),
            None => said.to_owned(),
        };
        Self {
            said: said.to_owned(),
            at: plain.parse().into_iter().collect(),
        }
    }

    /// Two that one machine cannot serve both: the same port, and one of them or both of all hosts.
    pub(crate) fn meets(&self, other: &Self) -> bool {
        let meet = |one: &SocketAddr, two: &SocketAddr| {
            let all = one.ip().is_unspecified() || two.ip().is_unspecified();
            one.port() == two.port() && (all || one.ip() == two.ip())
        };
        let mut ours = self.at.iter();
        ours.any(|one| other.at.iter().any(|two| meet(one, two)))
    }
}

/// A result for a run.
pub(crate) type Outcome = Result<Prepared, Unready>;

/// Whether its addresses cannot be told without a look-up.
pub(crate) fn has_names(service: &Service) -> bool {
    let mut listens = service.listens.iter();
    listens.any(|said| Address::literal(said).at.is_empty())
}

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
    // Whose they are to be is asked first: it is the better reason.
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

/// Ids and programs of a service, and those of its addresses that are no names.
pub(crate) fn resolve(service: &Service, lookups: &Lookups) -> Result<Resolved, Unready> {
    let path = service.env.get("PATH").map_or(PATH, |it| it.value.as_str());
    let name = service.command.first().map_or("", String::as_str);
    let helpers = helpers(service)
        .filter_map(|argv| argv.first())
        .map(|name| (name.clone(), lookups.program(name, path)));
    Ok(Resolved {
        ids: lookups.ids(service)?,
        program: lookups
            .program(name, path)
            .map_err(|why| Unready::lasting(port_owner::with_hint(why, &service.command_hint)))?,
        helpers: helpers.collect(),
        listens: literals(service),
    })
}

/// Commands that are executed as the service's account besides its own.
fn helpers(service: &Service) -> impl Iterator<Item = &Vec<String>> {
    let reload = service.reload.as_ref();
    let command = reload.and_then(|it| match &it.how {
        plan::ReloadHow::Command(argv) => Some(argv),
        plan::ReloadHow::Signal(_) => None,
    });
    let confirm = reload.and_then(|it| it.confirm.as_ref());
    let ready = match &service.ready.kind {
        plan::ReadyKind::Probe(probe) => Some(probe),
        _ => None,
    };
    let probes = [
        ready,
        confirm,
        service.liveness.as_ref(),
        service.health.as_ref(),
    ];
    let probes = probes.into_iter().flatten().filter_map(|it| match &it.ask {
        plan::Ask::Exec(argv) => Some(argv),
        _ => None,
    });
    let files = service.files.iter().map(|file| &file.validate);
    let validate = std::iter::once(&service.validate);
    validate.chain(command).chain(probes).chain(files)
}

fn literals(service: &Service) -> Vec<Address> {
    let listens = service.listens.iter();
    listens.map(|said| Address::literal(said)).collect()
}

/// All addresses of a service, names looked up.
async fn addresses(service: &Service, names: &HostNames) -> Vec<Address> {
    let by = Instant::now() + Duration::from_millis(LOOK_UP_MS_MAX);
    let mut found = literals(service);
    for address in found.iter_mut().filter(|it| it.at.is_empty()) {
        match tokio::time::timeout_at(by, look_up(&address.said, names)).await {
            Ok(Ok(at)) => address.at = at,
            Ok(Err(why)) => not_checked(service, address, &why),
            Err(_) => not_checked(service, address, "nobody answers in time"),
        }
    }
    found
}

fn not_checked(service: &Service, address: &Address, why: &str) {
    tracing::warn!(
        service = service.name,
        "starts without a look at whether {} is free, which cannot be looked up: {why}",
        address.said
    );
}

/// What a name and its port stand for.
async fn look_up(said: &str, names: &HostNames) -> Result<Vec<SocketAddr>, String> {
    let host_and_port = said.rsplit_once(':');
    let host_and_port = host_and_port.and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let (host, port) = host_and_port.ok_or("it is not HOST:PORT")?;
    let found = names.addresses(host).await?;
    Ok(found
        .into_iter()
        .map(|ip| SocketAddr::new(ip, port))
        .collect())
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn literal_addresses_need_no_look_up_and_meet_as_the_kernel_has_it() {
        let literal = |said: &str| Address::literal(said);
        assert!(literal("localhost:80").at.is_empty());
        assert!(literal("*:80").meets(&literal("127.0.0.1:80")));
        assert!(literal("[::]:80").meets(&literal("127.0.0.1:80")));
        assert!(!literal("127.0.0.1:80").meets(&literal("127.0.0.2:80")));
        assert!(!literal("127.0.0.1:80").meets(&literal("127.0.0.1:81")));
        assert!(!literal("localhost:80").meets(&literal("localhost:80")));
    }
}
