//! `ctl events`: what has happened, who changed what, and how runs ended.
//!
//! Events come from the supervisor's memory and can be followed. After a broken connection the
//! stream resumes after the last event that was seen, or says that events are missing. `records`
//! has the changes and the ends of runs, which the supervisor keeps on disk.

mod records;

use std::fmt::Write as _;

use api::{EventKind, ServiceEvent, ServiceState};
use clap::Args;
use clap_complete::ArgValueCompleter;
use client::{
    Context, Error, Format,
    complete::services,
    escaped,
    render::{BOLD, DIM, GREEN, PLAIN, RED, YELLOW, json, shown, styled},
    time_arg,
    transport_error::TransportError,
};
use jiff::Timestamp;

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
    #[arg(long, value_name = "WHEN", value_parser = time_arg::read)]
    pub(crate) since: Option<Timestamp>,
    /// Only what happened before then
    #[arg(long, value_name = "WHEN", value_parser = time_arg::read)]
    pub(crate) until: Option<Timestamp>,
    /// Who changed what, and how it ended; kept for a year
    #[arg(long, conflicts_with = "follow")]
    pub(crate) changes: bool,
    /// How and why runs ended, and what followed; kept for a year
    #[arg(long, conflicts_with_all = ["follow", "changes"])]
    pub(crate) exits: bool,
}

/// Text after the command's help.
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
/// Most events that the supervisor sends at once.
const EVENTS_MAX: u32 = 10_000;

/// Prints the last events, and follows new events if asked.
pub(crate) async fn run(context: &Context, asked: &EventsArgs) -> Result<u8, Error> {
    if asked.changes {
        return records::changes(context, asked).await;
    }
    if asked.exits {
        return records::exits(context, asked).await;
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
                        last = latest.find(|event| event.kind != EventKind::Gap).or(last);
                    }
                    Ok(None) => break None,
                    Err(failure) => break Some(failure),
                }
            },
            Err(failure) => Some(failure),
        };
        match failure {
            None if !follow => return Ok(0),
            None | Some(TransportError::Broken(_)) if follow => {}
            Some(failure) => return Err(context.client.explain(failure)),
            None => return Ok(0),
        }
        super::wait::reachable(context).await?;
        path = if let Some(seen) = &last {
            go_on(asked, seen)
        } else {
            // No event was seen from which to resume: the stream goes on from now.
            let gap = "the connection broke; events may be missing here";
            context.output.borrow_mut().note(&styled(YELLOW, gap));
            format!("/v1/events?follow=true&n=0{which}")
        };
    }
}

/// The request for all events after the last one that was seen. The supervisor reports missing
/// events.
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
    let style = match (event.kind, event.state) {
        (EventKind::Gap, _) => YELLOW,
        (_, Some(ServiceState::Failed | ServiceState::Backoff)) => RED,
        (_, Some(ServiceState::Running | ServiceState::Completed)) if event.ready => GREEN,
        _ => PLAIN,
    };
    let mut words = vec![event.kind.to_string()];
    // The text about an end of a run tells the state that follows.
    let state = event.state.filter(|_| event.exit.is_none());
    words.extend(state.map(|state| state.to_string()));
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
mod tests;
