//! Finds where the wanted lines of a log begin: from a moment on, or the last so many that match.
//!
//! Files that cannot have wanted lines are not opened, by their names; within a plain file a moment
//! is searched for by halves (`by_time.rs`). Only the last so many that match are looked for by
//! reading, backward, a piece at a time. Owner of what a search has read so far; a client's turn
//! ends it in the middle, and the next one goes on.

use std::io;

use memchr::{memchr, memchr_iter, memrchr};

use super::{
    by_time::bound,
    cursor::{Cursor, Origin},
    files::{self, Rotated},
    filter::{Filter, Moment},
    program_files,
    segment::Segment,
    stamp::Style,
};

/// Files are read backward in pieces of the first size, the next ones larger, up to the other; a
/// line that is longer than that is cut.
const PIECE_BYTES: std::ops::Range<usize> = 16 << 10..512 << 10;

/// A search under way.
#[derive(Debug)]
pub(super) struct Seek {
    origin: Origin,
    /// Lines that are still wanted; none: all.
    left: Option<usize>,
    /// Files to look at, the newest one last.
    todo: Vec<Todo>,
    work: Option<Work>,
    /// Place of the oldest wanted line so far.
    found: Option<(Segment, u64)>,
}

#[derive(Debug)]
enum Todo {
    Open(Segment),
    Rotated(Rotated),
}

#[derive(Debug)]
enum Work {
    /// A plain file.
    Plain(Plain),
    /// A compressed one.
    Packed(Packed),
}

/// Read backward, from `end` down to `low`.
#[derive(Debug)]
struct Plain {
    segment: Segment,
    low: u64,
    end: u64,
    size: usize,
}

/// Read forward, for it cannot be otherwise.
#[derive(Debug)]
struct Packed {
    segment: Segment,
    offset: u64,
    /// Beginning of a line.
    tail: Vec<u8>,
    /// Wanted lines up to here.
    count: usize,
}

/// Result of one step.
enum Step {
    /// The file is not done: the rest is in `work`.
    More,
    /// The file is done.
    Done,
    /// This many wanted lines too much have been found, and it is over.
    Found(usize),
}

impl Seek {
    /// A search for the last `lines` lines that are wanted, or for all.
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
            Origin::File(path) => match program_files::open(path) {
                Ok(segment) => vec![Todo::Open(segment)],
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
        if self.left.is_none() {
            return Some((self.first(filter), 0));
        }
        loop {
            let Some(work) = self.work.take().or_else(|| self.open(filter)) else {
                return Some(self.end(0));
            };
            if *budget == 0 {
                self.work = Some(work);
                return None;
            }
            let step = match work {
                Work::Plain(plain) => self.backward(plain, filter, budget),
                Work::Packed(packed) => self.forward(packed, filter, budget),
            };
            match step {
                Step::More | Step::Done => {}
                Step::Found(skip) => return Some(self.end(skip)),
            }
        }
    }

    /// Place of the first line, where all are wanted.
    fn first(&mut self, filter: &Filter) -> Cursor {
        let style = self.origin.style();
        for todo in std::mem::take(&mut self.todo) {
            let segment = match todo {
                Todo::Open(segment) => Some(segment),
                Todo::Rotated(rotated) => rotated.open().ok(),
            };
            let Some(mut segment) = segment else {
                continue;
            };
            let begin = match (&filter.since, segment.len()) {
                (Some(since), Some(length)) => bound(&mut segment, since, style, length, true),
                _ => 0,
            };
            return Cursor::at(self.origin.clone(), Some(segment), begin);
        }
        Cursor::at(self.origin.clone(), None, 0)
    }

    fn end(&mut self, skip: usize) -> (Cursor, usize) {
        let (segment, offset) = self.found.take().unzip();
        let cursor = Cursor::at(self.origin.clone(), segment, offset.unwrap_or(0));
        (cursor, skip)
    }

    /// Opens the next older file.
    fn open(&mut self, filter: &Filter) -> Option<Work> {
        let style = self.origin.style();
        loop {
            let mut segment = match self.todo.pop()? {
                Todo::Open(segment) => segment,
                // Deleted by a rotation just now: so are those before it.
                Todo::Rotated(rotated) => match rotated.open() {
                    Ok(segment) => segment,
                    Err(_) => continue,
                },
            };
            let Some(length) = segment.len() else {
                return Some(Work::Packed(Packed {
                    segment,
                    offset: 0,
                    tail: Vec::new(),
                    count: 0,
                }));
            };
            let mut at = |moment: &Option<Moment>, without, early| {
                moment.as_ref().map_or(without, |moment| {
                    bound(&mut segment, moment, style, length, early)
                })
            };
            let low = at(&filter.since, 0, true);
            let end = at(&filter.until, length, false).max(low);
            return Some(Work::Plain(Plain {
                segment,
                low,
                end,
                size: PIECE_BYTES.start,
            }));
        }
    }

    fn more(&mut self, work: Work) -> Step {
        self.work = Some(work);
        Step::More
    }

    /// Looks at one more piece.
    fn backward(&mut self, mut plain: Plain, filter: &Filter, budget: &mut usize) -> Step {
        let left = self.left.unwrap_or(0);
        let begin = plain.low.max(plain.end.saturating_sub(plain.size as u64));
        let mut piece = vec![0; usize::try_from(plain.end - begin).unwrap_or(plain.size)];
        // Truncated meanwhile: what is left of it is short.
        let bytes = plain.segment.read_at(&mut piece, begin);
        piece.truncate(bytes);
        *budget = budget.saturating_sub(bytes);
        let largest = plain.size >= PIECE_BYTES.end;
        plain.size = (plain.size * 4).min(PIECE_BYTES.end);
        let mut from = 0;
        if begin > plain.low {
            let rest = piece.len().saturating_sub(1);
            match memchr(b'\n', &piece[..rest]) {
                Some(end) => from = end + 1,
                None if !largest => return self.more(Work::Plain(plain)),
                None => {}
            }
        }
        // A line without its end is not handed on yet.
        let lines = &piece[from..];
        let lines = &lines[..memrchr(b'\n', lines).map_or(0, |end| end + 1)];
        let count = count(filter, lines, self.origin.style());
        let start = begin + from as u64;
        if count >= left && (left > 0 || !lines.is_empty()) {
            self.found = Some((plain.segment, start));
            return Step::Found(count - left);
        }
        self.left = Some(left - count.min(left));
        if start <= plain.low || bytes == 0 {
            self.found = Some((plain.segment, plain.low));
            return Step::Done;
        }
        plain.end = start;
        self.more(Work::Plain(plain))
    }

    /// Looks at one more piece of a compressed file.
    fn forward(&mut self, mut packed: Packed, filter: &Filter, budget: &mut usize) -> Step {
        let had = packed.tail.len();
        packed.tail.resize(had + PIECE_BYTES.end, 0);
        let bytes = packed
            .segment
            .read_at(&mut packed.tail[had..], packed.offset);
        packed.tail.truncate(had + bytes);
        packed.offset += bytes as u64;
        *budget = budget.saturating_sub(bytes);
        if bytes > 0 {
            let whole = memrchr(b'\n', &packed.tail).map_or(0, |end| end + 1);
            packed.count += count(filter, &packed.tail[..whole], self.origin.style());
            packed.tail.drain(..whole);
            if packed.tail.len() >= PIECE_BYTES.end {
                packed.tail.clear();
            }
            return self.more(Work::Packed(packed));
        }
        let left = self.left.unwrap_or(0);
        self.found = Some((packed.segment, 0));
        if packed.count >= left {
            return Step::Found(packed.count - left);
        }
        self.left = Some(left - packed.count);
        Step::Done
    }
}

fn count(filter: &Filter, lines: &[u8], style: Style) -> usize {
    if filter.takes_all() {
        memchr_iter(b'\n', lines).count()
    } else {
        filter.count(lines, style)
    }
}
