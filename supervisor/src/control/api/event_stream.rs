//! The event stream for `ctl events` and `ctl why`: a bounded ring of events and its followers.
//!
//! The keeper remembers the last [`REMEMBERED_MAX`] events, each in its own slot. So a follower
//! whose control process died continues with the next event, or learns that it cannot.

use std::collections::{BTreeMap, VecDeque};

use api::{EventKind, ExitRecord, ServiceEvent, ServiceState};
use engine::{Moment, RunId, ServiceId, View};
use keeper::message::Request;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::{self, error::TrySendError};

use crate::{
    ask::{EventFilter, STREAM_LINES_MAX},
    control::{Context, api::reason::Reason, record_keys, service_state::service_state, text},
    history,
    metrics_snapshot::EventCounts,
};

/// Most events in the ring; the oldest are dropped.
const RING_EVENTS_MAX: usize = 4096;
/// Events that outlive a control process.
const REMEMBERED_MAX: u64 = 128;
/// Longest text of an event that the keeper remembers, in characters; the rest is cut.
const REMEMBERED_CHARACTERS_MAX: usize = 500;
/// Most followers at one time; a further client gets past events only.
const FOLLOWERS_MAX: usize = 64;

/// The ring and its followers.
#[derive(Debug, Default)]
pub(in crate::control) struct EventStream {
    ring: VecDeque<Happened>,
    followers: Vec<Follower>,
    seq: u64,
    /// Events that a follower was too slow for.
    dropped: u64,
    /// What the last event of each service said.
    shown: BTreeMap<ServiceId, Shown>,
}

/// An event as the ring stores it: compact, since the ring holds many.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Happened {
    unix_ms: u64,
    service: Box<str>,
    kind: EventKind,
    state: Option<ServiceState>,
    ready: bool,
    pid: Option<i32>,
    detail: Box<str>,
    /// The detail without hints; none: the detail has no hints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bare: Option<Box<str>>,
    by: Option<Box<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exit: Option<Box<ExitRecord>>,
}

impl Happened {
    /// The event as clients get it.
    fn told(&self, seq: u64) -> ServiceEvent {
        ServiceEvent {
            seq,
            at: text::time(self.unix_ms),
            service: self.service.to_string(),
            kind: self.kind,
            state: self.state,
            ready: self.ready,
            pid: self.pid,
            detail: self.detail.to_string(),
            by: self.by.as_ref().map(ToString::to_string),
            exit: self.exit.clone(),
        }
    }

    /// The event without hints, for `ctl why`, which prints the hints below.
    fn told_bare(&self, seq: u64) -> ServiceEvent {
        let told = self.told(seq);
        match &self.bare {
            Some(bare) => ServiceEvent {
                detail: bare.to_string(),
                ..told
            },
            None => told,
        }
    }
}

/// The part of a service's state whose change is an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shown {
    state: ServiceState,
    ready: bool,
    healthy: Option<bool>,
    since: Moment,
    run: Option<RunId>,
}

#[derive(Debug)]
struct Follower {
    events: mpsc::Sender<ServiceEvent>,
    filter: Filter,
    /// The follower was too slow: a gap marker precedes the next event that it can take.
    gap: bool,
}

/// Which events a follower wants.
#[derive(Debug, Default)]
pub(in crate::control) struct Filter {
    /// The names as the client gave them.
    pub(in crate::control) names: Vec<String>,
    patterns: Vec<glob::Pattern>,
    since: Option<String>,
    until: Option<String>,
    /// Only events after this one, which happened at `since`.
    after: Option<u64>,
}

impl Filter {
    /// Parses the filter once; the result is applied to every event.
    pub(in crate::control) fn new(asked: &EventFilter) -> Self {
        Self {
            names: asked.names.clone(),
            patterns: history::patterns(&asked.names),
            since: asked.since.clone(),
            until: asked.until.clone(),
            after: asked.after,
        }
    }

    fn wants(&self, event: &ServiceEvent) -> bool {
        let named = self.patterns.is_empty() || history::matches(&self.patterns, &event.service);
        named
            && self.since.as_ref().is_none_or(|since| event.at >= *since)
            && self.until.as_ref().is_none_or(|until| event.at < *until)
    }
}

impl EventStream {
    /// Adds one event and hands it to the followers.
    fn publish(&mut self, event: Happened) {
        self.seq += 1;
        if !self.followers.is_empty() {
            let told = event.told(self.seq);
            let dropped = &mut self.dropped;
            self.followers
                .retain_mut(|follower| follower.offer(&told, dropped));
        }
        if self.ring.len() == RING_EVENTS_MAX {
            self.ring.pop_front();
        }
        self.ring.push_back(event);
    }

    /// Whether the ring has an event of every named service.
    pub(in crate::control) fn knows(&self, filter: &Filter) -> bool {
        let about = |pattern: &glob::Pattern| {
            let mut ring = self.ring.iter();
            ring.any(|event| !event.service.is_empty() && pattern.matches(&event.service))
        };
        filter.patterns.iter().all(about)
    }

    /// Counts for metrics.
    pub(in crate::control) fn counts(&self) -> EventCounts {
        EventCounts {
            published: self.seq,
            dropped: self.dropped,
            followers: self.followers.len(),
        }
    }

    /// Where a client that has seen this event continues. None: the event is not known here, so the
    /// events after it are not known either.
    fn follows(&self, seq: u64, at: &str) -> Option<u64> {
        let mut ring = self.newest_first();
        let (_, seen) = ring.find(|(number, _)| *number == seq)?;
        (text::time(seen.unix_ms) == at).then_some(seq)
    }

    /// Returns the last `backlog` events, then new events if the client asks for them.
    pub(in crate::control) fn subscribe(
        &mut self,
        backlog: usize,
        follow: bool,
        filter: Filter,
    ) -> mpsc::Receiver<ServiceEvent> {
        let seen = filter.after.zip(filter.since.as_deref());
        let from = seen.map(|(seq, at)| self.follows(seq, at));
        // A client that continues gets no event twice.
        let new = |seq: u64| from.flatten().is_none_or(|last| seq > last);
        let wanted = self
            .newest_first()
            .filter(|(seq, _)| new(*seq))
            .map(|(seq, event)| event.told(seq))
            .filter(|event| filter.wants(event));
        let mut past: Vec<ServiceEvent> = wanted.take(backlog).collect();
        if let (Some((seq, at)), Some(None)) = (seen, from) {
            past.push(lost_after(seq, at));
        }
        let (sender, receiver) = mpsc::channel(STREAM_LINES_MAX + past.len());
        for event in past.into_iter().rev() {
            let _ = sender.try_send(event);
        }
        if follow && self.followers.len() < FOLLOWERS_MAX {
            self.followers.push(Follower {
                events: sender,
                filter,
                gap: false,
            });
        }
        receiver
    }

    /// The last `count` events of one service without hints, oldest first.
    pub(in crate::control) fn history(&self, service: &str, count: usize) -> Vec<ServiceEvent> {
        let of_it = self
            .newest_first()
            .filter(|(_, event)| *event.service == *service);
        let mut last: Vec<_> = of_it
            .take(count)
            .map(|(seq, event)| event.told_bare(seq))
            .collect();
        last.reverse();
        last
    }

    /// The events of the ring, with their numbers.
    fn newest_first(&self) -> impl Iterator<Item = (u64, &Happened)> {
        let numbers = (1..=self.seq).rev();
        numbers.zip(self.ring.iter().rev())
    }
}

/// The marker for a client that has seen an event which is no longer known.
fn lost_after(seq: u64, at: &str) -> ServiceEvent {
    ServiceEvent {
        seq,
        at: at.to_owned(),
        service: String::new(),
        kind: EventKind::Gap,
        state: None,
        ready: false,
        pid: None,
        detail: format!(
            "event {seq} is not known any more: what came right after it may be missing here"
        ),
        by: None,
        exit: None,
    }
}

impl Follower {
    /// Offers an event to the follower. False: the follower has gone away.
    fn offer(&mut self, event: &ServiceEvent, dropped: &mut u64) -> bool {
        if !self.filter.wants(event) {
            return !self.events.is_closed();
        }
        if self.gap {
            let marker = ServiceEvent {
                kind: EventKind::Gap,
                detail: "this reader was too slow; events were dropped".to_owned(),
                ..event.clone()
            };
            match self.events.try_send(marker) {
                Ok(()) => self.gap = false,
                Err(TrySendError::Full(_)) => {
                    *dropped += 1;
                    return true;
                }
                Err(TrySendError::Closed(_)) => return false,
            }
        }
        match self.events.try_send(event.clone()) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                self.gap = true;
                *dropped += 1;
                true
            }
            Err(TrySendError::Closed(_)) => false,
        }
    }
}

impl Context {
    /// Publishes an event that is not a change of state.
    pub(in crate::control) fn publish(
        &mut self,
        service: &str,
        kind: EventKind,
        detail: &str,
        by: Option<&str>,
    ) {
        let view = self.names.id(service).and_then(|id| self.engine.view(id));
        self.happened(Happened {
            unix_ms: self.now.unix_ms,
            service: service.into(),
            kind,
            state: view.as_ref().map(|view| service_state(&view.state)),
            ready: view.as_ref().is_some_and(|view| view.ready),
            pid: None,
            detail: detail.into(),
            bare: None,
            by: by.map(Into::into),
            exit: None,
        });
    }

    /// Publishes the end of a run.
    pub(in crate::control) fn publish_exit(&mut self, exit: ExitRecord) {
        let id = self.names.id(&exit.service);
        let view = id.and_then(|id| self.engine.view(id));
        self.happened(Happened {
            unix_ms: self.now.unix_ms,
            service: exit.service.as_str().into(),
            kind: EventKind::Exit,
            state: view.as_ref().map(|view| service_state(&view.state)),
            ready: view.as_ref().is_some_and(|view| view.ready),
            pid: exit.pid,
            detail: exit.to_string().into(),
            bare: None,
            by: None,
            exit: Some(Box::new(exit)),
        });
    }

    /// Hands the event to followers, and to the keeper for the next control process.
    fn happened(&mut self, event: Happened) {
        let mut remembered = event.clone();
        for said in [&mut remembered.detail]
            .into_iter()
            .chain(&mut remembered.bare)
        {
            if said.chars().count() > REMEMBERED_CHARACTERS_MAX {
                let some = said.chars().take(REMEMBERED_CHARACTERS_MAX);
                *said = some.chain(['…']).collect::<String>().into();
            }
        }
        self.events.publish(event);
        let seq = self.events.seq;
        let record = serde_json::to_string(&(seq, remembered)).expect("it is plain data");
        self.tell(Request::Remember {
            service: format!("{}{}", record_keys::EVENT, seq % REMEMBERED_MAX),
            record,
        });
    }

    /// Restores the events of an earlier control process, as far as the keeper remembers them.
    pub(in crate::control) fn restore_events(&mut self, records: &BTreeMap<String, String>) {
        let slots = records
            .iter()
            .filter(|(key, _)| key.starts_with(record_keys::EVENT));
        let known = slots.filter_map(|(_, record)| serde_json::from_str(record).ok());
        let known: BTreeMap<u64, Happened> = known.collect();
        // Numbers in the ring are consecutive.
        let last = known.keys().next_back().copied().unwrap_or_default();
        let mut ring = VecDeque::new();
        for (back, (seq, event)) in known.into_iter().rev().enumerate() {
            if seq + u64::try_from(back).unwrap_or_default() != last {
                break;
            }
            ring.push_front(event);
        }
        self.events.ring = ring;
        self.events.seq = last;
    }
}

impl Context {
    /// Publishes the state of a service. `healthy` and `reason`: from the views.
    pub(in crate::control) fn publish_state(
        &mut self,
        id: ServiceId,
        view: &View,
        healthy: Option<bool>,
        reason: &Reason,
    ) {
        let shown = Shown {
            state: service_state(&view.state),
            ready: view.ready,
            healthy,
            since: view.since,
            run: self.engine.main_run(id),
        };
        // Only a change of the shown state is an event.
        if self.events.shown.insert(id, shown) == Some(shown) {
            return;
        }
        self.happened(Happened {
            unix_ms: self.now.unix_ms,
            pid: self.pid(id),
            service: self.name(id).into(),
            kind: EventKind::State,
            state: Some(service_state(&view.state)),
            ready: view.ready,
            detail: reason.to_string().into(),
            bare: reason.without_hints().map(|it| it.to_string().into()),
            by: None,
            exit: None,
        });
    }
}

#[cfg(test)]
mod tests;
