//! Records that the supervisor keeps on disk for a year: changes, and ends of runs.

use std::fmt::Write as _;

use api::{ChangeOutcome, ChangeRecord, ExitRecord};
use client::{
    Context, Error, Format,
    render::{BOLD, DIM, GREEN, PLAIN, RED, YELLOW, json, shown, table},
};
use serde::{Serialize, de::DeserializeOwned};

use super::{EventsArgs, LINES_DEFAULT};

/// Most records that the supervisor sends at once.
const RECORDS_MAX: u32 = 100_000;
/// Most services of one change that the table names.
const NAMES_SHOWN: usize = 5;

/// Prints who changed what, and how each change ended.
pub(super) async fn changes(context: &Context, asked: &EventsArgs) -> Result<u8, Error> {
    print(context, asked, "changes", change_table).await
}

/// Prints how and why runs ended, and what followed.
pub(super) async fn exits(context: &Context, asked: &EventsArgs) -> Result<u8, Error> {
    print(context, asked, "exits", exit_table).await
}

/// Prints the last records, or all since a time that is given.
async fn print<T: Serialize + DeserializeOwned>(
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
    let path = format!("/v1/{what}?n={lines}{}", super::which(asked));
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
        let style = match record.outcome {
            ChangeOutcome::Done => GREEN,
            ChangeOutcome::Failed | ChangeOutcome::Refused => RED,
            ChangeOutcome::Accepted => YELLOW,
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
        let mut outcome = record.outcome.to_string();
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
