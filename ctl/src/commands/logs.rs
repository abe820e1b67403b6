//! `ctl logs` and `ctl tail`: what services have written. Control characters are escaped, so that a
//! terminal never executes them.
//!
//! After a broken connection, following resumes after the last printed line of each service: every
//! line comes once, or a marker says that lines are gone.

mod arguments;
mod printer;

use std::{fmt::Write as _, time::Duration};

use api::{LogLine, RotateReply};
use client::{
    Context, Error, Format, Kind, escaped,
    render::{json, shown},
    service_query::is_pattern,
    transport_error::TransportError,
};
use jiff::Timestamp;
use tokio::time::{Instant, sleep};

pub(crate) use self::arguments::{Count, EXAMPLES, LogsArgs, TailArgs};
use self::printer::Printer;

/// Text after the command's help.
pub(crate) const TAIL_EXAMPLES: &str = "\
The same as ctl logs -f, with the last 10 lines of each service to begin with.

Examples:
  ctl tail                                  all of them, merged by time
  ctl tail nginx --grep ' 50[0-9] '
  ctl tail mattermost --files               with the files that it writes itself";

/// Lines of each service without `-n`.
const LINES_DEFAULT: u32 = 100;
/// Lines of each service that `tail` begins with.
const TAIL_LINES: u32 = 10;
/// Pause before the next request after a stream that brought no line.
const AGAIN_PAUSE: Duration = Duration::from_millis(200);
/// Longest time that a supervisor which has just started may not know its services yet.
const UNKNOWN_MAX: Duration = Duration::from_secs(5);
/// Most bytes of cursors in one request, which may have 64 KiB in all. Services whose cursors do
/// not fit resume from the moment of the request.
const CURSORS_BYTES_MAX: usize = 56 << 10;

/// `ctl logs`.
pub(crate) async fn run(context: &Context, asked: &LogsArgs) -> Result<u8, Error> {
    if asked.rotate {
        return rotate(context, &asked.which.names).await;
    }
    let lines = asked.which.lines.unwrap_or(Count::Last(LINES_DEFAULT));
    show(context, &asked.which, lines, asked.until, asked.follow).await
}

/// `ctl tail`.
pub(crate) async fn tail(context: &Context, which: &TailArgs) -> Result<u8, Error> {
    let lines = which.lines.unwrap_or(Count::Last(TAIL_LINES));
    show(context, which, lines, None, true).await
}

/// Prints the lines, and follows if asked; following waits for a control process that restarts.
async fn show(
    context: &Context,
    which: &TailArgs,
    lines: Count,
    until: Option<Timestamp>,
    follow: bool,
) -> Result<u8, Error> {
    let began = Timestamp::now();
    let alone = which.names.len() == 1 && !which.names.iter().any(|name| is_pattern(name));
    let mut printer = Printer::new(context, !alone || which.files, &which.names);
    let base = base(which, until, follow);
    let mut path = first(&base, which, lines, until);
    let mut unknown_until: Option<Instant> = None;
    // Whether the supervisor ended the last stream itself: no more lines, or too busy.
    let mut over = false;
    loop {
        let (came, ended) = stream(context, &path, &mut printer).await;
        match ended.map_err(|error| with_place(context, error)) {
            Ok(None) if !follow => return Ok(0),
            Ok(Some(failure)) if !follow => return Err(context.client.explain(failure)),
            Ok(None) => (over, unknown_until) = (true, None),
            Ok(Some(_)) => {
                (over, unknown_until) = (false, Some(Instant::now() + UNKNOWN_MAX));
            }
            Err(error) if over && error.kind == Kind::UnknownService => {
                let message = format!("it has left the plan while it was followed: {error}");
                let error = Error::new(Kind::UnknownService, message);
                return Err(error.hint("who changed what: ctl events --changes"));
            }
            Err(error) => {
                let young = unknown_until.is_some_and(|until| Instant::now() < until);
                if !young || error.kind != Kind::UnknownService {
                    return Err(error);
                }
            }
        }
        if !came {
            sleep(AGAIN_PAUSE).await;
        }
        path = again(&base, which, &printer, began);
        super::wait::reachable(context).await?;
    }
}

/// The part of the path that all requests of this command share.
fn base(which: &TailArgs, until: Option<Timestamp>, follow: bool) -> String {
    let names = escaped(&which.names.join(","));
    let mut path = format!("/v1/logs?services={names}&follow={follow}");
    if let Some(until) = until {
        let _ = write!(path, "&until={until}");
    }
    if let Some(grep) = &which.grep {
        let _ = write!(path, "&grep={}", escaped(grep));
        if which.ignore_case {
            path.push_str("&ignore_case=true");
        }
    }
    if which.files {
        path.push_str("&files=true");
    }
    path
}

/// The first request. Without `-n`, `--since`, `--until` and `--grep` ask for all their lines.
fn first(base: &str, which: &TailArgs, lines: Count, until: Option<Timestamp>) -> String {
    let said = which.since.is_some() || until.is_some() || which.grep.is_some();
    let since = which
        .since
        .map_or_else(String::new, |since| format!("&since={since}"));
    match lines {
        Count::Last(n) if which.lines.is_some() || !said => format!("{base}&lines={n}{since}"),
        Count::All if !said => format!("{base}&since={}", Timestamp::UNIX_EPOCH),
        _ => format!("{base}{since}"),
    }
}

/// The request after a broken connection. A service that has printed nothing yet has no cursor, and
/// resumes from `--since`, or from the start of this command.
fn again(base: &str, which: &TailArgs, printer: &Printer<'_>, began: Timestamp) -> String {
    let mut after = String::new();
    let mut since = which.since.unwrap_or(began);
    for cursor in printer.cursors() {
        let cursor = escaped(cursor);
        if after.len() + cursor.len() > CURSORS_BYTES_MAX {
            since = Timestamp::now();
            break;
        }
        if !after.is_empty() {
            after.push(',');
        }
        after.push_str(&cursor);
    }
    format!("{base}&since={since}&after={after}")
}

/// Adds the place of the log files, which can be read without a supervisor too.
fn with_place(context: &Context, error: Error) -> Error {
    if error.kind != Kind::Unreachable {
        return error;
    }
    let dir = context.root.join("var/log/mattervisor");
    error.hint(format!("the files are {}/SERVICE/current", dir.display()))
}

/// Prints a stream until it ends or breaks; tells whether a line came, and how the stream broke.
async fn stream(
    context: &Context,
    path: &str,
    printer: &mut Printer<'_>,
) -> (bool, Result<Option<TransportError>, Error>) {
    let ended = |failure| match failure {
        failure @ TransportError::Broken(_) => Ok(Some(failure)),
        failure => Err(context.client.explain(failure)),
    };
    let mut lines = match context.client.follow::<LogLine>(path).await {
        Ok(lines) => lines,
        Err(failure) => return (false, ended(failure)),
    };
    let mut came = false;
    loop {
        match lines.next().await {
            Ok(Some(batch)) => {
                came = true;
                if let Err(error) = printer.print(batch) {
                    return (came, Err(error));
                }
            }
            Ok(None) => return (came, Ok(None)),
            Err(failure) => return (came, ended(failure)),
        }
    }
}

/// `ctl logs --rotate`.
async fn rotate(context: &Context, names: &[String]) -> Result<u8, Error> {
    let names = escaped(&names.join(","));
    let path = format!("/v1/logs/rotate?services={names}");
    let explain = |failure| context.client.explain(failure);
    let mut reply = context
        .client
        .post::<RotateReply>(&path, Vec::new())
        .await
        .map_err(explain)?;
    while let Some(replies) = reply.next().await.map_err(explain)? {
        for reply in replies {
            let text = match context.format {
                Format::Json => json::value(&reply, context.terminal())?,
                _ => reply.services.iter().fold(String::new(), |mut text, name| {
                    let _ = writeln!(text, "{}: new log file", shown(name));
                    text
                }),
            };
            context.print(&text)?;
        }
    }
    Ok(0)
}

#[cfg(test)]
mod tests;
