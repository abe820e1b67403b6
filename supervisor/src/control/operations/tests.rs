//! Operations from request to end. Invariant: a client hears of acceptance and end only once the
//! history has them.

use std::collections::{BTreeMap, BTreeSet};

use api::{KeptPlan, Progress};
use engine::Moment;
use tokio::sync::mpsc;

use super::{audit::AuditLog, report::Disk, restore::Lost, *};
use crate::{
    ask::Peer,
    control::{Output, fixture::Fixture, holds::Holds, operations::outcome::Services},
    history::Line,
};

const ID: &str = "operation 1";

/// Operations with the state that they borrow, and an operation that a client requested.
struct Begun {
    fixture: Fixture,
    operations: Operations,
    holds: Holds,
    audit: AuditLog,
    client: mpsc::Receiver<Progress>,
}

fn line() -> Line {
    let peer = Peer {
        uid: 0,
        name: "root".to_owned(),
    };
    audit::asked(0, ID, &peer, "restart", &["web".to_owned()])
}

impl Begun {
    /// A request to start a service that is up already.
    fn new() -> Self {
        let mut fixture = Fixture::new(&[("web", "command = ['/bin/web']\n")]);
        let holds = Holds::new("", BTreeMap::new());
        let (mut operations, mut audit) = (Operations::default(), AuditLog::default());
        let client = operations.begin(
            &mut fixture.cx,
            &holds,
            &mut audit,
            Kind::Start,
            true,
            line(),
        );
        let web = fixture.id("web");
        let awaited = targets(&fixture.cx, [web]);
        operations.accept(ID, awaited, BTreeSet::new(), Vec::new());
        Self {
            fixture,
            operations,
            holds,
            audit,
            client,
        }
    }

    fn release(&mut self) -> Vec<String> {
        let disk = Disk {
            holds: &self.holds,
            audit: &self.audit,
        };
        self.operations.release(&mut self.fixture.cx, disk)
    }

    fn end(&mut self) {
        let cx = &mut self.fixture.cx;
        self.operations.record_ends(cx, &mut self.audit);
        let disk = Disk {
            holds: &self.holds,
            audit: &self.audit,
        };
        self.operations.end(cx, disk);
    }

    /// The history accepts all lines.
    fn written(&mut self) {
        let cx = &mut self.fixture.cx;
        self.audit.write(cx);
        let written = self.audit.on_written(cx, Ok(()));
        self.operations.on_written(&mut self.audit, written);
    }

    /// Judges all services, and concludes the operations that have ended.
    fn judge(&mut self) {
        let services = Services {
            cx: &self.fixture.cx,
            listening: &self.fixture.listening,
            heard: Moment(0),
        };
        for ended in self.operations.judge(services, JudgeScope::All) {
            self.operations.conclude(&self.fixture.cx, &ended, None);
        }
    }

    /// Messages to the client since the last call.
    fn heard(&mut self) -> Vec<Progress> {
        let cx = &mut self.fixture.cx;
        cx.release_answers();
        while let Some(output) = cx.poll_output() {
            if let Output::Answer(answer) = output {
                answer.send();
            }
        }
        std::iter::from_fn(|| self.client.try_recv().ok()).collect()
    }
}

#[test]
fn a_client_hears_that_it_is_accepted_once_that_is_in_the_history() {
    let mut begun = Begun::new();
    assert!(begun.release().is_empty());
    assert!(begun.heard().is_empty());
    begun.written();
    assert_eq!(begun.release(), [ID]);
    let heard = begun.heard();
    assert!(
        matches!(heard[..], [Progress::Accepted { .. }]),
        "{heard:?}"
    );
}

#[test]
fn a_client_hears_the_end_once_that_is_in_the_history() {
    let mut begun = Begun::new();
    begun.written();
    begun.release();
    begun.heard();
    begun.judge();
    begun.operations.finish(|_, _| None);
    begun.end();
    assert!(begun.heard().is_empty(), "its end is being written");
    begun.written();
    begun.end();
    let heard = begun.heard();
    let [Progress::Done(outcome)] = &heard[..] else {
        panic!("{heard:?}");
    };
    assert!(outcome.finished && outcome.unstored.history.is_none());
}

#[test]
fn an_operation_that_has_a_way_back_ends_with_that() {
    let mut begun = Begun::new();
    begun.written();
    begun.release();
    begun.judge();
    let to = KeptPlan {
        at: String::new(),
        by: "root".to_owned(),
        not_up: Vec::new(),
    };
    let due = || Some(GoingBack::due(to.clone(), String::new()));
    begun.operations.finish(|_, _| due());
    assert_eq!(begun.operations.way_of(ID), Way::Due);
    begun.operations.begin_way_back(&begun.fixture.cx, ID);
    begun.operations.finish(|_, _| due());
    assert_eq!(begun.operations.way_of(ID), Way::Begun);
    let web = begun.fixture.id("web");
    let again = targets(&begun.fixture.cx, [web]);
    let cx = &mut begun.fixture.cx;
    begun.operations.accept_way_back(cx, ID, again, Vec::new());
    assert_eq!(begun.operations.way_of(ID), Way::Applied);
    begun.judge();
    begun.operations.finish(|_, _| due());
    assert_eq!(begun.operations.way_of(ID), Way::Over);
}

#[test]
fn a_request_that_comes_again_is_followed_and_accepted_once_more() {
    let mut begun = Begun::new();
    begun.written();
    begun.release();
    begun.heard();
    assert!(begun.operations.follow("another").is_none());
    begun.client = begun.operations.follow(ID).unwrap();
    assert_eq!(begun.release(), [ID]);
    let heard = begun.heard();
    assert!(
        matches!(heard[..], [Progress::Accepted { .. }]),
        "{heard:?}"
    );
}

#[test]
fn what_was_not_come_to_when_control_died_is_refused() {
    let mut begun = Begun::new();
    begun.operations.get(ID).unwrap().kind = Kind::Reconfigure;
    begun.operations.get(ID).unwrap().begun = false;
    let lost = |_: &str, _| Some(Lost::NotApplied);
    let cx = &mut begun.fixture.cx;
    begun.operations.resume(cx, &mut begun.audit, lost);
    assert!(begun.operations.follow(ID).is_none());
    assert!(begun.audit.keeps(ID), "with the reason why");
}
