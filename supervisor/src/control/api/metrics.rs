//! Counts for `/metrics`: what has happened to each service since this control process started.
//!
//! A service costs nothing here until something happens to it that is counted. A scrape is answered
//! when the keeper has said how much was logged, since it alone knows.

use std::{collections::BTreeMap, time::Duration};

use api::ErrorReply;
use engine::{Exit, Fact, Moment, ProbeKind, RunId, ServiceId};
use keeper::message::Request;
use tokio::sync::oneshot;

use crate::{
    control::Context,
    metrics_snapshot::{ProbeTally, Scrape, ServiceTally},
};

/// Scrapes that wait for the keeper; more are refused.
const SCRAPES_MAX: usize = 64;

/// Where the answer to a scrape goes.
pub(crate) type ScrapeReply = oneshot::Sender<Result<Scrape, ErrorReply>>;

/// All that is counted.
#[derive(Debug, Default)]
pub(in crate::control) struct Metrics {
    services: BTreeMap<ServiceId, ServiceTally>,
    /// Exec probes under way: when each was started.
    probing: BTreeMap<RunId, Moment>,
    waiting: Vec<ScrapeReply>,
}

impl Metrics {
    /// The engine says how often it has restarted a service since the last manual start.
    pub(in crate::control) fn restarts(&mut self, id: ServiceId, now: u32) {
        if now == 0 && !self.services.contains_key(&id) {
            return;
        }
        let tally = self.services.entry(id).or_default();
        tally.restarts += u64::from(now.saturating_sub(tally.restarts_seen));
        tally.restarts_seen = now;
    }

    /// An exec probe starts.
    pub(in crate::control) fn probe_starts(&mut self, run: RunId, now: Moment) {
        self.probing.insert(run, now);
    }

    /// An exec probe has ended, and took so long.
    pub(in crate::control) fn probe_ends(&mut self, run: RunId, now: Moment) -> Option<Duration> {
        let since = self.probing.remove(&run)?;
        Some(Duration::from_millis(now.since(since)))
    }

    /// A request of a job has come to its end.
    pub(in crate::control) fn work_ends(&mut self, id: ServiceId, done: bool, took: Duration) {
        let work = &mut self.services.entry(id).or_default().work;
        let work = work.get_or_insert_default();
        work.done += u64::from(done);
        work.failed += u64::from(!done);
        work.last = took;
        work.sum += took;
    }

    /// The service is gone from the plan.
    pub(in crate::control) fn forget(&mut self, id: ServiceId) {
        self.services.remove(&id);
    }
}

impl Metrics {
    /// Counts a fact before the engine gets it: afterwards it may know the run no more.
    pub(in crate::control) fn count(&mut self, cx: &Context, fact: &Fact) {
        let main_of = |run: RunId| {
            let id = cx.engine.service_of(run)?;
            (cx.engine.main_run(id) == Some(run)).then_some(id)
        };
        match fact {
            Fact::Exited { run, exit } => {
                if let Some(id) = main_of(*run) {
                    let exits = &mut self.services.entry(id).or_default().exits;
                    *exits.entry(exit_labels(*exit)).or_default() += 1;
                }
            }
            Fact::SpawnFailed { run, .. } => {
                if let Some(id) = main_of(*run) {
                    self.services.entry(id).or_default().start_failures += 1;
                }
            }
            _ => {}
        }
    }

    /// A probe of a main run has answered.
    pub(in crate::control) fn count_probe(
        &mut self,
        cx: &Context,
        of: RunId,
        kind: ProbeKind,
        ok: bool,
        took: Duration,
    ) {
        let Some(id) = cx.engine.service_of(of) else {
            return;
        };
        let probes = &mut self.services.entry(id).or_default().probes;
        let probe = probes.entry(probe_name(kind)).or_default();
        *probe = ProbeTally {
            last: took,
            sum: probe.sum + took,
            count: probe.count + 1,
            failures: probe.failures + u64::from(!ok),
        };
    }

    /// What has been counted, by service.
    pub(in crate::control) fn tallies(&self, cx: &Context) -> BTreeMap<String, ServiceTally> {
        let named = self.services.iter();
        let named = named.filter_map(|(id, it)| Some((cx.names.name(*id)?.to_owned(), it.clone())));
        named.collect()
    }
}

impl Metrics {
    /// Somebody wants all that is counted. The keeper is asked once for all who wait.
    pub(in crate::control) fn scrape(&mut self, cx: &mut Context, reply: ScrapeReply) {
        // Those who have gone away wait no more.
        self.waiting.retain(|waiting| !waiting.is_closed());
        if self.waiting.len() == SCRAPES_MAX {
            let busy = ErrorReply {
                kind: api::ErrorKind::Busy,
                message: "too many scrapes wait for the keeper".to_owned(),
                hint: Some("scrape less often".to_owned()),
            };
            drop(reply.send(Err(busy)));
            return;
        }
        self.waiting.push(reply);
        if self.waiting.len() == 1 {
            cx.tell(Request::Stats);
        }
    }

    /// Those who wait for what the keeper has just said.
    pub(in crate::control) fn take_waiting(&mut self) -> Vec<ScrapeReply> {
        std::mem::take(&mut self.waiting)
    }
}

/// How a run ended, in systemd's words.
fn exit_labels(exit: Exit) -> (&'static str, String) {
    match exit {
        Exit::Code(code) => ("exited", code.to_string()),
        Exit::Signal(signal) => ("killed", text::signal::shown(signal)),
    }
}

fn probe_name(kind: ProbeKind) -> &'static str {
    match kind {
        ProbeKind::Ready => "ready",
        ProbeKind::Liveness => "liveness",
        ProbeKind::Health => "health",
        ProbeKind::Confirm(_) => "reload",
    }
}
