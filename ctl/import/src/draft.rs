//! The draft of the site file and of secrets.toml.

use client::toml_text;
use serde_json::Value as Json;

use super::report::Origin;

/// Parts of the site file, in the file's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// Keys at the top.
    Site,
    Mattermost,
    Variables,
    Nginx,
    Postgresql,
    Services,
    /// Values that GitLab's package set without being asked.
    Package,
}

impl Part {
    fn heading(self) -> &'static str {
        match self {
            Self::Site => "The site",
            Self::Mattermost => "Mattermost",
            Self::Variables => "Further variables for Mattermost, by its own names",
            Self::Nginx => "nginx in front of Mattermost",
            Self::Postgresql => "PostgreSQL, Mattermost's database",
            Self::Services => "Other services",
            Self::Package => "What GitLab's package set without being asked",
        }
    }
}

/// One key with its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) part: Part,
    /// `mattermost`, `env`, `HTTP_PROXY`.
    pub(super) path: Vec<String>,
    pub(super) value: Json,
    /// The entry goes into secrets.toml.
    pub(super) secret: bool,
    /// Text of the comment behind the value.
    pub(super) note: Option<String>,
    pub(super) origin: Origin,
    /// Number of the report's line about this entry.
    pub(super) reported: Option<usize>,
}

impl Entry {
    /// `mattermost.env.HTTP_PROXY`.
    pub(super) fn key(&self) -> String {
        dotted(&self.path)
    }
}

/// A path as TOML writes it.
pub(super) fn dotted(path: &[String]) -> String {
    let keys: Vec<String> = path.iter().map(|it| toml_text::key(it)).collect();
    keys.join(".")
}

/// All entries and comments of both files.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    entries: Vec<Entry>,
    /// Comments at the end of the site file: statements for a person, and settings that are gone.
    pub(super) comments: Vec<String>,
}

/// A file's text, and the entry of each line.
pub(super) struct Text {
    pub(super) text: String,
    /// Line number from 1, and the entry's index.
    pub(super) lines: Vec<(usize, usize)>,
}

impl Draft {
    /// Adds an entry, or replaces an older entry of the same key.
    pub(super) fn set(&mut self, entry: Entry) {
        match self.entries.iter_mut().find(|it| it.path == entry.path) {
            Some(there) => *there = entry,
            None => self.entries.push(entry),
        }
    }

    /// Records that this line of the report is about the entries of these keys.
    pub(super) fn report_as(&mut self, keys: &[String], line: usize) {
        for entry in &mut self.entries {
            if keys.contains(&entry.key()) {
                entry.reported = Some(line);
            }
        }
    }

    /// Whether a key has a value.
    pub(super) fn has(&self, path: &[&str]) -> bool {
        self.get(path).is_some()
    }

    /// The entry of a key.
    pub(super) fn get(&self, path: &[&str]) -> Option<&Entry> {
        self.entries.iter().find(|it| it.path == path)
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// An entry by its number in [`Text::lines`].
    pub(super) fn entry(&self, index: usize) -> &Entry {
        &self.entries[index]
    }

    /// Removes the entries with these numbers.
    pub(super) fn remove(&mut self, indices: &[usize]) -> Vec<Entry> {
        let (mut kept, mut out) = (Vec::new(), Vec::new());
        for (index, entry) in self.entries.drain(..).enumerate() {
            if indices.contains(&index) {
                out.push(entry);
            } else {
                kept.push(entry);
            }
        }
        self.entries = kept;
        out
    }

    /// Removes the entry of a key.
    pub(super) fn take(&mut self, path: &[&str]) {
        self.entries.retain(|it| it.path != path);
    }

    /// The entries that go into secrets.toml.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|it| it.secret)
    }

    /// The site file.
    pub(super) fn site(&self, source: &str) -> Text {
        let mut out = Lines::default();
        out.push(&format!(
            "# Made from {source} by `ctl import gitlab-rb`. Keys are explained in docs/configure.md;"
        ));
        out.push("# `ctl check-config` checks them, `ctl reconfigure` applies them.");
        let mut order: Vec<usize> = (0..self.entries.len()).collect();
        order.sort_by_key(|it| self.entries[*it].part);
        let mut part = None;
        for index in order {
            let entry = &self.entries[index];
            if entry.secret {
                continue;
            }
            if part != Some(entry.part) {
                out.push("");
                out.push(&format!("# {}", entry.part.heading()));
                part = Some(entry.part);
            }
            out.mark(index);
            out.push(&line(entry));
        }
        let secrets: Vec<String> = self.secrets().map(Entry::key).collect();
        if !secrets.is_empty() {
            out.push("");
            out.push("# In secrets.toml, beside this file:");
            for key in secrets {
                out.push(&format!("#   {key}"));
            }
        }
        if !self.comments.is_empty() {
            out.push("");
            out.push("# Not carried over; see the report of the import:");
            for comment in &self.comments {
                out.push(&format!("# {}", comment_text(comment)));
            }
        }
        out.finish()
    }

    /// The text of a new secrets.toml.
    pub(super) fn secrets_file(&self) -> Text {
        let mut out = Lines::default();
        out.push(
            "# Secrets of the site file beside this one; for its owner's eyes alone (mode 0600).",
        );
        out.push(
            "# Keep it with your backups: without it some fields of the database cannot be read.",
        );
        for (index, entry) in self.entries.iter().enumerate() {
            if entry.secret {
                out.mark(index);
                out.push(&line(entry));
            }
        }
        out.finish()
    }
}

fn line(entry: &Entry) -> String {
    let value = toml_text::value(&entry.value);
    let place = match entry.origin {
        Origin::Line(line) => format!("gitlab.rb line {line}"),
        Origin::Package => String::new(),
        other => other.to_string(),
    };
    let notes: Vec<String> = [Some(place), entry.note.clone()]
        .into_iter()
        .flatten()
        .filter(|it| !it.is_empty())
        .collect();
    let comment = if notes.is_empty() {
        String::new()
    } else {
        format!("  # {}", comment_text(&notes.join("; ")))
    };
    format!("{} = {value}{comment}", entry.key())
}

/// A comment ends with its line, and TOML allows no control characters in it.
fn comment_text(text: &str) -> String {
    text.chars()
        .map(|it| if it.is_control() { ' ' } else { it })
        .collect()
}

#[derive(Default)]
struct Lines {
    text: String,
    count: usize,
    marks: Vec<(usize, usize)>,
}

impl Lines {
    fn push(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
        self.count += 1;
    }

    /// Records that the next line is this entry.
    fn mark(&mut self, entry: usize) {
        self.marks.push((self.count + 1, entry));
    }

    fn finish(self) -> Text {
        Text {
            text: self.text,
            lines: self.marks,
        }
    }
}
