//! Carries one change to its end: asks for it, follows what is told, and when the connection breaks
//! asks how it ended. Where nobody knows of it, it never arrived and is sent again, with the same id,
//! by which the supervisor does it once whatever happens. Ctrl-C and `--timeout` end the waiting, not
//! the change. Limit: `SENDS_MAX`.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    hash::{BuildHasher, Hasher, RandomState},
    io,
    os::unix::net::UnixStream as StdUnixStream,
    time::{Duration, Instant},
};

use api::{JobProgress, Outcome, Progress, Unstored};
use tokio::{io::Interest, net::UnixStream, time::sleep};

use crate::{
    Context,
    error::{Error, Kind},
    failure::Failure,
    job_progress::JobLine,
    progress::Spinner,
    render::shown,
};

/// Pause between two questions about a change whose stream was lost.
const ASK_PAUSE: Duration = Duration::from_millis(200);

/// A change whose connection breaks each time is sent so often.
const SENDS_MAX: usize = 8;

/// What is asked for.
pub struct Change {
    /// Ours: by it the supervisor knows the change again.
    pub id: String,
    /// Where to post it.
    pub path: String,
    /// The request.
    pub body: Vec<u8>,
    /// States in which a service has come to what was asked.
    pub ends: &'static [&'static str],
    /// The request has no way to say so itself: hang up once it is accepted.
    pub leave_when_accepted: bool,
}

/// States in which a service that was to start has come to an end.
pub const UP_ENDS: &[&str] = &["running", "completed", "failed", "disabled"];
/// States in which a service that was to stop has come to an end.
pub const DOWN_ENDS: &[&str] = &["stopped", "completed", "failed", "disabled"];

/// A new id, 128 random bits.
pub fn new_id() -> String {
    // Keyed by the kernel's random numbers, each state anew.
    let random = || RandomState::new().build_hasher().finish();
    let stamp = u64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or_default();
    let mut mixed = RandomState::new().build_hasher();
    mixed.write_u64(stamp);
    mixed.write_u32(std::process::id());
    format!("{:016x}{:016x}", random(), mixed.finish())
}

impl Change {
    /// What is known of a change that was left alone.
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

/// What has been heard of a change so far.
struct Heard<'a> {
    context: &'a Context,
    spinner: Spinner,
    ends: &'static [&'static str],
    accepted: Cell<bool>,
    states: RefCell<BTreeMap<String, String>>,
    job: RefCell<JobLine>,
}

/// Asks for the change and waits for its end.
pub async fn carry_out(context: &Context, change: &Change) -> Result<Outcome, Error> {
    let heard = Heard {
        context,
        spinner: Spinner::new(context.wait && context.output.borrow().progress),
        ends: change.ends,
        accepted: Cell::new(false),
        states: RefCell::default(),
        job: RefCell::default(),
    };
    let interrupt = Interrupt::new()?;
    tokio::select! {
        outcome = follow(context, change, &heard) => outcome,
        () = over(context.timeout) => Err(heard.timed_out()),
        () = interrupt.came() => Err(heard.interrupted()),
    }
}

async fn over(timeout: Option<Duration>) {
    match timeout {
        Some(timeout) => sleep(timeout).await,
        None => std::future::pending().await,
    }
}

async fn follow(context: &Context, change: &Change, heard: &Heard<'_>) -> Result<Outcome, Error> {
    for _ in 0..SENDS_MAX {
        if let Some(outcome) = send(context, change, heard).await? {
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

/// Sends it and follows it to its end. None: it never arrived.
async fn send(
    context: &Context,
    change: &Change,
    heard: &Heard<'_>,
) -> Result<Option<Outcome>, Error> {
    let client = &context.client;
    let mut lines = match client.post(&change.path, change.body.clone()).await {
        Ok(lines) => lines,
        Err(Failure::Broken(_)) => return outcome(context, change, heard).await,
        Err(failure @ Failure::Silent(_)) => {
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
                            heard.accepted(services, &notes);
                            if change.leave_when_accepted {
                                return Ok(Some(change.left(unstored)));
                            }
                        }
                        Progress::State {
                            service,
                            state,
                            detail,
                        } => {
                            heard.state(service, state, &detail);
                        }
                        Progress::Step { detail } => {
                            heard.spinner.say(|| shown(&detail).into_owned());
                        }
                        Progress::Job { at, .. } => heard.job(at),
                        // Of a dry run, which is no change.
                        Progress::Preview(_) => {}
                        Progress::Done(outcome) => return Ok(Some(outcome)),
                        Progress::Refused(reply) => return Err(reply.into()),
                    }
                }
            }
            Ok(None) | Err(Failure::Broken(_)) => return outcome(context, change, heard).await,
            Err(failure) => return Err(client.explain(failure)),
        }
    }
}

/// The connection broke: how did it end? None: it never arrived.
async fn outcome(
    context: &Context,
    change: &Change,
    heard: &Heard<'_>,
) -> Result<Option<Outcome>, Error> {
    let path = format!("/v1/changes/{}", change.id);
    loop {
        match context.client.find::<Outcome>(&path).await? {
            None if heard.accepted.get() => {
                let message = "the supervisor has restarted and no longer knows this change; \
                               it had been accepted, but how it ended is not known";
                return Err(
                    Error::new(Kind::Failed, message).hint("ctl status shows how it stands")
                );
            }
            None => return Ok(None),
            Some(outcome) if outcome.finished || !context.wait => return Ok(Some(outcome)),
            Some(outcome) => {
                heard.accepted.set(true);
                for result in outcome
                    .results
                    .into_iter()
                    .filter(|it| !it.state.is_empty())
                {
                    heard.state(result.service, result.state, &result.detail);
                }
                sleep(ASK_PAUSE).await;
            }
        }
    }
}

impl Heard<'_> {
    fn accepted(&self, services: Vec<String>, notes: &[String]) {
        self.accepted.set(true);
        let mut states = self.states.borrow_mut();
        for service in services {
            states.entry(service).or_default();
        }
        drop(states);
        self.spinner.aside(|| {
            for note in notes {
                self.context.note(&shown(note));
            }
        });
        self.spinner.say(|| self.awaited());
    }

    fn state(&self, service: String, state: String, detail: &str) {
        let text = match detail {
            "" => state,
            _ => format!("{state}: {detail}"),
        };
        self.states.borrow_mut().insert(service, text);
        self.spinner.say(|| self.awaited());
    }

    /// On a terminal all the time; in a pipe, a line for each step.
    fn job(&self, at: JobProgress) {
        let mut line = self.job.borrow_mut();
        let is_new = line.hear(at, Instant::now());
        self.spinner.say(|| line.text());
        if is_new && !self.context.output.borrow().progress {
            self.context.output.borrow_mut().note(&line.step());
        }
    }

    /// Those that have not come to what was asked, with what they do instead.
    fn pending(&self) -> Vec<(String, String)> {
        let states = self.states.borrow();
        let ended = |text: &str| {
            let state = text.split_once(':').map_or(text, |(state, _)| state);
            self.ends.contains(&state)
        };
        let pending = states.iter().filter(|(_, text)| !ended(text));
        pending
            .map(|(name, text)| (shown(name).into_owned(), shown(text).into_owned()))
            .collect()
    }

    fn awaited(&self) -> String {
        let pending = self
            .pending()
            .into_iter()
            .map(|(name, text)| match text.as_str() {
                "" => name,
                _ => format!("{name} ({text})"),
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

/// Ctrl-C as something that can be awaited.
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
