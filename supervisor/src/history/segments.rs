//! Lines in files that grow, are followed by new ones, and go after a year: NDJSON in segments
//! under one directory, each named by the moment of its first line (milliseconds of the Unix
//! epoch).
//!
//! One writer at a time appends, on the blocking pool; readers read the files, on the blocking pool
//! too. Lines are only ever added. Limits: [`SEGMENT_BYTES`], [`SEGMENT_AGE_MS`], [`SEGMENTS_MAX`],
//! [`KEPT_MS`], [`LINE_BYTES_MAX`].

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Write},
    os::unix::fs::FileExt,
    path::Path,
};

use safe_path::Dir;
use serde::{Serialize, de::DeserializeOwned};

use crate::aside;

/// A segment that is longer is followed by a new one, in bytes.
pub(super) const SEGMENT_BYTES: u64 = 1 << 20;
/// A segment that began this long ago is closed, so that whole segments grow too old.
pub(super) const SEGMENT_AGE_MS: u64 = 30 * DAY_MS;
/// The oldest give way.
pub(super) const SEGMENTS_MAX: usize = 64;
/// Older segments are removed; a leap year and a day.
pub(super) const KEPT_MS: u64 = 367 * DAY_MS;
/// A line that is longer was not written by us.
const LINE_BYTES_MAX: usize = 4 << 20;

/// Names in the directory that are looked at.
const NAMES_MAX: usize = 4096;
pub(super) const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// How lasting added lines are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Durability {
    /// The kernel has them: a power cut may take the last seconds.
    Written,
    /// The disk has them.
    Synced,
}

/// Adds lines; all or, where that fails, none of them.
pub(super) fn append<T: Serialize>(
    path: &Path,
    now_ms: u64,
    lines: &[T],
    durability: Durability,
) -> io::Result<()> {
    let directory = Dir::make(path, 0o755)?;
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
    let file = directory.append(name(start), 0o600)?;
    let length = file.metadata()?.len();
    let mut text = Vec::new();
    if length > 0 && !ends_whole(&file, length)? {
        text.push(b'\n');
    }
    for line in lines {
        serde_json::to_writer(&mut text, line)?;
        text.push(b'\n');
    }
    let write = || {
        (&file).write_all(&text)?;
        if durability == Durability::Synced {
            sync(&file, length == 0, &directory, path)?;
        }
        Ok(())
    };
    write().inspect_err(|_| {
        // Nothing half-written; where even that fails, readers leave out what is no line.
        let _ = file.set_len(length);
    })
}

/// `new`: the file may not be in its directory yet, nor that where it lies.
fn sync(file: &File, new: bool, directory: &Dir, path: &Path) -> io::Result<()> {
    file.sync_all()?;
    if new {
        directory.sync()?;
        if let Some(above) = path.parent() {
            Dir::open(above)?.sync()?;
        }
    }
    Ok(())
}

/// Someone who died while writing left half a line: it gets its end.
fn ends_whole(file: &File, length: u64) -> io::Result<bool> {
    let mut last = [0];
    file.read_exact_at(&mut last, length - 1)?;
    Ok(last == *b"\n")
}

pub(super) fn name(start: u64) -> String {
    format!("{start}.ndjson")
}

/// Puts aside what bears the name of a segment and is none; says so in words.
pub(super) fn look(path: &Path) -> Vec<String> {
    let Ok(directory) = Dir::open(path) else {
        // An absent directory has no segments; other errors are told by the writer.
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
pub(super) fn segments(directory: &Dir) -> io::Result<Vec<u64>> {
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
            // A segment that cannot be removed is tried again the next time.
            let _ = directory.remove(name(pair[0]));
        }
    }
}

/// Takes in every line, oldest segment first, but for segments whose every line was written before
/// a moment. Lines that cannot be read are left out.
pub(super) fn read<T: DeserializeOwned>(
    path: &Path,
    since_ms: u64,
    mut take: impl FnMut(T),
) -> io::Result<()> {
    let directory = match Dir::open(path) {
        Ok(directory) => directory,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let segments = segments(&directory)?;
    for (index, &start) in segments.iter().enumerate() {
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
        each_line(BufReader::new(file), &mut take)?;
    }
    Ok(())
}

fn each_line<T: DeserializeOwned>(
    mut from: impl BufRead,
    mut take: impl FnMut(T),
) -> io::Result<()> {
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
