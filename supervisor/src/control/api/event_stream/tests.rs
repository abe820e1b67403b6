//! Followers of the event stream, and how a follower resumes.

use super::*;

fn event(detail: &str) -> Happened {
    Happened {
        unix_ms: 0,
        service: "a".into(),
        kind: EventKind::State,
        state: Some(ServiceState::Running),
        ready: true,
        pid: None,
        detail: detail.into(),
        bare: None,
        by: None,
        exit: None,
    }
}

/// A follower resumes after the event that it has seen, under any control process; a follower of
/// another history gets a gap event.
#[test]
fn a_follower_goes_on_where_it_was_or_is_told_that_it_cannot() {
    let mut feed = EventStream::default();
    for at in 1..=5 {
        feed.publish(Happened {
            unix_ms: at,
            ..event(&at.to_string())
        });
    }
    let after = |seq, at| {
        Filter::new(&EventFilter {
            names: Vec::new(),
            since: Some(text::time(at)),
            until: None,
            after: Some(seq),
        })
    };
    let mut details = |seq, at| {
        let mut stream = feed.subscribe(10, false, after(seq, at));
        let mut details = Vec::new();
        while let Ok(event) = stream.try_recv() {
            details.push(if event.kind == EventKind::Gap {
                event.kind.to_string()
            } else {
                event.detail
            });
        }
        details
    };
    assert_eq!(details(3, 3), ["4", "5"]);
    assert_eq!(details(5, 5), [""; 0]);
    // The seen event is of another supervisor, or too old.
    assert_eq!(details(3, 4), ["gap", "4", "5"]);
    assert_eq!(details(9, 4), ["gap", "4", "5"]);
}

#[test]
fn a_slow_follower_gets_a_gap_marker_and_the_ring_is_bounded() {
    let mut feed = EventStream::default();
    let mut follower = feed.subscribe(0, true, Filter::default());
    for _ in 0..=STREAM_LINES_MAX {
        feed.publish(event(""));
    }
    for _ in 0..STREAM_LINES_MAX {
        assert_eq!(follower.try_recv().unwrap().kind, EventKind::State);
    }
    feed.publish(event("after"));
    assert_eq!(follower.try_recv().unwrap().kind, EventKind::Gap);
    assert_eq!(follower.try_recv().unwrap().detail, "after");
    for _ in 0..RING_EVENTS_MAX * 2 {
        feed.publish(event(""));
    }
    assert_eq!(feed.ring.len(), RING_EVENTS_MAX);
}

#[test]
fn the_past_comes_first_and_ends_unless_followed() {
    let mut feed = EventStream::default();
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
    let mut feed = EventStream::default();
    feed.publish(named("a", 1));
    feed.publish(named("b", 2));
    feed.publish(named("", 3));
    feed.publish(named("a", 4));
    let filter = |names: &[&str], since: Option<&str>| {
        Filter::new(&EventFilter {
            names: names.iter().map(|&name| name.to_owned()).collect(),
            since: since.map(str::to_owned),
            until: None,
            after: None,
        })
    };
    assert!(feed.knows(&filter(&["a", "[ab]"], None)));
    assert!(!feed.knows(&filter(&["a", "c*"], None)));
    let mut only = feed.subscribe(10, true, filter(&["a"], Some(&text::time(2))));
    feed.publish(named("b", 5));
    feed.publish(named("a", 6));
    assert_eq!(only.try_recv().unwrap().detail, "4");
    assert_eq!(only.try_recv().unwrap().detail, "6");
    assert!(only.try_recv().is_err());
    let mut all = feed.subscribe(2, false, filter(&[], None));
    assert_eq!(all.try_recv().unwrap().detail, "5");
}
