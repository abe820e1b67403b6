//! What became of each line: converted, not needed here, or in need of a person; and what is new.

use std::fmt;

use serde::Serialize;

/// Source of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    /// Line of gitlab.rb, from 1.
    Line(usize),
    /// The file gitlab-secrets.json.
    Secrets,
    /// The directory of variables.
    EnvDir,
    /// No file: GitLab's package sets the value by itself.
    Package,
    /// The state of this machine.
    Machine,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::Secrets => f.write_str("gitlab-secrets.json"),
            Self::EnvDir => f.write_str("env directory"),
            Self::Package => f.write_str("GitLab's package"),
            Self::Machine => f.write_str("this machine"),
        }
    }
}

/// What the import did with a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Disposition {
    /// Converted to these keys of the site file.
    Converted(Vec<String>),
    /// Not needed here, for this reason.
    NotNeeded(String),
    /// A person has to decide, for this reason.
    Person(String),
    /// Added by the import, for this reason.
    New(String),
}

impl Disposition {
    /// [`Disposition::NotNeeded`] for this reason.
    pub(crate) fn not_needed(why: impl Into<String>) -> Self {
        Self::NotNeeded(why.into())
    }

    /// [`Disposition::Person`] for this reason.
    pub(crate) fn person(why: impl Into<String>) -> Self {
        Self::Person(why.into())
    }
}

/// One line of the report.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) origin: Origin,
    /// The setting, as its source names it; may be empty.
    pub(crate) what: String,
    /// The statement, without secrets; may be empty.
    pub(crate) text: String,
    pub(crate) fate: Disposition,
    /// A further remark for the reader.
    pub(crate) remark: Option<String>,
}

/// The whole report.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    /// Names of the inputs.
    pub(crate) read: Vec<String>,
    pub(crate) lines: Vec<Line>,
    /// Steps to do next, in order.
    pub(crate) next: Vec<String>,
}

impl Report {
    /// Adds a line and returns its number.
    pub(crate) fn add(&mut self, line: Line) -> usize {
        self.lines.push(line);
        self.lines.len() - 1
    }

    /// Adds a line for a person that belongs to no statement.
    pub(crate) fn person(&mut self, origin: Origin, what: &str, why: impl Into<String>) {
        self.add(Line {
            origin,
            what: what.to_owned(),
            text: String::new(),
            fate: Disposition::person(why),
            remark: None,
        });
    }

    /// How many lines are converted, not needed, and for a person.
    pub(crate) fn counts(&self) -> [usize; 3] {
        let count = |wanted: fn(&Disposition) -> bool| {
            let of = self.lines.iter().filter(|line| wanted(&line.fate));
            of.count()
        };
        [
            count(|it| matches!(it, Disposition::Converted(_))),
            count(|it| matches!(it, Disposition::NotNeeded(_))),
            count(|it| matches!(it, Disposition::Person(_))),
        ]
    }
}

/// The report for programs.
#[derive(Debug, Serialize)]
pub(crate) struct Json<'r> {
    read: &'r [String],
    converted: Vec<JsonLine<'r>>,
    not_needed: Vec<JsonLine<'r>>,
    person: Vec<JsonLine<'r>>,
    new: Vec<JsonLine<'r>>,
    next: &'r [String],
    /// The site file, when it was not written.
    #[serde(skip_serializing_if = "Option::is_none")]
    site: Option<&'r str>,
    written: Vec<String>,
}

#[derive(Debug, Serialize)]
struct JsonLine<'r> {
    origin: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    setting: &'r str,
    text: &'r str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    keys: &'r [String],
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    remark: Option<&'r str>,
}

impl Report {
    /// The report for programs. `site`: the site file's text, if no file was written.
    pub(crate) fn json<'r>(&'r self, site: Option<&'r str>, written: Vec<String>) -> Json<'r> {
        let mut json = Json {
            read: &self.read,
            converted: Vec::new(),
            not_needed: Vec::new(),
            person: Vec::new(),
            new: Vec::new(),
            next: &self.next,
            site,
            written,
        };
        for line in &self.lines {
            let (list, keys, reason): (_, &[String], &str) = match &line.fate {
                Disposition::Converted(keys) => (&mut json.converted, keys, ""),
                Disposition::NotNeeded(why) => (&mut json.not_needed, &[], why),
                Disposition::Person(why) => (&mut json.person, &[], why),
                Disposition::New(why) => (&mut json.new, &[], why),
            };
            list.push(JsonLine {
                origin: line.origin.to_string(),
                line: match line.origin {
                    Origin::Line(line) => Some(line),
                    _ => None,
                },
                setting: &line.what,
                text: &line.text,
                keys,
                reason,
                remark: line.remark.as_deref(),
            });
        }
        json
    }
}
