//! `ctl events` against a fake supervisor with prepared answers.

use api::{ChangeOutcome, ChangeRecord};

use super::*;
use crate::testing::{Answer, Fake, exit};

fn event(seq: u64) -> ServiceEvent {
    ServiceEvent {
        seq,
        at: "2026-11-22T12:00:00.000001Z".into(),
        service: "nginx".into(),
        kind: EventKind::State,
        state: Some(ServiceState::Backoff),
        ready: false,
        pid: None,
        detail: "exit code 1".into(),
        by: None,
        exit: None,
    }
}

#[test]
fn each_event_is_a_line() {
    let daemon = ServiceEvent {
        service: String::new(),
        kind: EventKind::Change,
        state: None,
        detail: "restart nginx".into(),
        by: Some("root".into()),
        ..event(2)
    };
    let text = json::lines(&[event(1), daemon]).unwrap();
    let fake = Fake::new(vec![Answer::Whole(200, text)]);
    let ran = fake.ctl("events -n 2");
    insta::assert_snapshot!(ran.out, @r"
    2026-11-22T12:00:00.000001Z  nginx  state backoff: exit code 1
    2026-11-22T12:00:00.000001Z  supervisor  change: restart nginx (by root)
    ");
    assert_eq!(
        fake.requests(),
        ["GET /v1/events?follow=false&n=2 HTTP/1.1"]
    );
}

fn change(what: &str, services: &[&str], outcome: ChangeOutcome, detail: &str) -> ChangeRecord {
    ChangeRecord {
        id: "x".into(),
        at: "2026-11-22T12:00:00.000Z".into(),
        by: "alice (uid 1000)".into(),
        uid: 1000,
        what: what.into(),
        services: services.iter().map(|&name| name.into()).collect(),
        outcome,
        detail: detail.into(),
        ended_at: None,
    }
}

#[test]
fn changes_are_a_table_and_json_lines() {
    let records = [
        change("restart", &["nginx"], ChangeOutcome::Done, ""),
        change(
            "stop",
            &["a", "b", "c", "d", "e", "f", "g"],
            ChangeOutcome::Failed,
            "a: stopping",
        ),
        change("reconfigure", &[], ChangeOutcome::Accepted, ""),
        change(
            "reconfigure",
            &[],
            ChangeOutcome::Refused,
            "it does not check:\n/x:1: no\n  hint: yes",
        ),
    ];
    let text = json::lines(&records).unwrap();
    let fake = Fake::new(vec![
        Answer::Whole(200, text.clone()),
        Answer::Whole(200, text.clone()),
    ]);
    let ran = fake.ctl("events --changes --since 2026-11-01T00:00:00Z nginx web-*");
    insta::assert_snapshot!(ran.out, @r"
    AT                        BY                WHAT         SERVICES              OUTCOME
    2026-11-22T12:00:00.000Z  alice (uid 1000)  restart      nginx                 done
    2026-11-22T12:00:00.000Z  alice (uid 1000)  stop         a b c d e and 2 more  failed: a: stopping
    2026-11-22T12:00:00.000Z  alice (uid 1000)  reconfigure  -                     accepted
    2026-11-22T12:00:00.000Z  alice (uid 1000)  reconfigure  -                     refused: it does not check: /x:1: no; hint: yes
    ");
    assert_eq!(fake.ctl("events --changes --format json").out, text);
    assert_eq!(
        fake.requests(),
        [
            "GET /v1/changes?n=100000&services=nginx,web-%2A&since=2026-11-01T00%3A00%3A00Z HTTP/1.1",
            "GET /v1/changes?n=50 HTTP/1.1"
        ]
    );
}

#[test]
fn ends_of_runs_are_events_and_a_table_and_json_lines() {
    let event = ServiceEvent {
        kind: EventKind::Exit,
        pid: Some(812),
        detail: exit("nginx").to_string(),
        exit: Some(Box::new(exit("nginx"))),
        ..event(3)
    };
    let records = json::lines(&[exit("nginx")]).unwrap();
    let fake = Fake::new(vec![
        Answer::Whole(200, json::lines(&[event]).unwrap()),
        Answer::Whole(200, records.clone()),
        Answer::Whole(200, records.clone()),
    ]);
    insta::assert_snapshot!(fake.ctl("events").out, @"2026-11-22T12:00:00.000001Z  nginx  exit (pid 812): killed by KILL after 3h2m; starts again at once");
    let ran = fake.ctl("events --exits --since 2026-11-01T00:00:00Z nginx");
    insta::assert_snapshot!(ran.out, @r"
    AT                        SERVICE  PID  HOW IT ENDED
    2026-11-22T03:12:07.123Z  nginx    812  killed by KILL after 3h2m; starts again at once
    ");
    assert_eq!(fake.ctl("events --exits --format json").out, records);
    assert_eq!(
        fake.requests()[1..],
        [
            "GET /v1/exits?n=100000&services=nginx&since=2026-11-01T00%3A00%3A00Z HTTP/1.1",
            "GET /v1/exits?n=50 HTTP/1.1"
        ]
    );
    assert_eq!(crate::testing::ctl("ctl events --exits -f").code, 2);
    assert_eq!(crate::testing::ctl("ctl events --exits --changes").code, 2);
}

#[test]
fn names_and_times_are_asked_for() {
    let fake = Fake::new(vec![Answer::Whole(200, String::new())]);
    let ran = fake.ctl("events --since 2026-11-01T00:00:00Z --until 2026-11-02T00:00:00Z nginx");
    assert_eq!((ran.code, ran.out.as_str()), (0, ""));
    assert_eq!(
        fake.requests(),
        [
            "GET /v1/events?follow=false&n=10000&services=nginx&since=2026-11-01T00%3A00%3A00Z&until=2026-11-02T00%3A00%3A00Z HTTP/1.1"
        ]
    );
    assert_eq!(crate::testing::ctl("ctl events --changes -f").code, 2);
    assert_eq!(crate::testing::ctl("ctl events --since soon").code, 2);
}

#[test]
fn json_is_one_event_a_line() {
    let text = json::lines(&[event(1), event(2)]).unwrap();
    let ran = Fake::new(vec![Answer::Whole(200, text.clone())]).ctl("events --format json");
    assert_eq!(ran.out, text);
}

#[test]
fn a_broken_stream_is_taken_up_after_the_last_event() {
    let refused = r#"{"kind":"busy","message":"enough"}"#;
    let fake = Fake::new(vec![
        Answer::Cut(json::lines(&[event(1), event(7)]).unwrap()),
        Answer::Whole(200, "{}".into()),
        Answer::Whole(503, refused.into()),
    ]);
    let ran = fake.ctl("events -f --since 1h nginx");
    assert_eq!((ran.code, ran.err.as_str()), (1, "error: enough\n"));
    assert_eq!(
        fake.requests()[2],
        "GET /v1/events?follow=true&n=10000&services=nginx&since=2026-11-22T12%3A00%3A00.000001Z&after=7 HTTP/1.1"
    );
}

#[test]
fn a_stream_that_broke_before_any_event_says_so() {
    let refused = r#"{"kind":"busy","message":"enough"}"#;
    let fake = Fake::new(vec![
        Answer::Cut(String::new()),
        Answer::Whole(200, "{}".into()),
        Answer::Whole(503, refused.into()),
    ]);
    let ran = fake.ctl("events -f");
    assert_eq!(ran.code, 1);
    assert!(ran.err.starts_with("the connection broke"), "{}", ran.err);
}
