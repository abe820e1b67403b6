//! A place in a log that moves forward, from file to file, and waits at the end.

use std::path::{Path, PathBuf};

use keeper::log::{LINE_BYTES_MAX, MARK, STAMP_BYTES};
use memchr::{memchr, memrchr};

use super::{
    files,
    filter::{Filter, Verdict},
    position::{Position, sum},
    program_files,
    segment::{Segment, id},
    stamp::{Style, split},
};

/// The first read takes this much, for most logs have little to tell at a time; each one after it
/// twice as much as the one before, up to the other.
const BLOCK_BYTES: std::ops::Range<usize> = 8 << 10..128 << 10;
/// A line of more than the keeper ever writes is handed on in pieces.
const LINE_MAX: usize = LINE_BYTES_MAX + STAMP_BYTES;
/// Lines that are looked at for the stamp of one that has none.
const LOOK_BACK_LINES: usize = 64;

/// A line that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Its stamp; empty if it has none.
    pub(super) at: String,
    /// The rest.
    pub(super) text: String,
    /// The keeper wrote the line, not the service.
    pub(super) marker: bool,
    /// The line's position; none: the line is in no file.
    pub(super) place: Option<Position>,
}

/// Result of a look at the cursor's place.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum CursorStep {
    /// A line that is wanted.
    Line(Line),
    /// No more for now.
    Idle,
    /// The client's budget of bytes for this turn is used up.
    Busy,
    /// No more that could be wanted.
    Over,
}

/// The files that a log consists of.
#[derive(Clone, Debug)]
pub(super) enum Origin {
    /// `current` and the rotated files of this directory, which the keeper writes.
    Log(PathBuf),
    /// One file, which a program writes, and its successors under the same name.
    File(PathBuf),
}

impl Origin {
    pub(super) fn style(&self) -> Style {
        match self {
            Origin::Log(_) => Style::Ours,
            Origin::File(_) => Style::Theirs,
        }
    }

    /// Whose changes say that there may be more.
    pub(super) fn dir(&self) -> &Path {
        match self {
            Origin::Log(dir) => dir,
            Origin::File(path) => path.parent().unwrap_or(path),
        }
    }
}

/// The place.
#[derive(Debug)]
pub(super) struct Cursor {
    origin: Origin,
    segment: Option<Segment>,
    /// Offset of the next read.
    offset: u64,
    /// Read and not yet handed on: from `begin` on, whole lines up to `whole`.
    buffer: Vec<u8>,
    begin: usize,
    whole: usize,
    /// Size of the next read.
    block: usize,
    /// Stamp of the last line that had one.
    last: Vec<u8>,
    /// A marker that comes before the next line.
    note: Option<String>,
}

impl Cursor {
    /// At this offset of this file; without one, before the first line that ever comes.
    pub(super) fn at(origin: Origin, segment: Option<Segment>, offset: u64) -> Cursor {
        Cursor {
            origin,
            segment,
            offset,
            buffer: Vec::new(),
            begin: 0,
            whole: 0,
            block: BLOCK_BYTES.start,
            last: Vec::new(),
            note: None,
        }
    }

    /// Behind the line of that place, if it is in this file.
    pub(super) fn behind(origin: &Origin, segment: Segment, place: Position) -> Option<Cursor> {
        let mut cursor = Cursor::at(origin.clone(), Some(segment), place.offset);
        while cursor.whole == 0 && cursor.buffer.len() < LINE_MAX && cursor.read() {}
        // The last line of a file that was rotated may lack its end.
        let end = memchr(b'\n', &cursor.buffer).unwrap_or(cursor.buffer.len());
        if cursor.buffer.is_empty() || sum(&cursor.buffer[..end]) != place.sum {
            return None;
        }
        cursor.begin = cursor.buffer.len().min(end + 1);
        let line = &cursor.buffer[..end];
        cursor.origin.style().stamp_into(line, &mut cursor.last);
        Some(cursor)
    }

    /// Says this before the next line.
    pub(super) fn say(&mut self, note: &str) {
        self.note = Some(note.to_owned());
    }

    /// Stamp of the last line that had one; what has none goes with it.
    pub(super) fn last(&self) -> &[u8] {
        &self.last
    }

    /// The files that the cursor reads.
    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The file that it is in.
    pub(super) fn segment(&self) -> Option<&Segment> {
        self.segment.as_ref()
    }

    /// The next line that is wanted. `budget` is what may still be read.
    pub(super) fn next(&mut self, filter: &Filter, budget: &mut usize) -> CursorStep {
        loop {
            if let Some(note) = self.note.take() {
                return CursorStep::Line(marker(&note));
            }
            while self.begin < self.whole {
                let Some(passed) = filter.candidate(&self.buffer[self.begin..self.whole]) else {
                    self.begin = self.whole;
                    break;
                };
                let begin = self.begin + passed;
                let lines = &self.buffer[begin..self.whole];
                let end = begin + memchr(b'\n', lines).unwrap_or(lines.len());
                self.begin = self.whole.min(end + 1);
                match self.judge(begin, end, passed > 0, filter) {
                    Verdict::Wanted => return CursorStep::Line(self.line(begin, end)),
                    Verdict::Unwanted => {}
                    Verdict::Over => return CursorStep::Over,
                }
            }
            if self.buffer.len() - self.begin >= LINE_MAX {
                let begin = std::mem::replace(&mut self.begin, self.buffer.len());
                self.whole = self.begin;
                if self.judge(begin, self.begin, false, filter) == Verdict::Wanted {
                    return CursorStep::Line(self.line(begin, self.begin));
                }
            }
            if *budget == 0 {
                return CursorStep::Busy;
            }
            let had = self.offset;
            if self.read() {
                let bytes = self.offset.saturating_sub(had);
                *budget = budget.saturating_sub(usize::try_from(bytes).unwrap_or(usize::MAX));
                continue;
            }
            match self.turn() {
                Turn::Rest if self.judge(0, self.begin, false, filter) == Verdict::Wanted => {
                    return CursorStep::Line(self.line(0, self.begin));
                }
                Turn::Moved | Turn::Rest => {}
                Turn::Stay => {
                    self.compact();
                    self.buffer.shrink_to_fit();
                    self.block = BLOCK_BYTES.start;
                    return CursorStep::Idle;
                }
            }
        }
    }

    /// `passed`: lines before it were passed over unread.
    fn judge(&mut self, begin: usize, end: usize, passed: bool, filter: &Filter) -> Verdict {
        let style = self.origin.style();
        if passed {
            let (mut from, mut to) = (begin, end);
            for _ in 0..LOOK_BACK_LINES {
                let mut stamp = Vec::new();
                style.stamp_into(&self.buffer[from..to], &mut stamp);
                if !stamp.is_empty() {
                    self.last = stamp;
                    break;
                }
                let Some(before) = from.checked_sub(1) else {
                    break;
                };
                to = before;
                from = memrchr(b'\n', &self.buffer[..to]).map_or(0, |end| end + 1);
            }
        } else {
            style.stamp_into(&self.buffer[begin..end], &mut self.last);
        }
        filter.judge(&self.buffer[begin..end], &self.last, style)
    }

    /// The line that has just been judged.
    fn line(&self, begin: usize, end: usize) -> Line {
        let line = &self.buffer[begin..end];
        let (at, text, marker) = match self.origin.style() {
            Style::Ours => match split(line) {
                Some((at, text)) => (at, text, text.starts_with(MARK.as_bytes())),
                None => (&b""[..], line, false),
            },
            Style::Theirs => (&self.last[..], line, false),
        };
        let offset = self.offset - (self.buffer.len() - begin) as u64;
        let inode = self.segment.as_ref().map_or(0, |segment| segment.id.1);
        Line {
            at: String::from_utf8_lossy(at).into_owned(),
            text: String::from_utf8_lossy(text).into_owned(),
            marker,
            place: Some(Position::new(inode, offset, line, &self.last)),
        }
    }

    fn compact(&mut self) {
        self.buffer.drain(..self.begin);
        self.whole = self.whole.saturating_sub(self.begin);
        self.begin = 0;
    }

    /// Reads on in the file. False: at its end.
    fn read(&mut self) -> bool {
        let Some(segment) = &mut self.segment else {
            return false;
        };
        self.buffer.drain(..self.begin);
        self.begin = 0;
        let had = self.buffer.len();
        self.buffer.resize(had + self.block, 0);
        let mut bytes = segment.read_at(&mut self.buffer[had..], self.offset);
        if bytes == 0 && segment.len().is_some_and(|length| length < self.offset) {
            // Emptied by somebody: what is in it now is new, and what lacked its end has none.
            self.buffer.drain(..had);
            self.offset = 0;
            bytes = segment.read_at(&mut self.buffer, 0);
            self.buffer.truncate(bytes);
        } else {
            self.buffer.truncate(had + bytes);
        }
        self.offset += bytes as u64;
        self.whole = memrchr(b'\n', &self.buffer).map_or(0, |end| end + 1);
        self.block = (self.block * 2).min(BLOCK_BYTES.end);
        bytes > 0
    }

    /// At the end of a file: goes on to the next one, if there is one.
    fn turn(&mut self) -> Turn {
        let found = match (&self.origin, &self.segment) {
            (Origin::Log(dir), Some(segment)) => files::next(segment, dir),
            (Origin::Log(dir), None) => files::first(dir).map(|segment| (segment, false)),
            (Origin::File(path), segment) => {
                successor(path, segment.as_ref()).map(|segment| (segment, false))
            }
        };
        let Some((next, gap)) = found else {
            return Turn::Stay;
        };
        // The file may have grown between our read of its end and the rotation. It grows no more.
        if self.read() {
            return Turn::Moved;
        }
        if self.begin < self.buffer.len() {
            // A last line without an end; after it, this is found again.
            self.begin = self.buffer.len();
            self.whole = self.begin;
            return Turn::Rest;
        }
        let broken = self.segment.take().and_then(|segment| segment.broken);
        self.note = match broken {
            Some(why) => Some(format!(
                "a compressed file cannot be read to its end, lines are missing here: {why}"
            )),
            None if gap => Some(GAP.to_owned()),
            None => None,
        };
        self.segment = Some(next);
        self.offset = 0;
        self.buffer.clear();
        (self.begin, self.whole) = (0, 0);
        Turn::Moved
    }
}

/// The marker where lines are missing.
pub(super) const GAP: &str = "lines may be missing here: files were deleted before they were read";

enum Turn {
    /// More lines may have come.
    Moved,
    /// Before that comes the whole buffer.
    Rest,
    /// This is the newest file.
    Stay,
}

/// The file that has this path now, if it is another.
fn successor(path: &Path, segment: Option<&Segment>) -> Option<Segment> {
    let meta = path.symlink_metadata().ok()?;
    if segment.is_some_and(|segment| segment.id == id(&meta)) {
        return None;
    }
    let next = program_files::open(path).ok()?;
    segment
        .is_none_or(|segment| segment.id != next.id)
        .then_some(next)
}

/// A line of our own, which is in no file.
fn marker(text: &str) -> Line {
    Line {
        at: String::new(),
        text: format!("{MARK}{text}"),
        marker: true,
        place: None,
    }
}
