//! Log lines as text: for people with a label and a colour for each service, as JSON, or as
//! `gitlab-ctl tail` prints them.

use std::{collections::BTreeMap, fmt::Write as _};

use anstyle::{AnsiColor, Style};
use api::LogLine;
use client::{
    Context, Error, Format,
    render::{DIM, PLAIN, YELLOW, json, shown},
};

/// Colours of the services, in the order of their first lines.
const COLOURS: [AnsiColor; 6] = [
    AnsiColor::Cyan,
    AnsiColor::Green,
    AnsiColor::Magenta,
    AnsiColor::Blue,
    AnsiColor::BrightCyan,
    AnsiColor::BrightMagenta,
];
/// Greatest width to which labels are padded; a longer label sticks out.
const WIDTH_MAX: usize = 32;

/// Prints lines; keeps the state on which the next line depends.
pub(super) struct Printer<'a> {
    context: &'a Context,
    /// Whether each line begins with its service's name.
    label: bool,
    width: usize,
    colours: BTreeMap<String, Style>,
    /// Last file header of the form that `tail` prints.
    header: String,
    /// Last cursor of each service and file.
    cursors: BTreeMap<(String, Option<String>), String>,
}

impl<'a> Printer<'a> {
    pub(super) fn new(context: &'a Context, label: bool, names: &[String]) -> Self {
        Self {
            context,
            label,
            width: names.iter().map(String::len).max().unwrap_or(0),
            colours: BTreeMap::new(),
            header: String::new(),
            cursors: BTreeMap::new(),
        }
    }

    /// Prints the lines, and keeps the cursors from which to resume.
    pub(super) fn print(&mut self, batch: Vec<LogLine>) -> Result<(), Error> {
        let text = match self.context.format {
            Format::Json => json::lines(&batch)?,
            Format::Runit => batch.iter().map(|line| self.tail(line)).collect(),
            Format::Table => batch.iter().map(|line| self.line(line)).collect(),
        };
        self.context.print(&text)?;
        for line in batch.into_iter().filter(|line| !line.cursor.is_empty()) {
            self.cursors.insert((line.service, line.file), line.cursor);
        }
        Ok(())
    }

    /// Cursors of the last printed line of each service and file.
    pub(super) fn cursors(&self) -> impl Iterator<Item = &str> {
        self.cursors.values().map(String::as_str)
    }

    fn line(&mut self, line: &LogLine) -> String {
        let mut text = String::new();
        if self.label {
            let next =
                Style::new().fg_color(Some(COLOURS[self.colours.len() % COLOURS.len()].into()));
            let style = match self.colours.get(&line.service) {
                Some(style) => *style,
                None => *self.colours.entry(line.service.clone()).or_insert(next),
            };
            let mut name = shown(&line.service).into_owned();
            if let Some(file) = &line.file {
                let _ = write!(name, ":{}", shown(file.rsplit('/').next().unwrap_or(file)));
            }
            self.width = self.width.max(name.chars().count()).min(WIDTH_MAX);
            let _ = write!(text, "{style}{name:<0$}{style:#}  ", self.width);
        }
        if !line.at.is_empty() {
            let _ = write!(text, "{DIM}{}{DIM:#} ", shown(&line.at));
        }
        let style = if line.marker { YELLOW } else { PLAIN };
        let _ = writeln!(text, "{style}{}{style:#}", shown(&line.text));
        text
    }

    /// A line as `tail --follow` of the files would print it.
    fn tail(&mut self, line: &LogLine) -> String {
        let mut text = String::new();
        let path = line.file.clone().unwrap_or_else(|| {
            let logs = self.context.root.join("var/log/mattervisor");
            logs.join(&line.service)
                .join("current")
                .display()
                .to_string()
        });
        if self.header != path {
            let blank = if self.header.is_empty() { "" } else { "\n" };
            let _ = writeln!(text, "{blank}==> {} <==", shown(&path));
            self.header = path;
        }
        if line.file.is_none() && !line.at.is_empty() {
            let _ = write!(text, "{} ", shown(&line.at));
        }
        let _ = writeln!(text, "{}", shown(&line.text));
        text
    }
}
