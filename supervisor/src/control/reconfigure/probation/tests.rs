//! When a plan counts as proven: once every service that it changed has stayed up.

use engine::{Command, Hold};

use super::*;
use crate::control::fixture::Fixture;

const SERVICES: [(&str, &str); 2] = [
    ("db", "command = ['/bin/db']\n"),
    ("web", "command = ['/bin/web']\n"),
];

/// A plan that has changed both services and is on disk.
fn applied(fixture: &Fixture, first: bool) -> Applied {
    Applied {
        by: AppliedBy::default(),
        changed: [(fixture.id("db"), false), (fixture.id("web"), false)].into(),
        first,
        rolled_back: false,
        swapped: Swapped {
            stored: true,
            ..Swapped::default()
        },
    }
}

fn begun(fixture: &mut Fixture) -> Probation {
    let mut probation = Probation::default();
    let applied = applied(fixture, false);
    let (cx, verdicts) = fixture.parts();
    probation.begin(cx, verdicts, applied);
    probation
}

#[test]
fn a_plan_has_worked_once_all_that_it_changed_has_stayed_up() {
    let mut fixture = Fixture::new(&SERVICES);
    let mut probation = begun(&mut fixture);
    assert!(probation.on_probation(&fixture.cx).is_empty(), "all is up");
    let early = fixture.pass(PROOF_MS - 1);
    probation.timeout(&mut fixture.cx, early, false);
    assert_eq!(fixture.kept(), 0);
    let due = fixture.pass(1);
    assert_eq!(probation.proven_at, Some(due));
    // The watermark of heard facts counts, not the clock.
    probation.timeout(&mut fixture.cx, early, false);
    assert_eq!(fixture.kept(), 0);
    probation.timeout(&mut fixture.cx, due, false);
    assert_eq!((fixture.kept(), probation.proven_at), (1, None));
}

#[test]
fn a_service_that_ends_meanwhile_takes_the_proof_away() {
    let mut fixture = Fixture::new(&SERVICES);
    let mut probation = begun(&mut fixture);
    let web = fixture.id("web");
    fixture.crash(web);
    let (cx, verdicts) = fixture.parts();
    probation.judge(cx, verdicts, &[web].into());
    assert_eq!(probation.proven_at, None);
    assert_eq!(probation.on_probation(&fixture.cx), [web]);
}

#[test]
fn what_somebody_stops_is_no_part_of_the_proof() {
    let mut fixture = Fixture::new(&SERVICES);
    let web = fixture.id("web");
    let hold = Hold {
        by: "root".to_owned(),
        at_unix_ms: 0,
    };
    fixture.crash(web);
    let mut probation = begun(&mut fixture);
    assert_eq!(probation.on_probation(&fixture.cx), [web]);
    fixture.command(Command::Stop([web].into(), hold));
    fixture.swept(web);
    let (cx, verdicts) = fixture.parts();
    probation.judge(cx, verdicts, &[web].into());
    assert!(probation.on_probation(&fixture.cx).is_empty());
    // A plan applied while the service is held does not wait for it either.
    let next = applied(&fixture, false);
    let (cx, verdicts) = fixture.parts();
    probation.begin(cx, verdicts, next);
    assert!(probation.proven_at.is_some());
}

#[test]
fn what_an_earlier_plan_has_not_proven_is_on_probation_still() {
    let mut fixture = Fixture::new(&SERVICES);
    let web = fixture.id("web");
    fixture.crash(web);
    let mut probation = begun(&mut fixture);
    let next = Applied {
        changed: BTreeMap::new(),
        ..applied(&fixture, false)
    };
    let (cx, verdicts) = fixture.parts();
    probation.begin(cx, verdicts, next);
    assert_eq!(probation.on_probation(&fixture.cx), [web]);
    assert_eq!(fixture.kept(), 0, "the second has changed nothing itself");
}

#[test]
fn nothing_is_proven_of_a_plan_that_is_on_no_disk_or_while_all_is_being_stopped() {
    let mut fixture = Fixture::new(&SERVICES);
    let mut unstored = applied(&fixture, false);
    unstored.swapped.stored = false;
    let mut probation = Probation::default();
    let (cx, verdicts) = fixture.parts();
    probation.begin(cx, verdicts, unstored);
    assert_eq!(probation.proven_at, None);
    let mut probation = begun(&mut fixture);
    let due = fixture.pass(PROOF_MS);
    probation.timeout(&mut fixture.cx, due, true);
    assert_eq!(fixture.kept(), 0);
}

#[test]
fn the_daemons_first_plan_that_had_worked_before_need_not_prove_itself() {
    let mut fixture = Fixture::new(&SERVICES);
    let mut first = applied(&fixture, true);
    first.swapped.has_worked = true;
    let mut probation = Probation::default();
    let (cx, verdicts) = fixture.parts();
    probation.begin(cx, verdicts, first);
    assert_eq!((probation.proven_at, fixture.kept()), (None, 0));
}
