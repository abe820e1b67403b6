//! What happened, for `ctl events` and `ctl why`: a bounded ring and those who follow it.

use std::collections::{BTreeMap, VecDeque};

use api::ServiceEvent;
use engine::{Moment, RunId, ServiceId};
use tokio::sync::mpsc::{self, error::TrySendError};

use super::{Control, words};
use crate::{
    ask::{EventFilter, STREAM_LINES_MAX},
    history,
    scrape::EventCounts,
};

/// Events that are kept; the oldest give way.
const RING_EVENTS_MAX: usize = 4096;
/// Followers at one time; more are refused an endless stream and get the past alone.
const FOLLOWERS_MAX: usize = 64;

/// The ring and its followers.
#[derive(Debug, Default)]
pub(super) struct Feed {
    ring: VecDeque<Happened>,
    followers: Vec<Follower>,
    seq: u64,
    /// Events that a follower was too slow for.
    dropped: u64,
    /// What the last event of each service said.
    shown: BTreeMap<ServiceId, Shown>,
}

/// An event as it is kept: a ring of them is to be small.
#[derive(Debug)]
struct Happened {
    unix_ms: u64,
    service: Box<str>,
    kind: &'static str,
    state: &'static str,
    ready: bool,
    pid: Option<i32>,
    detail: Box<str>,
    by: Option<Box<str>>,
}

impl Happened {
    /// As people get it.
    fn told(&self, seq: u64) -> ServiceEvent {
        ServiceEvent {
            seq,
            at: words::time(self.unix_ms),
            service: self.service.to_string(),
            kind: self.kind.to_owned(),
            state: self.state.to_owned(),
            ready: self.ready,
            pid: self.pid,
            detail: self.detail.to_string(),
            by: self.by.as_ref().map(ToString::to_string),
        }
    }
}

/// What people see change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shown {
    state: &'static str,
    ready: bool,
    healthy: Option<bool>,
    since: Moment,
    run: Option<RunId>,
}

#[derive(Debug)]
struct Follower {
    events: mpsc::Sender<ServiceEvent>,
    filter: Filter,
    /// It was too slow: the next event that it can take is preceded by a gap marker.
    gap: bool,
}

/// Which events a follower wants.
#[derive(Debug, Default)]
pub(super) struct Filter {
    /// As they were asked for.
    pub(super) names: Vec<String>,
    patterns: Vec<glob::Pattern>,
    since: Option<String>,
    until: Option<String>,
}

impl Filter {
    /// Read once, asked for every event.
    pub(super) fn new(asked: &EventFilter) -> Self {
        Self {
            names: asked.names.clone(),
            patterns: history::patterns(&asked.names),
            since: asked.since.clone(),
            until: asked.until.clone(),
        }
    }

    fn wants(&self, event: &ServiceEvent) -> bool {
        let named = self.patterns.is_empty() || history::matches(&self.patterns, &event.service);
        named
            && self.since.as_ref().is_none_or(|since| event.at >= *since)
            && self.until.as_ref().is_none_or(|until| event.at < *until)
    }
}

impl Feed {
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

    /// The ring has something about every service that is named.
    pub(super) fn knows(&self, filter: &Filter) -> bool {
        let about = |pattern: &glob::Pattern| {
            let mut ring = self.ring.iter();
            ring.any(|event| !event.service.is_empty() && pattern.matches(&event.service))
        };
        filter.patterns.iter().all(about)
    }

    /// For who counts.
    pub(super) fn counts(&self) -> EventCounts {
        EventCounts {
            published: self.seq,
            dropped: self.dropped,
            followers: self.followers.len(),
        }
    }

    /// The last `backlog` events, then those to come if asked for.
    pub(super) fn subscribe(
        &mut self,
        backlog: usize,
        follow: bool,
        filter: Filter,
    ) -> mpsc::Receiver<ServiceEvent> {
        let wanted = self
            .newest_first()
            .map(|(seq, event)| event.told(seq))
            .filter(|event| filter.wants(event));
        let past: Vec<ServiceEvent> = wanted.take(backlog).collect();
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

    /// The last `count` events of one service, oldest first.
    pub(super) fn history(&self, service: &str, count: usize) -> Vec<ServiceEvent> {
        let of_it = self
            .newest_first()
            .filter(|(_, event)| *event.service == *service);
        let mut last: Vec<_> = of_it
            .take(count)
            .map(|(seq, event)| event.told(seq))
            .collect();
        last.reverse();
        last
    }

    /// What is kept, with its numbers.
    fn newest_first(&self) -> impl Iterator<Item = (u64, &Happened)> {
        let numbers = (1..=self.seq).rev();
        numbers.zip(self.ring.iter().rev())
    }
}

impl Follower {
    /// False: it has gone away.
    fn offer(&mut self, event: &ServiceEvent, dropped: &mut u64) -> bool {
        if !self.filter.wants(event) {
            return !self.events.is_closed();
        }
        if self.gap {
            let marker = ServiceEvent {
                kind: "gap".to_owned(),
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

impl Control {
    /// Tells the world in what state a service is now.
    pub(super) fn publish_state(&mut self, id: engine::ServiceId) {
        let Some(name) = self.names.name(id).map(str::to_owned) else {
            return;
        };
        let Some(view) = self.engine.view(id) else {
            return;
        };
        self.tally.restarts(id, view.restarts);
        let detail = self.reason(&name, &view);
        let shown = Shown {
            state: view.state.name(),
            ready: view.ready,
            healthy: self.healthy(&name, &view),
            since: view.since,
            run: self.engine.main_run(id),
        };
        // Much of what is remembered is not worth an event.
        if self.feed.shown.insert(id, shown) == Some(shown) {
            return;
        }
        self.feed.publish(Happened {
            unix_ms: self.now.unix_ms,
            pid: self.pid(id),
            service: name.into(),
            kind: "state",
            state: view.state.name(),
            ready: view.ready,
            detail: detail.into(),
            by: None,
        });
    }

    /// Tells the world something that is not a state.
    pub(super) fn publish(
        &mut self,
        service: &str,
        kind: &'static str,
        detail: &str,
        by: Option<&str>,
    ) {
        let view = self.names.id(service).and_then(|id| self.engine.view(id));
        self.feed.publish(Happened {
            unix_ms: self.now.unix_ms,
            service: service.into(),
            kind,
            state: view.as_ref().map_or("", |view| view.state.name()),
            ready: view.as_ref().is_some_and(|view| view.ready),
            pid: None,
            detail: detail.into(),
            by: by.map(Into::into),
        });
    }

    /// A helper of the service failed, in words.
    pub(super) fn note_failure(&mut self, service: &str, detail: &str) {
        self.publish(service, "failure", detail, None);
        self.last_failures
            .insert(service.to_owned(), detail.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(detail: &str) -> Happened {
        Happened {
            unix_ms: 0,
            service: "a".into(),
            kind: "state",
            state: "running",
            ready: true,
            pid: None,
            detail: detail.into(),
            by: None,
        }
    }

    #[test]
    fn a_slow_follower_gets_a_gap_marker_and_the_ring_is_bounded() {
        let mut feed = Feed::default();
        let mut follower = feed.subscribe(0, true, Filter::default());
        for _ in 0..=STREAM_LINES_MAX {
            feed.publish(event(""));
        }
        for _ in 0..STREAM_LINES_MAX {
            assert_eq!(follower.try_recv().unwrap().kind, "state");
        }
        feed.publish(event("after"));
        assert_eq!(follower.try_recv().unwrap().kind, "gap");
        assert_eq!(follower.try_recv().unwrap().detail, "after");
        for _ in 0..RING_EVENTS_MAX * 2 {
            feed.publish(event(""));
        }
        assert_eq!(feed.ring.len(), RING_EVENTS_MAX);
    }

    #[test]
    fn the_past_comes_first_and_ends_unless_followed() {
        let mut feed = Feed::default();
        feed.publish(event("one"));
        feed.publish(event("two"));
        let mut past = feed.subscribe(1, false, Filter::default());
        assert_eq!(past.try_recv().unwrap().detail, "two");
        assert_eq!(
            past.try_recv(),
            Err(mpsc::error::TryRecvError::Disconnected)
        );
    }

    #[test]
    fn a_filter_holds_for_the_past_and_the_future() {
        let named = |service: &str, at: u64| Happened {
            service: service.into(),
            unix_ms: at,
            ..event(&at.to_string())
        };
        let mut feed = Feed::default();
        feed.publish(named("a", 1));
        feed.publish(named("b", 2));
        feed.publish(named("", 3));
        feed.publish(named("a", 4));
        let filter = |names: &[&str], since: Option<&str>| {
            Filter::new(&EventFilter {
                names: names.iter().map(|&name| name.to_owned()).collect(),
                since: since.map(str::to_owned),
                until: None,
            })
        };
        assert!(feed.knows(&filter(&["a", "[ab]"], None)));
        assert!(!feed.knows(&filter(&["a", "c*"], None)));
        let mut only = feed.subscribe(10, true, filter(&["a"], Some(&words::time(2))));
        feed.publish(named("b", 5));
        feed.publish(named("a", 6));
        assert_eq!(only.try_recv().unwrap().detail, "4");
        assert_eq!(only.try_recv().unwrap().detail, "6");
        assert!(only.try_recv().is_err());
        let mut all = feed.subscribe(2, false, filter(&[], None));
        assert_eq!(all.try_recv().unwrap().detail, "5");
    }
}
