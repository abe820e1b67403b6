//! `ctl logs` and `ctl tail`: what services have written. What they wrote is shown, not executed.

use std::fmt::Write as _;

use std::collections::BTreeMap;

use anstyle::{AnsiColor, Style};
use api::LogLine;
use jiff::Timestamp;

use super::Context;
use crate::{
    cli::Format,
    client::escaped,
    error::{Error, Kind},
    failure::Failure,
    names::is_pattern,
    render::{DIM, PLAIN, YELLOW, json, shown},
};

/// Lines asked for again after a broken connection; those already shown are left out.
const AGAIN_LINES: u32 = 1000;
/// Services get these in the order of their appearance.
const COLOURS: [AnsiColor; 6] = [
    AnsiColor::Cyan,
    AnsiColor::Green,
    AnsiColor::Magenta,
    AnsiColor::Blue,
    AnsiColor::BrightCyan,
    AnsiColor::BrightMagenta,
];

/// Prints the last lines, and goes on if asked; then a control process that restarts is waited for.
pub(crate) async fn run(
    context: &Context,
    names: &[String],
    lines: u32,
    follow: bool,
) -> Result<u8, Error> {
    let alone = names.len() == 1 && !names.iter().any(|name| is_pattern(name));
    let mut printer = Printer {
        context,
        prefix: !alone,
        width: names.iter().map(String::len).max().unwrap_or(0),
        colours: BTreeMap::new(),
        last: BTreeMap::new(),
        floor: String::new(),
    };
    let names = escaped(&names.join(","));
    let mut path = format!("/v1/logs?services={names}&lines={lines}&follow={follow}");
    loop {
        let ended = stream(context, &path, &mut printer).await;
        match ended.map_err(|error| with_place(context, error))? {
            None if !follow => return Ok(0),
            Some(failure) if !follow => return Err(context.client.explain(failure)),
            _ => {}
        }
        if printer.floor.is_empty() {
            printer.floor = Timestamp::now().to_string();
        }
        path = format!("/v1/logs?services={names}&lines={AGAIN_LINES}&follow=true");
        super::wait::reachable(context).await?;
    }
}

/// Logs can be read without a supervisor too; says where they are.
fn with_place(context: &Context, error: Error) -> Error {
    if error.kind != Kind::Unreachable {
        return error;
    }
    let dir = context.root.join("var/log/mattervisor");
    error.hint(format!("the files are {}/SERVICE/current", dir.display()))
}

/// Until the stream ends, or breaks.
async fn stream(
    context: &Context,
    path: &str,
    printer: &mut Printer<'_>,
) -> Result<Option<Failure>, Error> {
    let mut lines = match context.client.follow::<LogLine>(path).await {
        Ok(lines) => lines,
        Err(failure @ Failure::Broken(_)) => return Ok(Some(failure)),
        Err(failure) => return Err(context.client.explain(failure)),
    };
    loop {
        match lines.next().await {
            Ok(Some(batch)) => printer.print(batch)?,
            Ok(None) => return Ok(None),
            Err(failure @ Failure::Broken(_)) => return Ok(Some(failure)),
            Err(failure) => return Err(context.client.explain(failure)),
        }
    }
}

struct Printer<'a> {
    context: &'a Context,
    prefix: bool,
    width: usize,
    colours: BTreeMap<String, Style>,
    /// The stamp of the last line shown of each service.
    last: BTreeMap<String, String>,
    /// After a broken connection: nothing older is shown of a service that had shown nothing.
    floor: String,
}

impl Printer<'_> {
    fn print(&mut self, mut batch: Vec<LogLine>) -> Result<(), Error> {
        if !self.floor.is_empty() {
            batch.retain(|line| {
                let last = self.last.get(&line.service).unwrap_or(&self.floor);
                line.marker || line.at > *last
            });
        }
        for line in &batch {
            if !line.at.is_empty() {
                self.last.insert(line.service.clone(), line.at.clone());
            }
        }
        let text = match self.context.format {
            Format::Json => json::lines(&batch)?,
            _ => batch.iter().map(|line| self.line(line)).collect(),
        };
        self.context.print(&text)
    }

    fn line(&mut self, line: &LogLine) -> String {
        let mut text = String::new();
        if self.prefix {
            let next =
                Style::new().fg_color(Some(COLOURS[self.colours.len() % COLOURS.len()].into()));
            let style = *self.colours.entry(line.service.clone()).or_insert(next);
            let name = shown(&line.service);
            self.width = self.width.max(name.len());
            let _ = write!(text, "{style}{name:<0$}{style:#}  ", self.width);
        }
        if !line.at.is_empty() {
            let _ = write!(text, "{DIM}{}{DIM:#} ", shown(&line.at));
        }
        let style = if line.marker { YELLOW } else { PLAIN };
        let _ = writeln!(text, "{style}{}{style:#}", shown(&line.text));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Answer, Fake, ctl, ctl_unread};

    fn line(service: &str, second: u32, text: &str) -> LogLine {
        LogLine {
            service: service.into(),
            file: None,
            at: format!("2999-11-22T12:00:{second:02}.000000Z"),
            text: text.into(),
            marker: false,
        }
    }

    #[test]
    fn one_service_has_no_prefix_and_escapes_are_shown() {
        let text = json::lines(&[line("nginx", 1, "\x1b]0;owned\x07 hello")]).unwrap();
        let fake = Fake::new(vec![Answer::Whole(200, text)]);
        let ran = fake.ctl("logs nginx -n 5");
        assert_eq!(
            ran.out,
            "2999-11-22T12:00:01.000000Z \\x1b]0;owned\\x07 hello\n"
        );
        assert_eq!(
            fake.requests(),
            ["GET /v1/logs?services=nginx&lines=5&follow=false HTTP/1.1"]
        );
    }

    #[test]
    fn without_a_supervisor_it_says_where_the_files_are() {
        let ran = ctl("ctl --root /nonexistent logs nginx");
        assert_eq!(ran.code, 5);
        let place = "/nonexistent/var/log/mattervisor/SERVICE/current";
        assert!(ran.err.contains(place), "{}", ran.err);
    }

    #[test]
    fn several_services_are_told_apart() {
        let text = json::lines(&[line("nginx", 1, "a"), line("mattermost", 2, "b")]).unwrap();
        let ran = Fake::new(vec![Answer::Whole(200, text)]).ctl("logs nginx mattermost");
        assert_eq!(
            ran.out,
            "nginx       2999-11-22T12:00:01.000000Z a\nmattermost  2999-11-22T12:00:02.000000Z b\n"
        );
    }

    #[test]
    fn following_goes_on_after_a_restart_of_the_control_process_without_repeating() {
        let refused = r#"{"kind":"busy","message":"enough"}"#;
        let fake = Fake::new(vec![
            Answer::Cut(json::lines(&[line("nginx", 1, "one")]).unwrap()),
            Answer::Whole(200, "{}".into()),
            Answer::Cut(json::lines(&[line("nginx", 1, "one"), line("nginx", 2, "two")]).unwrap()),
            Answer::Whole(200, "{}".into()),
            Answer::Whole(503, refused.into()),
        ]);
        let ran = fake.ctl("tail nginx");
        assert_eq!(ran.code, 1);
        let texts: Vec<&str> = ran.out.lines().map(|line| &line[28..]).collect();
        assert_eq!(texts, ["one", "two"]);
    }

    #[test]
    fn a_reader_that_goes_away_ends_it_quietly() {
        let text = json::lines(&[line("nginx", 1, "a")]).unwrap();
        let fake = Fake::new(vec![Answer::Stall(text)]);
        let root = fake.root.path().display();
        assert_eq!(ctl_unread(&format!("ctl --root {root} logs -f")), 0);
    }
}
