//! Changes on disk: who asked for what, when, and how it ended, kept for a year.
//!
//! Segments (`segments.rs`) under `STATE_DIR/changes/`. `control/operations/audit/` sees to it that
//! one writer at a time appends. A change has two lines: one when it is asked for, one when it has
//! ended. Ends of runs are kept beside them (`exits.rs`). Limits: those of the segments, and
//! [`RECORDS_MAX`].

pub(crate) mod exits;
mod segments;

use std::{
    collections::{HashMap, VecDeque},
    io,
    path::{Path, PathBuf},
};

use api::{ChangeOutcome, ChangeRecord};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Records that one question can get, the last ones.
pub(crate) const RECORDS_MAX: usize = 100_000;
/// One line of the history of changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Line {
    /// Time, RFC 3339 in UTC with milliseconds: compared as text.
    pub(crate) at: String,
    /// The change's id.
    pub(crate) id: String,
    /// The step of the change that this line records.
    #[serde(flatten)]
    pub(crate) said: Said,
}

/// A step of a change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "kebab-case")]
pub(crate) enum Said {
    /// The change was asked for.
    Asked {
        /// The user who asked, for people.
        by: String,
        /// The user's id.
        uid: u32,
        /// `restart`, `signal HUP`, `reconfigure`.
        what: String,
        /// The services named, or meant by it.
        services: Vec<String>,
    },
    /// The change has ended.
    Ended {
        /// How it ended: done, failed or refused.
        outcome: ChangeOutcome,
        /// Reason of a failure, in words.
        detail: String,
        /// Services that a reconfiguration turned out to touch.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        services: Vec<String>,
    },
}

/// Which records are wanted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query {
    /// Records from this moment on, as in [`Line::at`].
    pub(crate) since: Option<String>,
    /// Before this moment.
    pub(crate) until: Option<String>,
    /// Names and patterns; none: all.
    pub(crate) services: Vec<String>,
    /// The last so many.
    pub(crate) count: usize,
}

/// The directory of the segments.
pub(crate) fn directory(state_dir: &Path) -> PathBuf {
    state_dir.join("changes")
}

/// Adds lines; all or, where that fails, none of them.
pub(crate) fn append(state_dir: &Path, now_ms: u64, lines: &[Line]) -> io::Result<()> {
    segments::append(
        &directory(state_dir),
        now_ms,
        lines,
        segments::Durability::Written,
    )
}

/// Puts aside what bears the name of a file of a history and is none; says so in words.
pub(crate) fn look(state_dir: &Path) -> Vec<String> {
    let mut told = segments::look(&directory(state_dir));
    told.extend(segments::look(&exits::directory(state_dir)));
    told
}

/// Records, oldest first. Lines that cannot be read are left out.
pub(crate) fn read(state_dir: &Path, query: &Query) -> io::Result<Vec<ChangeRecord>> {
    let mut records = Records::default();
    // A change that ended in a later segment than it began in is found by its first line.
    segments::read(&directory(state_dir), query.since_ms(), |line| {
        records.take(line, query);
    })?;
    let patterns = patterns(&query.services);
    let mut records: VecDeque<ChangeRecord> = records.list;
    records.retain(|record| {
        patterns.is_empty() || record.services.iter().any(|name| matches(&patterns, name))
    });
    let surplus = records.len().saturating_sub(query.count);
    Ok(records.into_iter().skip(surplus).collect())
}

impl Query {
    fn since_ms(&self) -> u64 {
        self.since.as_deref().and_then(unix_ms).unwrap_or(0)
    }

    /// The record is of the time that is asked about.
    fn wants(&self, at: &str) -> bool {
        let early = self.since.as_deref().is_some_and(|since| at < since);
        let late = self.until.as_deref().is_some_and(|until| at >= until);
        !early && !late
    }
}

fn unix_ms(at: &str) -> Option<u64> {
    let stamp: Timestamp = at.parse().ok()?;
    u64::try_from(stamp.as_millisecond()).ok()
}

/// Compiles names and patterns of services.
pub(crate) fn patterns(names: &[String]) -> Vec<glob::Pattern> {
    let pattern = |name: &String| {
        glob::Pattern::new(name)
            .or_else(|_| glob::Pattern::new(&glob::Pattern::escape(name)))
            .ok()
    };
    names.iter().filter_map(pattern).collect()
}

/// One of the patterns matches this service.
pub(crate) fn matches(patterns: &[glob::Pattern], service: &str) -> bool {
    patterns.iter().any(|pattern| pattern.matches(service))
}

/// Changes with what became of them.
#[derive(Default)]
struct Records {
    list: VecDeque<ChangeRecord>,
    /// Count of records that were dropped at the front.
    dropped: usize,
    /// Position of each change, counted from the first ever.
    places: HashMap<String, usize>,
}

impl Records {
    fn take(&mut self, line: Line, query: &Query) {
        match line.said {
            Said::Asked {
                by,
                uid,
                what,
                services,
            } => {
                if self.places.contains_key(&line.id) {
                    // Written once more by the successor of a control process that died over it.
                    return;
                }
                if !query.wants(&line.at) {
                    return;
                }
                if self.list.len() == RECORDS_MAX
                    && let Some(oldest) = self.list.pop_front()
                {
                    self.dropped += 1;
                    self.places.remove(&oldest.id);
                }
                let place = self.dropped + self.list.len();
                self.places.insert(line.id.clone(), place);
                self.list.push_back(ChangeRecord {
                    id: line.id,
                    at: line.at,
                    by,
                    uid,
                    what,
                    services,
                    outcome: ChangeOutcome::Accepted,
                    detail: String::new(),
                    ended_at: None,
                });
            }
            Said::Ended {
                outcome,
                detail,
                services,
            } => {
                let place = self.places.get(&line.id);
                let Some(record) = place.and_then(|it| self.list.get_mut(it - self.dropped)) else {
                    return;
                };
                record.outcome = outcome;
                record.detail = detail;
                record.ended_at = Some(line.at);
                if record.services.is_empty() {
                    record.services = services;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
