//! The log of a service, or a file of its own, as one client reads it.

use std::{path::PathBuf, sync::Arc};

use super::{
    cursor::{Cursor, CursorStep, Line, Origin},
    filter::Filter,
    seek::Seek,
    watch::Watch,
};

/// A log that a client reads.
#[derive(Debug)]
pub(super) struct Source {
    /// Service of the log.
    pub(super) service: Arc<str>,
    /// The program's file, if the source is not the service's log itself.
    pub(super) file: Option<Arc<str>>,
    pub(super) origin: Origin,
    filter: Arc<Filter>,
    stage: Stage,
    pub(super) head: Option<Line>,
    /// Wanted lines that are left out before the first.
    skip: usize,
    /// Lines that are still wanted.
    left: usize,
    /// At the end, until its directory changes.
    pub(super) idle: bool,
    pub(super) watch: Option<Watch>,
}

#[derive(Debug)]
enum Stage {
    Seeking(Box<Seek>),
    Reading(Box<Cursor>),
    Over,
}

/// Outcome of an attempt to read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filled {
    /// A line is in `head`.
    Head,
    /// No more for now.
    Idle,
    /// The budget of this turn is used up.
    Busy,
}

impl Source {
    /// Looks for the place first. At most `left` lines come.
    pub(super) fn seeking(
        service: Arc<str>,
        seek: Seek,
        origin: Origin,
        filter: Arc<Filter>,
        left: usize,
    ) -> Source {
        let stage = Stage::Seeking(Box::new(seek));
        Source::new(service, stage, origin, filter, left)
    }

    /// Begins at that place.
    pub(super) fn reading(service: Arc<str>, cursor: Cursor, filter: Arc<Filter>) -> Source {
        let origin = cursor.origin().clone();
        let stage = Stage::Reading(Box::new(cursor));
        Source::new(service, stage, origin, filter, usize::MAX)
    }

    fn new(
        service: Arc<str>,
        stage: Stage,
        origin: Origin,
        filter: Arc<Filter>,
        left: usize,
    ) -> Source {
        let file = match &origin {
            Origin::Log(_) => None,
            Origin::File(path) => Some(path.to_string_lossy().into()),
        };
        Source {
            service,
            file,
            origin,
            filter,
            stage,
            head: None,
            skip: 0,
            left,
            idle: false,
            watch: None,
        }
    }

    /// Woken by that.
    pub(super) fn with_watch(mut self, watch: Option<Watch>) -> Source {
        self.watch = watch;
        self
    }

    /// Its file, if it is one that a program writes itself.
    pub(super) fn path(&self) -> Option<&PathBuf> {
        match &self.origin {
            Origin::Log(_) => None,
            Origin::File(path) => Some(path),
        }
    }

    /// Stamp by which its head comes among the others.
    pub(super) fn order(&self) -> String {
        let last = match &self.stage {
            Stage::Reading(cursor) => cursor.last(),
            Stage::Seeking(_) | Stage::Over => b"",
        };
        String::from_utf8_lossy(last).into_owned()
    }

    /// The file that it is in now.
    pub(super) fn segment(&self) -> Option<&super::segment::Segment> {
        match &self.stage {
            Stage::Reading(cursor) => cursor.segment(),
            Stage::Seeking(_) | Stage::Over => None,
        }
    }

    /// Reads on to the next wanted line.
    pub(super) fn fill(&mut self, budget: &mut usize) -> Filled {
        if self.head.is_some() {
            return Filled::Head;
        }
        if self.left == 0 {
            self.stage = Stage::Over;
        }
        loop {
            match &mut self.stage {
                Stage::Seeking(seek) => match seek.step(&self.filter, budget) {
                    Some((cursor, skip)) => {
                        self.skip = skip;
                        self.stage = Stage::Reading(Box::new(cursor));
                    }
                    None => return Filled::Busy,
                },
                Stage::Reading(cursor) => match cursor.next(&self.filter, budget) {
                    CursorStep::Line(line) if self.skip > 0 && !line.marker => self.skip -= 1,
                    CursorStep::Line(line) => {
                        self.left -= usize::from(!line.marker);
                        self.head = Some(line);
                        return Filled::Head;
                    }
                    CursorStep::Idle => {
                        self.idle = true;
                        return Filled::Idle;
                    }
                    CursorStep::Busy => return Filled::Busy,
                    CursorStep::Over => self.stage = Stage::Over,
                },
                Stage::Over => {
                    self.idle = true;
                    return Filled::Idle;
                }
            }
        }
    }
}
