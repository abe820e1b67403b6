//! Carries one operation (a start, a stop, a reconfigure or any other change) to its end.
//!
//! This module sends the request, follows the stream of its progress and answers the outcome. When
//! the connection breaks, it asks the supervisor how the operation ended. An operation that the
//! supervisor does not know never arrived: the request is sent again, with the same id, and the
//! supervisor carries out an id at most once. Ctrl-C and `--timeout` end the waiting, not the
//! operation. Limit: `SENDS_MAX`.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    fmt,
    hash::{BuildHasher, Hasher, RandomState},
    io,
    os::unix::net::UnixStream as StdUnixStream,
    time::{Duration, Instant},
};

use api::{JobProgress, Outcome, Progress, ServiceState, Unstored};
use tokio::{io::Interest, net::UnixStream, time::sleep};

use crate::{
    Context,
    error::{Error, Kind},
    job_progress::JobLine,
    progress::Spinner,
    render::shown,
    transport_error::TransportError,
};

/// Pause between two requests for the outcome of an operation whose stream broke.
const ASK_PAUSE: Duration = Duration::from_millis(200);

/// How often an operation is sent while its connection keeps breaking.
const SENDS_MAX: usize = 8;

/// An operation, ready to send.
pub struct Operation {
    /// The id by which the supervisor recognises the operation; made by [`new_id`].
    pub id: String,
    /// The path to post to.
    pub path: String,
    /// The body of the request.
    pub body: Vec<u8>,
    /// States in which a service has reached what was asked.
    pub ends: &'static [ServiceState],
    /// Whether to hang up once the operation is accepted: for requests without a `wait` of their
    /// own.
    pub leave_when_accepted: bool,
}

/// States that end a start of a service.
pub const UP_ENDS: &[ServiceState] = &[
    ServiceState::Running,
    ServiceState::Completed,
    ServiceState::Failed,
    ServiceState::Disabled,
];
/// States that end a stop of a service.
pub const DOWN_ENDS: &[ServiceState] = &[
    ServiceState::Stopped,
    ServiceState::Completed,
    ServiceState::Failed,
    ServiceState::Disabled,
];

/// States that end a job.
pub const JOB_ENDS: &[ServiceState] = &[
    ServiceState::Completed,
    ServiceState::Stopped,
    ServiceState::Failed,
    ServiceState::Disabled,
];

/// A new id, 128 random bits.
pub fn new_id() -> String {
    // Each `RandomState` has its own keys; the kernel's random numbers seed them.
    let random = || RandomState::new().build_hasher().finish();
    let stamp = u64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or_default();
    let mut mixed = RandomState::new().build_hasher();
    mixed.write_u64(stamp);
    mixed.write_u32(std::process::id());
    format!("{:016x}{:016x}", random(), mixed.finish())
}

impl Operation {
    /// The outcome of an operation that is left once it is accepted.
    fn left(&self, unstored: Unstored) -> Outcome {
        Outcome {
            job: None,
            id: self.id.clone(),
            finished: false,
            results: Vec::new(),
            rollback: None,
            gone_back: None,
            unstored,
        }
    }
}

/// Progress of an operation, from the lines of its stream.
struct Tracker<'a> {
    context: &'a Context,
    spinner: Spinner,
    ends: &'static [ServiceState],
    accepted: Cell<bool>,
    /// The operation's services; `None`: no line about the service has come yet.
    services: RefCell<BTreeMap<String, Option<ServiceProgress>>>,
    job: RefCell<JobLine>,
}

/// The present state of a service.
#[derive(Clone)]
struct ServiceProgress {
    state: ServiceState,
    /// The supervisor's reason for the state; empty without one.
    detail: String,
}

impl fmt::Display for ServiceProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.detail.as_str() {
            "" => self.state.fmt(f),
            detail => write!(f, "{}: {detail}", self.state),
        }
    }
}

/// Sends the operation and waits for its end.
pub async fn carry_out(context: &Context, operation: &Operation) -> Result<Outcome, Error> {
    let tracker = Tracker {
        context,
        spinner: Spinner::new(context.wait && context.output.borrow().progress),
        ends: operation.ends,
        accepted: Cell::new(false),
        services: RefCell::default(),
        job: RefCell::default(),
    };
    let interrupt = Interrupt::new()?;
    tokio::select! {
        outcome = follow(context, operation, &tracker) => outcome,
        () = over(context.timeout) => Err(tracker.timed_out()),
        () = interrupt.came() => Err(tracker.interrupted()),
    }
}

async fn over(timeout: Option<Duration>) {
    match timeout {
        Some(timeout) => sleep(timeout).await,
        None => std::future::pending().await,
    }
}

async fn follow(
    context: &Context,
    operation: &Operation,
    tracker: &Tracker<'_>,
) -> Result<Outcome, Error> {
    for _ in 0..SENDS_MAX {
        if let Some(outcome) = send(context, operation, tracker).await? {
            return Ok(outcome);
        }
        sleep(ASK_PAUSE).await;
    }
    let message = format!(
        "the connection broke {SENDS_MAX} times before the change arrived: nothing was done"
    );
    Err(Error::new(Kind::Failed, message)
        .hint("look at the supervisor's log, then give the command again"))
}

/// Sends the operation and follows it to its end; `None` if the operation never arrived.
async fn send(
    context: &Context,
    operation: &Operation,
    tracker: &Tracker<'_>,
) -> Result<Option<Outcome>, Error> {
    let client = &context.client;
    let mut lines = match client.post(&operation.path, operation.body.clone()).await {
        Ok(lines) => lines,
        Err(TransportError::Broken(_)) => return outcome(context, operation, tracker).await,
        Err(failure @ TransportError::Silent(_)) => {
            let error = client.explain(failure);
            return Err(error.hint("the change may have arrived: ctl status shows it"));
        }
        Err(failure) => return Err(client.explain(failure)),
    };
    loop {
        match lines.next().await {
            Ok(Some(batch)) => {
                for progress in batch {
                    match progress {
                        Progress::Accepted {
                            services,
                            notes,
                            unstored,
                        } => {
                            tracker.accepted(services, &notes);
                            if operation.leave_when_accepted {
                                return Ok(Some(operation.left(unstored)));
                            }
                        }
                        Progress::State {
                            service,
                            state,
                            detail,
                        } => {
                            tracker.state(service, state, detail);
                        }
                        Progress::Step { detail } => {
                            tracker.spinner.say(|| shown(&detail).into_owned());
                        }
                        Progress::Job { at, .. } => tracker.job(at),
                        // Only a dry run sends a preview, and a dry run is not an operation.
                        Progress::Preview(_) => {}
                        Progress::Done(outcome) => return Ok(Some(outcome)),
                        Progress::Refused(reply) => return Err(reply.into()),
                    }
                }
            }
            Ok(None) | Err(TransportError::Broken(_)) => {
                return outcome(context, operation, tracker).await;
            }
            Err(failure) => return Err(client.explain(failure)),
        }
    }
}

/// Asks how the operation ended after its connection broke; `None` if the operation never arrived.
async fn outcome(
    context: &Context,
    operation: &Operation,
    tracker: &Tracker<'_>,
) -> Result<Option<Outcome>, Error> {
    let path = format!("/v1/changes/{}", operation.id);
    loop {
        match context.client.find::<Outcome>(&path).await? {
            None if tracker.accepted.get() => {
                let message = "the supervisor has restarted and no longer knows this change; \
                               it had been accepted, but how it ended is not known";
                return Err(
                    Error::new(Kind::Failed, message).hint("ctl status shows how it stands")
                );
            }
            None => return Ok(None),
            Some(outcome) if outcome.finished || !context.wait => return Ok(Some(outcome)),
            Some(outcome) => {
                tracker.accepted.set(true);
                for result in outcome.results {
                    if let Some(state) = result.state {
                        tracker.state(result.service, state, result.detail);
                    }
                }
                sleep(ASK_PAUSE).await;
            }
        }
    }
}

impl Tracker<'_> {
    fn accepted(&self, services: Vec<String>, notes: &[String]) {
        self.accepted.set(true);
        let mut known = self.services.borrow_mut();
        for service in services {
            known.entry(service).or_default();
        }
        drop(known);
        self.spinner.aside(|| {
            for note in notes {
                self.context.note(&shown(note));
            }
        });
        self.spinner.say(|| self.awaited());
    }

    fn state(&self, service: String, state: ServiceState, detail: String) {
        let progress = ServiceProgress { state, detail };
        self.services.borrow_mut().insert(service, Some(progress));
        self.spinner.say(|| self.awaited());
    }

    /// Shows the progress of a job: continuously on a terminal, one line per step in a pipe.
    fn job(&self, at: JobProgress) {
        let mut line = self.job.borrow_mut();
        let is_new = line.hear(at, Instant::now());
        self.spinner.say(|| line.text());
        if is_new && !self.context.output.borrow().progress {
            self.context.output.borrow_mut().note(&line.step());
        }
    }

    /// The services that have not reached what was asked, with their present state.
    fn pending(&self) -> Vec<(String, Option<ServiceProgress>)> {
        let services = self.services.borrow();
        let ended = |it: &ServiceProgress| self.ends.contains(&it.state);
        let pending = services
            .iter()
            .filter(|(_, it)| !it.as_ref().is_some_and(ended));
        pending
            .map(|(name, it)| (shown(name).into_owned(), it.clone()))
            .collect()
    }

    fn awaited(&self) -> String {
        let pending = self.pending().into_iter().map(|(name, it)| match it {
            None => name,
            Some(it) => format!("{name} ({})", shown(&it.to_string())),
        });
        match pending.collect::<Vec<_>>().join(", ") {
            none if none.is_empty() => "waiting for the supervisor".to_owned(),
            names => format!("waiting for {names}"),
        }
    }

    fn timed_out(&self) -> Error {
        let timeout = self.context.timeout.unwrap_or_default();
        if !self.accepted.get() {
            let message = format!("timed out after {timeout:?}: the supervisor has not answered");
            return Error::new(Kind::TimedOut, message)
                .hint("the change may have arrived: ctl status shows it");
        }
        let error = Error::new(
            Kind::TimedOut,
            format!("timed out after {timeout:?}, still {}", self.awaited()),
        );
        error.hint(self.goes_on())
    }

    fn interrupted(&self) -> Error {
        let error = Error::new(Kind::Interrupted, "interrupted");
        if self.accepted.get() {
            return error.hint(self.goes_on());
        }
        error.hint("the change may have arrived: ctl status shows it")
    }

    fn goes_on(&self) -> String {
        let names: Vec<String> = self.pending().into_iter().map(|(name, _)| name).collect();
        let what = if self.ends == DOWN_ENDS {
            " --stopped"
        } else {
            ""
        };
        format!(
            "the action goes on; to wait for it: ctl wait{what} {}",
            names.join(" ")
        )
        .trim_end()
        .to_owned()
    }
}

/// Ctrl-C (SIGINT) as a future, so that waiting for an operation can end without ending it.
struct Interrupt(UnixStream);

impl Interrupt {
    fn new() -> Result<Self, Error> {
        let register = || -> io::Result<UnixStream> {
            let (ours, handlers) = StdUnixStream::pair()?;
            ours.set_nonblocking(true)?;
            signal_hook::low_level::pipe::register(signal_hook::consts::SIGINT, handlers)?;
            UnixStream::from_std(ours)
        };
        register()
            .map(Self)
            .map_err(|error| Error::new(Kind::Failed, format!("cannot watch for Ctrl-C: {error}")))
    }

    async fn came(&self) {
        if self.0.ready(Interest::READABLE).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_never_the_same() {
        let ids: std::collections::BTreeSet<String> = (0..1000).map(|_| new_id()).collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| id.len() == 32));
    }
}
