//! Counts for `/metrics`: what has happened to each service since this control process started.
//!
//! A service costs nothing here until something countable happens to it. The reply to a scrape
//! waits for the keeper, which alone knows how much was logged.

use std::{collections::BTreeMap, time::Duration};

use api::ErrorReply;
use engine::{Exit, Fact, Moment, ProbeKind, RunId, ServiceId};
use keeper::message::Request;
use tokio::sync::oneshot;

use crate::{
    control::Context,
    metrics_snapshot::{ProbeTally, Scrape, ServiceTally},
};

/// Most scrapes that wait for the keeper; further scrapes are refused.
const SCRAPES_MAX: usize = 64;

/// Where the answer to a scrape goes.
pub(crate) type ScrapeReply = oneshot::Sender<Result<Scrape, ErrorReply>>;

/// All counts.
#[derive(Debug, Default)]
pub(in crate::control) struct Metrics {
    services: BTreeMap<ServiceId, ServiceTally>,
    /// Exec probes under way, with their start times.
    probing: BTreeMap<RunId, Moment>,
    waiting: Vec<ScrapeReply>,
}

impl Metrics {
    /// Takes the engine's number of restarts of a service since the last manual start.
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

    /// Notes the end of an exec probe; returns how long the probe took.
    pub(in crate::control) fn probe_ends(&mut self, run: RunId, now: Moment) -> Option<Duration> {
        let since = self.probing.remove(&run)?;
        Some(Duration::from_millis(now.since(since)))
    }

    /// Counts the end of a job's request.
    pub(in crate::control) fn work_ends(&mut self, id: ServiceId, done: bool, took: Duration) {
        let work = &mut self.services.entry(id).or_default().work;
        let work = work.get_or_insert_default();
        work.done += u64::from(done);
        work.failed += u64::from(!done);
        work.last = took;
        work.sum += took;
    }

    /// Drops the counts of a service that has left the plan.
    pub(in crate::control) fn forget(&mut self, id: ServiceId) {
        self.services.remove(&id);
    }
}

impl Metrics {
    /// Counts a fact before the engine gets the fact: afterwards the engine may no longer know the
    /// run.
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

    /// Counts the answer of a probe of a main run.
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

    /// The counts, by service.
    pub(in crate::control) fn tallies(&self, cx: &Context) -> BTreeMap<String, ServiceTally> {
        let named = self.services.iter();
        let named = named.filter_map(|(id, it)| Some((cx.names.name(*id)?.to_owned(), it.clone())));
        named.collect()
    }
}

impl Metrics {
    /// Begins a scrape. The keeper is asked once for all waiting scrapes.
    pub(in crate::control) fn scrape(&mut self, cx: &mut Context, reply: ScrapeReply) {
        // Clients that have gone away wait no more.
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

    /// Takes the scrapes that wait for the keeper's reply.
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
