//! `ctl events`: what has happened.

use std::fmt::Write as _;

use api::ServiceEvent;

use super::Context;
use crate::{
    cli::{EventLines, Format},
    error::Error,
    failure::Failure,
    render::{BOLD, DIM, GREEN, PLAIN, RED, YELLOW, json, shown, styled},
};

/// Prints the last events, and goes on if asked.
pub(crate) async fn run(context: &Context, asked: &EventLines) -> Result<u8, Error> {
    let follow = asked.follow;
    let mut path = format!("/v1/events?follow={follow}&n={}", asked.lines);
    loop {
        let failure = match context.client.follow::<ServiceEvent>(&path).await {
            Ok(mut lines) => loop {
                match lines.next().await {
                    Ok(Some(batch)) => print(context, &batch)?,
                    Ok(None) => break None,
                    Err(failure) => break Some(failure),
                }
            },
            Err(failure) => Some(failure),
        };
        match failure {
            None if !follow => return Ok(0),
            None | Some(Failure::Broken(_)) if follow => {}
            Some(failure) => return Err(context.client.explain(failure)),
            None => return Ok(0),
        }
        "/v1/events?follow=true&n=0".clone_into(&mut path);
        super::wait::reachable(context).await?;
        let gap = "the connection broke; events may be missing here";
        context.output.borrow_mut().note(&styled(YELLOW, gap));
    }
}

fn print(context: &Context, batch: &[ServiceEvent]) -> Result<(), Error> {
    let text = match context.format {
        Format::Json => json::lines(batch)?,
        _ => batch.iter().map(line).collect(),
    };
    context.print(&text)
}

fn line(event: &ServiceEvent) -> String {
    let service = if event.service.is_empty() {
        "supervisor"
    } else {
        &event.service
    };
    let style = match (event.kind.as_str(), event.state.as_str()) {
        ("gap", _) => YELLOW,
        (_, "failed" | "backoff") => RED,
        (_, "running" | "completed") if event.ready => GREEN,
        _ => PLAIN,
    };
    let mut words = vec![event.kind.clone()];
    if !event.state.is_empty() {
        words.push(event.state.clone());
    }
    words.extend(event.pid.map(|pid| format!("(pid {pid})")));
    let mut text = words.join(" ");
    if !event.detail.is_empty() {
        let _ = write!(text, ": {}", event.detail);
    }
    if let Some(by) = &event.by {
        let _ = write!(text, " (by {by})");
    }
    let (at, service) = (shown(&event.at), shown(service));
    format!(
        "{DIM}{at}{DIM:#}  {BOLD}{service}{BOLD:#}  {}\n",
        styled(style, &shown(&text))
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Answer, Fake};

    fn event(seq: u64) -> ServiceEvent {
        ServiceEvent {
            seq,
            at: "2026-11-22T12:00:00.000001Z".into(),
            service: "nginx".into(),
            kind: "state".into(),
            state: "backoff".into(),
            ready: false,
            pid: None,
            detail: "exit code 1".into(),
            by: None,
        }
    }

    #[test]
    fn each_event_is_a_line() {
        let daemon = ServiceEvent {
            service: String::new(),
            kind: "change".into(),
            state: String::new(),
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

    #[test]
    fn json_is_one_event_a_line() {
        let text = json::lines(&[event(1), event(2)]).unwrap();
        let ran = Fake::new(vec![Answer::Whole(200, text.clone())]).ctl("events --format json");
        assert_eq!(ran.out, text);
    }

    #[test]
    fn a_broken_stream_is_taken_up_again_and_the_gap_is_said() {
        let refused = r#"{"kind":"busy","message":"enough"}"#;
        let fake = Fake::new(vec![
            Answer::Cut(json::lines(&[event(1)]).unwrap()),
            Answer::Whole(200, "{}".into()),
            Answer::Whole(503, refused.into()),
        ]);
        let ran = fake.ctl("events -f");
        assert_eq!(ran.code, 1);
        assert!(ran.err.starts_with("the connection broke"), "{}", ran.err);
    }
}
