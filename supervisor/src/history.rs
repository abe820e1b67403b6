//! Changes on disk: who asked for what, when, and how it ended, kept for a year.
//!
//! NDJSON in segments under `STATE_DIR/changes/`, each named by the moment of its first line
//! (milliseconds of the Unix epoch). One writer at a time appends (`control/records.rs` sees to
//! it), on the blocking pool; readers read the files, on the blocking pool too. Lines are only ever
//! added: one when a change is asked for, one when it has ended. Limits: [`SEGMENT_BYTES`],
//! [`SEGMENT_AGE_MS`], [`SEGMENTS_MAX`], [`KEPT_MS`], [`RECORDS_MAX`].

use std::{
    collections::{HashMap, VecDeque},
    fs::File,
    io::{self, BufRead, BufReader, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use api::ChangeRecord;
use jiff::Timestamp;
use safe_path::Dir;
use serde::{Deserialize, Serialize};

use crate::aside;

/// A segment that is longer is followed by a new one, in bytes.
const SEGMENT_BYTES: u64 = 1 << 20;
/// So is one that began this long ago, so that whole segments grow too old.
const SEGMENT_AGE_MS: u64 = 30 * DAY_MS;
/// The oldest give way.
const SEGMENTS_MAX: usize = 64;
/// What is older is not kept; a leap year and a day.
const KEPT_MS: u64 = 367 * DAY_MS;
/// Records that one question can get, the last ones.
pub(crate) const RECORDS_MAX: usize = 100_000;
/// A line that is longer was not written by us.
const LINE_BYTES_MAX: usize = 4 << 20;

/// Names in the directory that are looked at.
const NAMES_MAX: usize = 4096;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Line {
    /// When, RFC 3339 in UTC with milliseconds: to be compared as text.
    pub(crate) at: String,
    /// Of the change.
    pub(crate) id: String,
    /// What happened.
    #[serde(flatten)]
    pub(crate) said: Said,
}

/// What happened to a change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "kebab-case")]
pub(crate) enum Said {
    /// It was asked for.
    Asked {
        /// By whom, for people.
        by: String,
        /// By whom.
        uid: u32,
        /// `restart`, `signal HUP`, `reconfigure`.
        what: String,
        /// The services named, or meant by it.
        services: Vec<String>,
    },
    /// It is over.
    Ended {
        /// `done`, `failed` or `refused`.
        outcome: String,
        /// In words: what failed.
        detail: String,
        /// What a reconfiguration was found to be about.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        services: Vec<String>,
    },
}

/// Which records are wanted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query {
    /// From this moment on, as in [`Line::at`].
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
    let path = directory(state_dir);
    let directory = Dir::make(&path, 0o755)?;
    let mut segments = segments(&directory)?;
    while let Some(last) = segments.last().copied()
        && directory.stat(name(last))?.is_some_and(|it| !it.is_file())
    {
        let why = "it is not a regular file".to_owned();
        drop(aside::put(&path.join(name(last)), why));
        segments.pop();
    }
    let room = |start: u64| {
        let found = directory.stat(name(start)).ok().flatten();
        let length = found.map_or(0, |it| it.len());
        length < SEGMENT_BYTES && now_ms.saturating_sub(start) < SEGMENT_AGE_MS
    };
    let start = match segments.last().copied() {
        Some(last) if room(last) => last,
        last => {
            // Later than the last even if the clock was set back.
            let start = last.map_or(now_ms, |last| now_ms.max(last + 1));
            segments.push(start);
            prune(&directory, now_ms, &segments);
            start
        }
    };
    let mut file = directory.append(name(start), 0o600)?;
    let length = file.metadata()?.len();
    let mut text = Vec::new();
    if length > 0 && !ends_whole(&file, length)? {
        text.push(b'\n');
    }
    for line in lines {
        serde_json::to_writer(&mut text, line)?;
        text.push(b'\n');
    }
    file.write_all(&text).inspect_err(|_| {
        // Nothing half-written; where even that fails, readers leave out what is no line.
        let _ = file.set_len(length);
    })
}

/// Someone who died while writing left half a line: it gets its end.
fn ends_whole(file: &File, length: u64) -> io::Result<bool> {
    let mut last = [0];
    file.read_exact_at(&mut last, length - 1)?;
    Ok(last == *b"\n")
}

fn name(start: u64) -> String {
    format!("{start}.ndjson")
}

/// Puts aside what bears the name of a segment and is none; says so in words.
pub(crate) fn look(state_dir: &Path) -> Vec<String> {
    let path = directory(state_dir);
    let Ok(directory) = Dir::open(&path) else {
        // One that is not there has no segments; what else it may be is told by who writes to it.
        return Vec::new();
    };
    let mut told = Vec::new();
    for start in segments(&directory).unwrap_or_default() {
        let found = directory.stat(name(start)).ok().flatten();
        if found.is_some_and(|it| !it.is_file()) {
            let why = "it is not a regular file".to_owned();
            told.push(aside::put(&path.join(name(start)), why).to_string());
        }
    }
    told
}

/// Where each segment starts, oldest first.
fn segments(directory: &Dir) -> io::Result<Vec<u64>> {
    let mut starts = Vec::new();
    for name in directory.names(NAMES_MAX)? {
        let start = name.to_str().and_then(|name| name.strip_suffix(".ndjson"));
        starts.extend(start.and_then(|start| start.parse::<u64>().ok()));
    }
    starts.sort_unstable();
    Ok(starts)
}

/// Removes segments whose every line is too old, and those that are too many.
fn prune(directory: &Dir, now_ms: u64, segments: &[u64]) {
    let too_many = segments.len().saturating_sub(SEGMENTS_MAX);
    for (index, pair) in segments.windows(2).enumerate() {
        if index < too_many || pair[1] + KEPT_MS < now_ms {
            // One that stays is tried again the next time.
            let _ = directory.remove(name(pair[0]));
        }
    }
}

/// Records, oldest first. Lines that cannot be read are left out.
pub(crate) fn read(state_dir: &Path, query: &Query) -> io::Result<Vec<ChangeRecord>> {
    let directory = match Dir::open(&directory(state_dir)) {
        Ok(directory) => directory,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let segments = segments(&directory)?;
    let since_ms = query.since.as_deref().and_then(unix_ms).unwrap_or(0);
    let mut records = Records::default();
    for (index, &start) in segments.iter().enumerate() {
        // A change that ended in a later segment than it began in is found by its first line.
        if segments
            .get(index + 1)
            .is_some_and(|&next| next <= since_ms)
        {
            continue;
        }
        let file = match directory.open_file(name(start)) {
            Ok(file) => file,
            // Pruned meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => {
                // The others tell what they have.
                tracing::error!("cannot read {} of the history: {error}", name(start));
                continue;
            }
        };
        each_line(BufReader::new(file), |line| records.take(line, query))?;
    }
    let patterns = patterns(&query.services);
    let mut records: VecDeque<ChangeRecord> = records.list;
    records.retain(|record| {
        patterns.is_empty() || record.services.iter().any(|name| matches(&patterns, name))
    });
    let surplus = records.len().saturating_sub(query.count);
    Ok(records.into_iter().skip(surplus).collect())
}

fn unix_ms(at: &str) -> Option<u64> {
    let stamp: Timestamp = at.parse().ok()?;
    u64::try_from(stamp.as_millisecond()).ok()
}

fn each_line(mut from: impl BufRead, mut take: impl FnMut(Line)) -> io::Result<()> {
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        let limit = u64::try_from(LINE_BYTES_MAX).unwrap_or(u64::MAX);
        if io::Read::take(&mut from, limit).read_until(b'\n', &mut bytes)? == 0 {
            return Ok(());
        }
        if let Ok(line) = serde_json::from_slice(&bytes) {
            take(line);
        }
    }
}

/// What names and patterns mean.
pub(crate) fn patterns(names: &[String]) -> Vec<glob::Pattern> {
    let pattern = |name: &String| {
        glob::Pattern::new(name)
            .or_else(|_| glob::Pattern::new(&glob::Pattern::escape(name)))
            .ok()
    };
    names.iter().filter_map(pattern).collect()
}

/// One of them means this service.
pub(crate) fn matches(patterns: &[glob::Pattern], service: &str) -> bool {
    patterns.iter().any(|pattern| pattern.matches(service))
}

/// Changes with what became of them.
#[derive(Default)]
struct Records {
    list: VecDeque<ChangeRecord>,
    /// Those that were dropped at the front.
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
                let early = query.since.as_ref().is_some_and(|since| line.at < *since);
                let late = query.until.as_ref().is_some_and(|until| line.at >= *until);
                if early || late {
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
                    outcome: "accepted".to_owned(),
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
