//! The file `current` of one service: appended to, rotated, and made again after its deletion.
//!
//! The log thread waits neither for space nor for an administrator: lines that cannot be written
//! are dropped and counted, and every write tries anew. A line is in one file and whole, or counted
//! as dropped.
//!
//! A file that has grown too old is rotated before its next line, not by a clock: a service that
//! writes nothing wakes nobody, and its last lines stay in `current`. The age counts from the first
//! line of the file, so a restart of the keeper does not reset it.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::{FileExt, MetadataExt},
    path::PathBuf,
    sync::Arc,
};

use jiff::Timestamp;
use memchr::{memchr_iter, memrchr};
use nix::errno::Errno;
use safe_path::{Dir, Untrusted};

use crate::message::LogTrouble;

use super::{
    COMPRESSED, CURRENT, MARK, STAMP_BYTES, Spec,
    counts::Counts,
    stamp::{Clock, rotated_at, rotated_name},
};

/// Most names in a log directory that a search for rotated files reads.
const NAMES_MAX: usize = 1 << 16;

/// `current` and what is known of it.
#[derive(Debug)]
pub(super) struct LogFile {
    spec: Spec,
    path: PathBuf,
    /// The log directory; it belongs to the supervisor, so that no service can put anything in it.
    dir: Option<Dir>,
    file: Option<File>,
    /// Device and inode, to detect that the path now leads to another file.
    id: (u64, u64),
    size: u64,
    /// The size at which `current` is rotated.
    limit: u64,
    /// The time at which `current` is rotated, in microseconds since 1970.
    due_us: i64,
    /// Whether `current` has been rotated since the last call of `take_rotated`.
    rotated: bool,
    /// Whether the file ends in the middle of a line.
    torn: bool,
    dropped: Dropped,
    /// Why the last attempt to rename `current` failed.
    unrotated: Option<io::Error>,
    counts: Arc<Counts>,
}

/// Lines that could not be written since the last successful write.
#[derive(Debug, Default)]
struct Dropped {
    lines: u64,
    bytes: u64,
    why: Option<io::Error>,
}

impl LogFile {
    /// Opens or makes `current`; a failure shows when lines are dropped for it.
    pub(super) fn new(spec: Spec, counts: Arc<Counts>) -> LogFile {
        let path = spec.dir.join(CURRENT);
        let mut file = LogFile {
            limit: limit(&spec),
            spec,
            path,
            dir: None,
            file: None,
            id: (0, 0),
            size: 0,
            due_us: i64::MAX,
            rotated: false,
            torn: false,
            dropped: Dropped::default(),
            unrotated: None,
            counts,
        };
        file.settle();
        file
    }

    /// Uses another spec from the next line on. What was dropped is told in the new place.
    pub(super) fn reconfigure(&mut self, spec: Spec) {
        if spec.dir != self.spec.dir {
            self.path = spec.dir.join(CURRENT);
            self.file = None;
        }
        self.limit = limit(&spec);
        self.spec = spec;
        self.settle();
        self.due_us = self.due();
    }

    /// Lines and bytes that were dropped and that no line reports yet, and why.
    pub(super) fn dropped(&self) -> (u64, u64, Option<String>) {
        let Dropped { lines, bytes, why } = &self.dropped;
        (*lines, *bytes, why.as_ref().map(ToString::to_string))
    }

    /// Counts lines as dropped that another log thread could not write.
    pub(super) fn has_dropped(&mut self, (lines, bytes, why): (u64, u64, Option<String>)) {
        self.dropped.lines += lines;
        self.dropped.bytes += bytes;
        if self.dropped.why.is_none() {
            self.dropped.why = why.map(io::Error::other);
        }
    }

    /// Whether `current` has been rotated since the last call, and rotated files are to be
    /// compressed.
    pub(super) fn take_rotated(&mut self) -> bool {
        std::mem::take(&mut self.rotated) && self.spec.compress
    }

    /// What is wrong with the log, if anything is.
    pub(super) fn trouble(&self) -> Option<LogTrouble> {
        let text = |why: &io::Error| why.to_string();
        if self.dropped.lines > 0 {
            let why = self.dropped.why.as_ref().map_or_else(String::new, text);
            let lines = self.dropped.lines;
            return Some(LogTrouble::LosesLines { lines, why });
        }
        let why = text(self.unrotated.as_ref()?);
        Some(LogTrouble::NotRotated { why })
    }

    /// Makes sure that the path leads to the open file. Called once before a batch of lines.
    pub(super) fn settle(&mut self) {
        if self.file.is_some()
            && let Ok(meta) = fs::symlink_metadata(&self.path)
            && (meta.dev(), meta.ino()) == self.id
        {
            self.size = meta.len();
            return;
        }
        self.file = None;
        if let Err(error) = self.open() {
            self.dropped.why = Some(error);
        }
    }

    /// Whether the file is due for rotation once it holds so many bytes more.
    #[inline]
    pub(super) fn is_full_with(&self, bytes: usize) -> bool {
        self.size.saturating_add(bytes as u64) >= self.limit
    }

    /// Writes these whole lines, or drops and counts what cannot be written. Empties `lines`.
    pub(super) fn append(&mut self, lines: &mut Vec<u8>, clock: &Clock) {
        if lines.is_empty() {
            return;
        }
        if self.size == 0 {
            self.due_us = self.due_from(clock.us());
        } else if clock.us() >= self.due_us {
            self.rotate(clock);
            self.due_us = self.due_from(clock.us());
        }
        if self.ready(clock) {
            // `ready` has just written the lines that report earlier losses.
            self.write(lines);
            let written = (lines.len() as u64).saturating_sub(self.dropped.bytes);
            self.counts.add(written, self.dropped.lines);
        } else {
            let before = self.dropped.lines;
            self.dropped.add(lines);
            self.counts.add(0, self.dropped.lines - before);
        }
        lines.clear();
    }

    /// Whether lines were dropped that no line in the file reports yet.
    #[inline]
    pub(super) fn has_untold(&self) -> bool {
        self.dropped.lines > 0
    }

    /// Reports dropped lines, if the file can be written. Called where no further line may come.
    pub(super) fn settle_dropped(&mut self, clock: &Clock) {
        if self.has_untold() {
            self.settle();
            self.ready(clock);
        }
    }

    /// Renames `current` after the current time and begins a new file, unless `current` is empty;
    /// deletes the oldest rotated files beyond `keep`.
    pub(super) fn rotate(&mut self, clock: &Clock) {
        let Some(dir) = self.dir.as_ref().filter(|_| self.file.is_some()) else {
            return;
        };
        if self.size == 0 {
            return;
        }
        let mut rotated = rotated(dir);
        let newest = rotated.last().copied().unwrap_or(0);
        // Later than the newest file even if the clock went back or stands still within a batch.
        let us = clock.us().max(newest + 1);
        if let Err(error) = dir.rename(CURRENT, rotated_name(us)) {
            // A file that is too long is better than lines that are lost; the next attempt follows
            // when the file has grown by its limit again.
            self.limit = self.size.saturating_add(limit(&self.spec));
            self.unrotated = Some(error);
            return;
        }
        rotated.push(us);
        self.rotated = true;
        self.unrotated = None;
        self.file = None;
        self.limit = limit(&self.spec);
        let keep = usize::try_from(self.spec.keep).unwrap_or(usize::MAX);
        for us in &rotated[..rotated.len().saturating_sub(keep)] {
            // A file that cannot be deleted is tried again at the next rotation.
            let name = rotated_name(*us);
            let _ = dir.remove(format!("{name}{COMPRESSED}"));
            let _ = dir.remove(name);
        }
        if let Err(error) = self.open() {
            self.dropped.why = Some(error);
        }
    }

    /// When a file that begins at `us` is to be rotated.
    fn due_from(&self, us: i64) -> i64 {
        let age = self.spec.age_ms.map(|ms| ms.saturating_mul(1000));
        let age = age.and_then(|us| i64::try_from(us).ok());
        age.map_or(i64::MAX, |age| us.saturating_add(age))
    }

    /// When the open file is to be rotated, by the stamp of its first line, or by the time of its
    /// last change if the first line has no stamp.
    fn due(&self) -> i64 {
        let Some(file) = self.file.as_ref().filter(|_| self.spec.age_ms.is_some()) else {
            return i64::MAX;
        };
        let mut stamp = [0; STAMP_BYTES - 1];
        let read = file.read_exact_at(&mut stamp, 0).ok();
        let text = read.and_then(|()| str::from_utf8(&stamp).ok());
        let first = text.and_then(|text| text.parse().ok());
        let changed = || Timestamp::try_from(file.metadata().ok()?.modified().ok()?).ok();
        let first = first.or_else(changed).unwrap_or(Timestamp::UNIX_EPOCH);
        self.due_from(first.as_microsecond())
    }

    fn open(&mut self) -> io::Result<()> {
        let dir = self.dir.insert(Dir::make_own(&self.spec.dir, 0o750)?);
        let file = match dir.append(CURRENT, 0o640) {
            Err(error) if Untrusted::is(&error) => {
                // A foreign file or a link: it is kept under another name for the administrator,
                // and is not written to.
                let us = Timestamp::now().as_microsecond();
                dir.rename(CURRENT, rotated_name(us))?;
                dir.append(CURRENT, 0o640)?
            }
            other => other?,
        };
        let meta = file.metadata()?;
        self.id = (meta.dev(), meta.ino());
        self.size = meta.len();
        let mut last = [b'\n'];
        if self.size > 0 {
            file.read_exact_at(&mut last, self.size - 1)?;
        }
        self.torn = last != *b"\n";
        self.file = Some(file);
        self.due_us = self.due();
        Ok(())
    }

    /// Ends a torn line and reports dropped lines. False: the file cannot be written.
    fn ready(&mut self, clock: &Clock) -> bool {
        let Some(file) = &mut self.file else {
            return false;
        };
        if self.torn {
            if let Err(error) = file.write_all(b"\n") {
                self.dropped.why = Some(error);
                return false;
            }
            self.size += 1;
            self.torn = false;
        }
        if self.dropped.lines == 0 {
            return true;
        }
        let stamp = String::from_utf8_lossy(clock.stamp());
        let told = format!("{stamp}{MARK}{}\n", self.dropped);
        let Dropped { lines, bytes, .. } = std::mem::take(&mut self.dropped);
        self.write(told.as_bytes());
        if self.dropped.lines == 0 {
            return true;
        }
        // The report itself was dropped, so its counts still stand.
        self.dropped.lines = lines;
        self.dropped.bytes = bytes;
        false
    }

    /// Writes whole lines. After a short write the file is cut back to the last line end.
    fn write(&mut self, lines: &[u8]) {
        let Some(file) = &mut self.file else {
            self.dropped.add(lines);
            return;
        };
        let mut done = 0;
        let error = loop {
            if done == lines.len() {
                self.size += done as u64;
                return;
            }
            match file.write(&lines[done..]) {
                Ok(0) => break io::ErrorKind::WriteZero.into(),
                Ok(bytes) => done += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break error,
            }
        };
        let whole = memrchr(b'\n', &lines[..done]).map_or(0, |end| end + 1);
        if done > whole && file.set_len(self.size + whole as u64).is_err() {
            self.torn = true;
            self.size += done as u64;
        } else {
            self.size += whole as u64;
        }
        self.dropped.add(&lines[whole..]);
        if !matches!(
            Errno::from_raw(error.raw_os_error().unwrap_or(0)),
            Errno::ENOSPC | Errno::EDQUOT
        ) {
            // The open file may be unusable (EIO, ESTALE): the next batch opens it anew.
            self.file = None;
        }
        self.dropped.why = Some(error);
    }
}

impl Dropped {
    fn add(&mut self, lines: &[u8]) {
        self.lines += memchr_iter(b'\n', lines).count() as u64;
        self.bytes += lines.len() as u64;
    }
}

impl std::fmt::Display for Dropped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} lines ({} bytes) could not be written and are lost",
            self.lines, self.bytes
        )?;
        self.why.as_ref().map_or(Ok(()), |why| write!(f, ": {why}"))
    }
}

fn limit(spec: &Spec) -> u64 {
    if spec.size_bytes == 0 {
        u64::MAX
    } else {
        spec.size_bytes
    }
}

/// Times of the rotated files, plain and compressed, oldest first.
fn rotated(dir: &Dir) -> Vec<i64> {
    let names = dir.names(NAMES_MAX).unwrap_or_default();
    let names = names.iter().filter_map(|name| name.to_str());
    let mut times: Vec<i64> = names.filter_map(rotated_at).collect();
    times.sort_unstable();
    times.dedup();
    times
}
