//! Problems: what is wrong, where, and what to do about it.
//!
//! Owner: everything in this crate reports into a [`Report`]; [`crate::load::plan::load()`] hands
//! out either all of it as [`Problems`] or, when nothing is an error, the rest as remarks of the
//! plan.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

pub use api::Severity;

use crate::report::place::Place;

/// One problem. Displays as `file:line: error: key: message` and, on a line of its own, the hint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// How bad the problem is.
    pub severity: Severity,
    /// The file with the problem.
    pub file: PathBuf,
    /// Line from 1; none: the file as a whole.
    pub line: Option<u32>,
    /// Column in characters from 1.
    pub column: Option<u32>,
    /// Dotted key; empty when the problem is not about a key.
    pub key: String,
    /// The fault, lower case.
    pub message: String,
    /// Hint how to correct it.
    pub hint: Option<String>,
    /// Service and name of the variable that the problem is about; none: it is about no variable.
    pub variable: Option<(String, String)>,
    /// The operating system refused to read the file: another account may be let in.
    pub denied: bool,
}

impl Problem {
    /// Adds what to do next.
    pub(crate) fn hint(&mut self, hint: impl Into<String>) {
        self.hint = Some(hint.into());
    }

    /// Adds a hint when there is one.
    pub(crate) fn hint_some(&mut self, hint: Option<String>) {
        if hint.is_some() {
            self.hint = hint;
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        write!(f, " {}: ", self.severity)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}

/// All problems of all files, sorted by file and line; at least one is an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Gathers problems.
#[derive(Debug, Default)]
pub(crate) struct Report {
    list: Vec<Problem>,
    /// Files with syntax errors, each with the line of its first one.
    unreadable: BTreeMap<PathBuf, u32>,
}

impl Report {
    pub(crate) fn error(
        &mut self,
        at: &Place,
        key: impl Into<String>,
        message: impl Into<String>,
    ) -> &mut Problem {
        self.add(Severity::Error, at, key.into(), message.into())
    }

    pub(crate) fn warning(
        &mut self,
        at: &Place,
        key: impl Into<String>,
        message: impl Into<String>,
    ) -> &mut Problem {
        self.add(Severity::Warning, at, key.into(), message.into())
    }

    pub(crate) fn note(
        &mut self,
        at: &Place,
        key: impl Into<String>,
        message: impl Into<String>,
    ) -> &mut Problem {
        self.add(Severity::Note, at, key.into(), message.into())
    }

    fn add(
        &mut self,
        severity: Severity,
        at: &Place,
        key: String,
        message: String,
    ) -> &mut Problem {
        let position = at.position();
        self.list.push(Problem {
            severity,
            file: at.file().to_owned(),
            line: position.map(|(line, _)| line),
            column: position.map(|(_, column)| column),
            key,
            message,
            hint: None,
            variable: None,
            denied: false,
        });
        let last = self.list.len() - 1;
        &mut self.list[last]
    }

    /// Notes a syntax error: from its line on, other problems of the file may follow from it.
    pub(crate) fn unreadable(&mut self, file: &Path, line: Option<u32>) {
        let line = line.unwrap_or_default();
        let first = self.unreadable.entry(file.to_owned()).or_insert(line);
        *first = line.min(*first);
    }

    /// Whether the problem is about a key behind the first syntax error of its file.
    fn follows(&self, problem: &Problem) -> bool {
        let first = self.unreadable.get(&problem.file);
        !problem.key.is_empty() && first.is_some_and(|first| problem.line >= Some(*first))
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.list.iter().any(|p| p.severity == Severity::Error)
    }

    /// The problems, sorted and without repetitions.
    pub(crate) fn into_sorted(mut self) -> Vec<Problem> {
        self.list.sort_by(|a, b| {
            (&a.file, a.line, a.column, a.severity, &a.key, &a.message)
                .cmp(&(&b.file, b.line, b.column, b.severity, &b.key, &b.message))
        });
        self.list.dedup();
        let mut list = std::mem::take(&mut self.list);
        list.retain(|problem| !self.follows(problem));
        list
    }
}
