//! `ctl events`: what has happened, who changed what, and how runs ended.

use std::fmt::Write as _;

use api::{ChangeRecord, ExitRecord, ServiceEvent};
use clap::Args;
use clap_complete::ArgValueCompleter;
use client::{
    Context, Error, Format,
    complete::services,
    escaped,
    failure::Failure,
    moment,
    render::{BOLD, DIM, GREEN, PLAIN, RED, YELLOW, json, shown, styled, table},
};
use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};

// Which events to show.
#[derive(Debug, Args)]
pub(crate) struct EventsArgs {
    /// Services; none means all, and the supervisor itself
    #[arg(value_name = "NAME", add = ArgValueCompleter::new(services))]
    pub(crate) names: Vec<String>,
    /// Last events to begin with [default: 50; with --since all that are known]
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) lines: Option<u32>,
    /// Go on with what happens from now on
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Only what happened since then (1h, 30d, today, 10:00, '2026-11-22 10:00')
    #[arg(long, value_name = "WHEN", value_parser = moment::read)]
    pub(crate) since: Option<Timestamp>,
    /// Only what happened before then
    #[arg(long, value_name = "WHEN", value_parser = moment::read)]
    pub(crate) until: Option<Timestamp>,
    /// Who changed what, and how it ended; kept for a year
    #[arg(long, conflicts_with = "follow")]
    pub(crate) changes: bool,
    /// How and why runs ended, and what followed; kept for a year
    #[arg(long, conflicts_with_all = ["follow", "changes"])]
    pub(crate) exits: bool,
}

/// What stands below its help.
pub(crate) const EXAMPLES: &str = "\
WHEN is 30s, 5m, '2 days ago', today, yesterday, 10:30, 2026-11-22, '2026-11-22 10:30' (local time),
or RFC 3339.
Events are kept in memory, the last 4096. Changes are kept on disk for a year: who asked for what,
and how it ended.

Examples:
  ctl events -f nginx                       what happens to nginx from now on
  ctl events --since 1h                     what has happened
  ctl events --exits --since 7d mattermost  how and why it ended, and what followed
  ctl events --changes --since 30d          who changed what
  ctl events --changes --since 2026-11-01 --until 2026-11-08 mattermost
  ctl events --changes --format json | jq 'select(.outcome == \"failed\")'";

/// Lines to begin with, unless a time is given.
const LINES_DEFAULT: u32 = 50;
/// As many events as the supervisor sends at once.
const EVENTS_MAX: u32 = 10_000;
/// As many changes, or ends of runs.
const RECORDS_MAX: u32 = 100_000;
/// Services of one change that are named in a table.
const NAMES_SHOWN: usize = 5;

/// Prints the last events, and goes on if asked.
pub(crate) async fn run(context: &Context, asked: &EventsArgs) -> Result<u8, Error> {
    if asked.changes {
        return records(context, asked, "changes", change_table).await;
    }
    if asked.exits {
        return records(context, asked, "exits", exit_table).await;
    }
    let follow = asked.follow;
    let which = which(asked);
    let lines = asked.lines.unwrap_or(if asked.since.is_some() {
        EVENTS_MAX
    } else {
        LINES_DEFAULT
    });
    let mut path = format!("/v1/events?follow={follow}&n={lines}{which}");
    let mut last = None;
    loop {
        let failure = match context.client.follow::<ServiceEvent>(&path).await {
            Ok(mut lines) => loop {
                match lines.next().await {
                    Ok(Some(batch)) => {
                        print(context, &batch)?;
                        let mut latest = batch.into_iter().rev();
                        last = latest.find(|event| event.kind != "gap").or(last);
                    }
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
        super::wait::reachable(context).await?;
        path = if let Some(seen) = &last {
            go_on(asked, seen)
        } else {
            // There is no event to go on from.
            let gap = "the connection broke; events may be missing here";
            context.output.borrow_mut().note(&styled(YELLOW, gap));
            format!("/v1/events?follow=true&n=0{which}")
        };
    }
}

/// Asks for all that came after the last event that was seen. What is missing the supervisor says.
fn go_on(asked: &EventsArgs, seen: &ServiceEvent) -> String {
    let which = query(&asked.names, None, asked.until);
    let (seq, at) = (seen.seq, escaped(&seen.at));
    format!("/v1/events?follow=true&n={EVENTS_MAX}{which}&since={at}&after={seq}")
}

/// Names and times, for the query.
fn which(asked: &EventsArgs) -> String {
    query(&asked.names, asked.since, asked.until)
}

fn query(names: &[String], since: Option<Timestamp>, until: Option<Timestamp>) -> String {
    let mut query = String::new();
    if !names.is_empty() {
        let _ = write!(query, "&services={}", escaped(&names.join(",")));
    }
    for (key, moment) in [("since", since), ("until", until)] {
        if let Some(moment) = moment {
            let _ = write!(query, "&{key}={}", escaped(&moment.to_string()));
        }
    }
    query
}

/// Records that are kept for a year: the last ones, or all since a time that is given.
async fn records<T: Serialize + DeserializeOwned>(
    context: &Context,
    asked: &EventsArgs,
    what: &str,
    table: impl Fn(&[T]) -> String,
) -> Result<u8, Error> {
    let lines = asked.lines.unwrap_or(if asked.since.is_some() {
        RECORDS_MAX
    } else {
        LINES_DEFAULT
    });
    let path = format!("/v1/{what}?n={lines}{}", which(asked));
    let explain = |failure| context.client.explain(failure);
    let mut stream = context.client.follow::<T>(&path).await.map_err(explain)?;
    let mut records = Vec::new();
    while let Some(mut batch) = stream.next().await.map_err(explain)? {
        records.append(&mut batch);
    }
    context.print(&match context.format {
        Format::Json => json::lines(&records)?,
        _ => table(&records),
    })?;
    Ok(0)
}

fn change_table(records: &[ChangeRecord]) -> String {
    let row = |record: &ChangeRecord| {
        let style = match record.outcome.as_str() {
            "done" => GREEN,
            "failed" | "refused" => RED,
            _ => YELLOW,
        };
        let field = |text: &str| table::plain(shown(text));
        let services = match record.services.len() {
            0 => "-".to_owned(),
            many if many > NAMES_SHOWN => {
                let first = record.services[..NAMES_SHOWN].join(" ");
                format!("{first} and {} more", many - NAMES_SHOWN)
            }
            _ => record.services.join(" "),
        };
        let mut outcome = record.outcome.clone();
        if !record.detail.is_empty() {
            let _ = write!(outcome, ": {}", text::one_line(&record.detail));
        }
        vec![
            (DIM, shown(&record.at).into_owned()),
            field(&record.by),
            (BOLD, shown(&record.what).into_owned()),
            field(&services),
            (style, shown(&outcome).into_owned()),
        ]
    };
    let rows: Vec<_> = records.iter().map(row).collect();
    let lines = table::columns(&["AT", "BY", "WHAT", "SERVICES", "OUTCOME"], &rows);
    lines.join("\n") + "\n"
}

fn exit_table(records: &[ExitRecord]) -> String {
    let row = |record: &ExitRecord| {
        let style = if record.is_automatic_restart() {
            RED
        } else {
            PLAIN
        };
        vec![
            (DIM, shown(&record.at).into_owned()),
            (BOLD, shown(&record.service).into_owned()),
            table::plain(
                record
                    .pid
                    .map_or_else(|| "-".to_owned(), |pid| pid.to_string()),
            ),
            (style, shown(&record.to_string()).into_owned()),
        ]
    };
    let rows: Vec<_> = records.iter().map(row).collect();
    let lines = table::columns(&["AT", "SERVICE", "PID", "HOW IT ENDED"], &rows);
    lines.join("\n") + "\n"
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
    // The words about an end of a run say what the service is after it.
    if !event.state.is_empty() && event.exit.is_none() {
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
    use crate::testing::{Answer, Fake, exit};

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
            exit: None,
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

    fn change(what: &str, services: &[&str], outcome: &str, detail: &str) -> ChangeRecord {
        ChangeRecord {
            id: "x".into(),
            at: "2026-11-22T12:00:00.000Z".into(),
            by: "alice (uid 1000)".into(),
            uid: 1000,
            what: what.into(),
            services: services.iter().map(|&name| name.into()).collect(),
            outcome: outcome.into(),
            detail: detail.into(),
            ended_at: None,
        }
    }

    #[test]
    fn changes_are_a_table_and_json_lines() {
        let records = [
            change("restart", &["nginx"], "done", ""),
            change(
                "stop",
                &["a", "b", "c", "d", "e", "f", "g"],
                "failed",
                "a: stopping",
            ),
            change("reconfigure", &[], "accepted", ""),
            change(
                "reconfigure",
                &[],
                "refused",
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
            kind: "exit".into(),
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
        let ran =
            fake.ctl("events --since 2026-11-01T00:00:00Z --until 2026-11-02T00:00:00Z nginx");
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
}
