//! Finds where the wanted lines of a log begin: from a moment on, the last so many that match, or
//! behind a line that was read before.
//!
//! Files that cannot have wanted lines are not opened, by their names; within a plain file a moment
//! is searched for by halves. Only the last so many that match are looked for by reading, backward,
//! a piece at a time.

use std::io;

use memchr::{memchr, memchr_iter, memrchr};

use super::{
    cursor::{Cursor, GAP, Origin},
    files::{self, Rotated},
    filter::{Filter, Moment},
    outside,
    part::Part,
    position::Position,
    stamp::Style,
};

/// Files are read backward in pieces of the first size, the next ones larger, up to the other; a
/// line that is longer than that is cut.
const PIECE_BYTES: std::ops::Range<usize> = 16 << 10..512 << 10;
/// What is left of a file when a search by halves turns to reading.
const WINDOW_BYTES: u64 = 32 << 10;
/// A stamp is looked for in so many bytes.
const LOOK_BYTES: u64 = 1 << 20;
/// Compressed files that are looked into for a line by its stamp.
const TRIES_MAX: usize = 8;

/// A search under way.
#[derive(Debug)]
pub(super) struct Seek {
    origin: Origin,
    /// Lines that are still wanted; none: all.
    left: Option<usize>,
    /// Files to look at, the newest one last.
    todo: Vec<Todo>,
    work: Option<Work>,
    /// Where the oldest wanted line so far is.
    found: Option<(Part, u64)>,
}

#[derive(Debug)]
enum Todo {
    Open(Part),
    Rotated(Rotated),
}

#[derive(Debug)]
enum Work {
    /// Backward, from `end` down to `low`.
    Plain {
        part: Part,
        low: u64,
        end: u64,
        size: usize,
    },
    /// Forward, for it cannot be read otherwise; `tail` is the beginning of a line.
    Packed {
        part: Part,
        offset: u64,
        tail: Vec<u8>,
        count: usize,
    },
}

impl Seek {
    /// For the last `lines` lines that are wanted, or for all.
    pub(super) fn new(origin: Origin, lines: Option<usize>, filter: &Filter) -> io::Result<Seek> {
        let todo = match &origin {
            Origin::Log(dir) => {
                let (rotated, current) = files::all(dir);
                let since = filter.since.as_ref().map_or(i64::MIN, |it| it.us);
                let until = filter.until.as_ref().map_or(i64::MAX, |it| it.us);
                let newest = rotated.last().map_or(i64::MIN, |it| it.at);
                let mut before = i64::MIN;
                let mut todo: Vec<Todo> = Vec::new();
                for it in rotated {
                    // Its lines are from the rotation before up to its own.
                    if it.at >= since && before < until {
                        before = it.at;
                        todo.push(Todo::Rotated(it));
                    } else {
                        before = it.at;
                    }
                }
                todo.extend(current.filter(|_| newest < until).map(Todo::Open));
                todo
            }
            Origin::File(path) => match outside::open(path) {
                Ok(part) => vec![Todo::Open(part)],
                Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
                Err(error) => return Err(error),
            },
        };
        Ok(Seek {
            origin,
            left: lines,
            todo,
            work: None,
            found: None,
        })
    }

    /// Goes on with the search. When it is over: a place, and how many wanted lines there are to be
    /// left out.
    pub(super) fn step(&mut self, filter: &Filter, budget: &mut usize) -> Option<(Cursor, usize)> {
        let Some(left) = self.left else {
            self.todo.truncate(self.todo.len());
            return Some((self.first(filter), 0));
        };
        loop {
            let Some(work) = self.work.take().or_else(|| self.open(filter)) else {
                return Some(self.end(0));
            };
            if *budget == 0 {
                self.work = Some(work);
                return None;
            }
            let left = self.left.unwrap_or(left);
            let (work, skip) = match work {
                Work::Plain {
                    part,
                    low,
                    end,
                    size,
                } => self.backward(part, low, end, size, left, filter, budget),
                Work::Packed {
                    part,
                    offset,
                    tail,
                    count,
                } => self.forward(part, offset, tail, count, left, filter, budget),
            };
            self.work = work;
            if let Some(skip) = skip {
                return Some(self.end(skip));
            }
        }
    }

    /// All lines: where the first one is.
    fn first(&mut self, filter: &Filter) -> Cursor {
        let style = self.origin.style();
        for todo in std::mem::take(&mut self.todo) {
            let part = match todo {
                Todo::Open(part) => Some(part),
                Todo::Rotated(rotated) => rotated.open().ok(),
            };
            let Some(mut part) = part else {
                continue;
            };
            let begin = match (&filter.since, part.len()) {
                (Some(since), Some(length)) => bound(&mut part, since, style, length, true),
                _ => 0,
            };
            return Cursor::at(self.origin.clone(), Some(part), begin);
        }
        Cursor::at(self.origin.clone(), None, 0)
    }

    fn end(&mut self, skip: usize) -> (Cursor, usize) {
        let (part, offset) = self.found.take().unzip();
        let cursor = Cursor::at(self.origin.clone(), part, offset.unwrap_or(0));
        (cursor, skip)
    }

    /// Opens the next older file.
    fn open(&mut self, filter: &Filter) -> Option<Work> {
        let style = self.origin.style();
        loop {
            let mut part = match self.todo.pop()? {
                Todo::Open(part) => part,
                // Deleted by a rotation just now: so are those before it.
                Todo::Rotated(rotated) => match rotated.open() {
                    Ok(part) => part,
                    Err(_) => continue,
                },
            };
            let Some(length) = part.len() else {
                return Some(Work::Packed {
                    part,
                    offset: 0,
                    tail: Vec::new(),
                    count: 0,
                });
            };
            let mut at = |moment: &Option<Moment>, without, early| {
                moment.as_ref().map_or(without, |moment| {
                    bound(&mut part, moment, style, length, early)
                })
            };
            let low = at(&filter.since, 0, true);
            let end = at(&filter.until, length, false).max(low);
            return Some(Work::Plain {
                part,
                low,
                end,
                size: PIECE_BYTES.start,
            });
        }
    }

    /// Looks at one more piece. Answers what is left to do, or how much too much was found.
    #[expect(clippy::too_many_arguments, reason = "the fields of one kind of work")]
    fn backward(
        &mut self,
        mut part: Part,
        low: u64,
        end: u64,
        size: usize,
        left: usize,
        filter: &Filter,
        budget: &mut usize,
    ) -> (Option<Work>, Option<usize>) {
        let begin = low.max(end.saturating_sub(size as u64));
        let mut piece = vec![0; usize::try_from(end - begin).unwrap_or(size)];
        // Truncated meanwhile: what is left of it is short.
        let bytes = part.read_at(&mut piece, begin);
        piece.truncate(bytes);
        *budget = budget.saturating_sub(bytes);
        let larger = (size * 4).min(PIECE_BYTES.end);
        let mut from = 0;
        if begin > low {
            let rest = piece.len().saturating_sub(1);
            match memchr(b'\n', &piece[..rest]) {
                Some(end) => from = end + 1,
                None if size < PIECE_BYTES.end => {
                    let work = Work::Plain {
                        part,
                        low,
                        end,
                        size: larger,
                    };
                    return (Some(work), None);
                }
                None => {}
            }
        }
        let lines = &piece[from..];
        // What has no end yet is not handed on yet.
        let lines = &lines[..memrchr(b'\n', lines).map_or(0, |end| end + 1)];
        let count = count(filter, lines, self.origin.style());
        let start = begin + from as u64;
        if count >= left && (left > 0 || !lines.is_empty()) {
            self.found = Some((part, start));
            return (None, Some(count - left));
        }
        self.left = Some(left - count.min(left));
        if start <= low || bytes == 0 {
            self.found = Some((part, low));
            return (None, None);
        }
        let work = Work::Plain {
            part,
            low,
            end: start,
            size: larger,
        };
        (Some(work), None)
    }

    /// The same for a compressed file.
    #[expect(clippy::too_many_arguments, reason = "the fields of one kind of work")]
    fn forward(
        &mut self,
        mut part: Part,
        mut offset: u64,
        mut tail: Vec<u8>,
        mut counted: usize,
        left: usize,
        filter: &Filter,
        budget: &mut usize,
    ) -> (Option<Work>, Option<usize>) {
        let had = tail.len();
        tail.resize(had + PIECE_BYTES.end, 0);
        let bytes = part.read_at(&mut tail[had..], offset);
        tail.truncate(had + bytes);
        offset += bytes as u64;
        *budget = budget.saturating_sub(bytes);
        if bytes > 0 {
            let whole = memrchr(b'\n', &tail).map_or(0, |end| end + 1);
            counted += count(filter, &tail[..whole], self.origin.style());
            tail.drain(..whole);
            if tail.len() >= PIECE_BYTES.end {
                tail.clear();
            }
            let work = Work::Packed {
                part,
                offset,
                tail,
                count: counted,
            };
            return (Some(work), None);
        }
        self.found = Some((part, 0));
        if counted >= left {
            return (None, Some(counted - left));
        }
        self.left = Some(left - counted);
        (None, None)
    }
}

fn count(filter: &Filter, lines: &[u8], style: Style) -> usize {
    if filter.takes_all() {
        memchr_iter(b'\n', lines).count()
    } else {
        filter.count(lines, style)
    }
}

/// Behind a line that was read before; if it is gone, behind the gap.
pub(super) fn resume(origin: &Origin, place: Position) -> Cursor {
    let found = match origin {
        Origin::Log(dir) => {
            let (rotated, current) = files::all(dir);
            let plain = rotated.iter().rev().filter_map(|it| it.open().ok());
            // By the inode, newest first, and then into those that have been compressed.
            current
                .into_iter()
                .chain(plain.take_while(|part| part.len().is_some()))
                .filter(|part| part.id.1 == place.inode)
                .find_map(|part| Cursor::behind(origin, part, place))
                .or_else(|| {
                    let later = rotated.iter().filter(|it| it.at >= place.us);
                    let parts = later.take(TRIES_MAX).filter_map(|it| it.open().ok());
                    parts
                        .filter(|part| part.len().is_none())
                        .find_map(|part| Cursor::behind(origin, part, place))
                })
        }
        Origin::File(path) => outside::open(path)
            .ok()
            .filter(|part| part.id.1 == place.inode)
            .or_else(|| outside::renamed(path, place.inode))
            .and_then(|part| Cursor::behind(origin, part, place)),
    };
    found.unwrap_or_else(|| {
        let mut cursor = match origin {
            Origin::Log(dir) => {
                let (rotated, current) = files::all(dir);
                let later = rotated.iter().filter(|it| it.at >= place.us);
                let part = later.filter_map(|it| it.open().ok()).next().or(current);
                Cursor::at(origin.clone(), part, 0)
            }
            Origin::File(_) => Cursor::at(origin.clone(), None, 0),
        };
        cursor.say(GAP);
        cursor
    })
}

/// Where the first line begins that is not before this moment, in a file whose lines are in order.
/// Where no stamp says so: at the beginning if `early`, else at the end; a file without any stamp
/// counts as written when it was last changed.
fn bound(part: &mut Part, moment: &Moment, style: Style, length: u64, early: bool) -> u64 {
    let wanted = moment.text.as_bytes();
    let (mut low, mut high) = (0, length);
    while high - low > WINDOW_BYTES {
        let middle = low + (high - low) / 2;
        let first = stamped(
            part,
            middle,
            middle > 0,
            high.min(middle + LOOK_BYTES),
            style,
            |_| true,
        );
        match first {
            Some((at, stamp)) if stamp.as_slice() < wanted => low = at,
            _ => high = middle,
        }
    }
    let to = high + LOOK_BYTES;
    let mut any = low > 0;
    let found = stamped(part, low, false, to, style, |stamp| {
        any = true;
        stamp >= wanted
    });
    match found {
        Some((at, _)) => at,
        None if any && to >= length => length,
        None if !early => length,
        None if !any => {
            let changed = part.metadata().and_then(|meta| meta.modified()).ok();
            let changed = changed.and_then(|it| jiff::Timestamp::try_from(it).ok());
            let before = changed.is_some_and(|it| it.as_microsecond() < moment.us);
            if before { length } else { 0 }
        }
        None => low,
    }
}

/// The first line with a stamp that is wanted: its offset and the stamp. `partial`: it begins in the
/// middle of a line.
fn stamped(
    part: &mut Part,
    from: u64,
    mut partial: bool,
    to: u64,
    style: Style,
    mut wanted: impl FnMut(&[u8]) -> bool,
) -> Option<(u64, Vec<u8>)> {
    let mut offset = from;
    let mut buffer: Vec<u8> = Vec::new();
    let mut stamp = Vec::new();
    while offset < to {
        let had = buffer.len();
        buffer.resize(had + PIECE_BYTES.start, 0);
        let bytes = part.read_at(&mut buffer[had..], offset);
        buffer.truncate(had + bytes);
        if bytes == 0 {
            return None;
        }
        let base = offset - had as u64;
        offset += bytes as u64;
        let mut begin = 0;
        for end in memchr_iter(b'\n', &buffer) {
            if !std::mem::take(&mut partial) {
                stamp.clear();
                style.stamp_into(&buffer[begin..end], &mut stamp);
                if !stamp.is_empty() && wanted(&stamp) {
                    return Some((base + begin as u64, stamp));
                }
            }
            begin = end + 1;
        }
        buffer.drain(..begin);
    }
    None
}
