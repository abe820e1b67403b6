//! A client of the log reader: its sources, merged by time, and its channel.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap, VecDeque},
    path::Path,
    sync::Arc,
};

use api::LogLine;
use tokio::{
    runtime::Handle,
    sync::mpsc::{Sender, error::TrySendError},
};

use super::{
    Query, Seat,
    cursor::{Cursor, Origin},
    marker, program_files,
    reader::{POLL_EVERY, Shared},
    resume::resume,
    seek::Seek,
    segment::{Id, Segment},
    source::{Filled, Source},
    watch::{Changes, Watch, Watcher},
};

/// Lines for one client in one turn.
const TURN_LINES: usize = 128;
/// Bytes that are read for one client in one turn: a search is done in such pieces, and those who
/// follow have their turns in between.
const TURN_BYTES: usize = 1 << 20;
/// Files of one service that are remembered as read.
const READ_MAX: usize = 1024;

/// A client that reads logs.
#[derive(Debug)]
pub(super) struct Client {
    query: Query,
    pub(super) sender: Sender<LogLine>,
    runtime: Handle,
    sources: Vec<Source>,
    sets: Vec<FileSet>,
    /// Sources that may have a line and show none yet.
    pending: VecDeque<usize>,
    /// Stamps of the lines that the others show.
    heads: BinaryHeap<Reverse<(String, usize)>>,
    /// Markers that the client gets before any line.
    notes: VecDeque<LogLine>,
    /// The channel is full, and a task rings when it no longer is.
    full: bool,
    /// The client has been told that its logs are looked at by intervals.
    said_polls: bool,
    /// Given back when the client is dropped; none: one of our own.
    _seat: Option<Seat>,
}

/// The files of a service that its program writes itself.
#[derive(Debug)]
struct FileSet {
    service: Arc<str>,
    patterns: Vec<String>,
    watches: Vec<Watch>,
    /// Files that have been begun, so that one that is renamed is not begun again.
    read: BTreeSet<(Id, i64)>,
    /// The client has been told that there are too many files.
    said: bool,
    /// A directory of them is not watched.
    unwatched: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pumped {
    /// More lines may follow at once.
    More,
    /// All lines that exist have been sent.
    Drained,
    /// The channel is full.
    Full,
    /// The receiver is gone.
    Gone,
}

impl Client {
    pub(super) fn new(query: Query, sender: Sender<LogLine>, seat: Option<Seat>) -> Client {
        Client {
            query,
            sender,
            runtime: Handle::current(),
            sources: Vec::new(),
            sets: Vec::new(),
            pending: VecDeque::new(),
            heads: BinaryHeap::new(),
            notes: VecDeque::new(),
            full: false,
            said_polls: false,
            _seat: seat,
        }
    }

    /// Whether more may come when all has been sent.
    pub(super) fn follows(&self) -> bool {
        self.query.follow
    }

    /// Nobody tells when something is written: it has to look.
    pub(super) fn polls(&self) -> bool {
        let unwatched = self.sources.iter().any(|source| source.watch.is_none());
        self.query.follow && (unwatched || self.sets.iter().any(|set| set.unwatched))
    }

    /// Finds out what there is to be read.
    pub(super) fn open(&mut self, watcher: &mut Watcher) {
        for place in std::mem::take(&mut self.query.places) {
            let service: Arc<str> = place.service.into();
            self.add(&service, Origin::Log(place.dir), watcher);
            if self.query.files && !place.files.is_empty() {
                self.sets.push(FileSet {
                    service,
                    patterns: place.files,
                    watches: Vec::new(),
                    read: BTreeSet::new(),
                    said: false,
                    unwatched: false,
                });
            }
        }
        for set in 0..self.sets.len() {
            self.expand(set, true, watcher);
        }
    }

    /// Adds a source, at the place that the query names.
    fn add(&mut self, service: &Arc<str>, origin: Origin, watcher: &mut Watcher) {
        // Watched before it is read: what is written in between is seen twice, and not missed.
        let watch = self.watch(service, origin.dir(), watcher);
        let file = match &origin {
            Origin::Log(_) => None,
            Origin::File(path) => Some(path.to_string_lossy()),
        };
        let (service, filter) = (Arc::clone(service), Arc::clone(&self.query.filter));
        let source = if let Some(place) = self.query.after.of(&service, file.as_deref()) {
            // Lines behind the place are wanted whenever they were written.
            let filter = filter.whenever();
            Source::reading(service, resume(&origin, place), Arc::new(filter))
        } else {
            match Seek::new(origin.clone(), self.query.lines, &filter) {
                Ok(seek) => {
                    let left = match self.query.lines {
                        Some(lines) if !self.query.follow => lines,
                        _ => usize::MAX,
                    };
                    Source::seeking(service, seek, origin, filter, left)
                }
                Err(error) => {
                    let what = origin.dir();
                    let what = file
                        .as_deref()
                        .map_or_else(|| what.to_string_lossy(), Into::into);
                    let said = format!("{what} is not read: {error}");
                    self.notes.push_back(marker(&service, &said));
                    let cursor = Cursor::at(origin, None, 0);
                    Source::reading(service, cursor, filter)
                }
            }
        };
        self.insert(source.with_watch(watch));
    }

    fn insert(&mut self, source: Source) {
        self.pending.push_back(self.sources.len());
        self.sources.push(source);
    }

    fn watch(&mut self, service: &str, dir: &Path, watcher: &mut Watcher) -> Option<Watch> {
        let watch = self.query.follow.then(|| watcher.watch(dir))?;
        if watch.is_none() && !std::mem::replace(&mut self.said_polls, true) {
            let said = format!(
                "looks for new lines every {} s: the system tells of none, it has no inotify instance or watch left; see \
                 fs.inotify.max_user_instances and fs.inotify.max_user_watches",
                POLL_EVERY.as_secs()
            );
            self.notes.push_back(marker(service, &said));
        }
        watch
    }

    /// Takes in the files that a service's patterns mean now. Later ones are read from their first
    /// line.
    fn expand(&mut self, set: usize, first: bool, watcher: &mut Watcher) {
        let FileSet {
            service, patterns, ..
        } = &self.sets[set];
        let (service, patterns) = (Arc::clone(service), patterns.clone());
        let (files, more) = program_files::matching(&patterns);
        if more && !std::mem::replace(&mut self.sets[set].said, true) {
            let said = format!("only {} of its files are read", program_files::FILES_MAX);
            self.notes.push_back(marker(&service, &said));
        }
        for watch in std::mem::take(&mut self.sets[set].watches) {
            watcher.unwatch(watch);
        }
        self.sets[set].unwatched = false;
        for dir in program_files::dirs(&patterns, &files) {
            let watch = self.watch(&service, &dir, watcher);
            self.sets[set].unwatched |= watch.is_none();
            self.sets[set].watches.extend(watch);
        }
        // Read to their ends under their old names first.
        let resumed: Vec<u64> = self
            .query
            .after
            .in_files(&service)
            .map(|(_, place)| place.inode)
            .collect();
        for path in files {
            let named = path.to_string_lossy();
            let known = self
                .sources
                .iter()
                .any(|source| source.service == service && source.path() == Some(&path));
            let identity = identity(&path);
            let begun = identity.is_some_and(|it| self.sets[set].read.contains(&it));
            let elsewhere = identity.is_some_and(|((_, inode), _)| resumed.contains(&inode))
                && self.query.after.of(&service, Some(&named)).is_none();
            if known || begun || (first && elsewhere) {
                continue;
            }
            drop(named);
            if self.sets[set].read.len() < READ_MAX {
                self.sets[set].read.extend(identity);
            }
            let origin = Origin::File(path);
            if first {
                self.add(&service, origin, watcher);
            } else {
                self.add_new(&service, origin, watcher);
            }
        }
    }

    /// A file that has come while we look, in the place of one that has gone.
    fn add_new(&mut self, service: &Arc<str>, origin: Origin, watcher: &mut Watcher) {
        let own = |source: &&mut Source| source.service == *service && source.path().is_some();
        let count = self.sources.iter_mut().filter(own).count();
        let gone = self.sources.iter_mut().filter(own).position(|source| {
            let there = source.path().is_some_and(|path| path.exists());
            source.idle && !there
        });
        let watch = self.watch(service, origin.dir(), watcher);
        let cursor = Cursor::at(origin, None, 0);
        let new = Source::reading(Arc::clone(service), cursor, Arc::clone(&self.query.filter));
        let new = new.with_watch(watch);
        let mut all = self.sources.iter_mut().enumerate();
        let mut files = all
            .by_ref()
            .filter(|(_, source)| source.service == *service && source.path().is_some());
        match gone.and_then(|at| files.nth(at)) {
            Some((at, old)) => {
                let old = std::mem::replace(old, new);
                if let Some(watch) = old.watch {
                    watcher.unwatch(watch);
                }
                self.pending.push_back(at);
            }
            None if count < program_files::FILES_MAX => self.insert(new),
            None => {
                if let Some(watch) = new.watch {
                    watcher.unwatch(watch);
                }
            }
        }
    }

    pub(super) fn close(&mut self, watcher: &mut Watcher) {
        let sets = self.sets.iter_mut().flat_map(|set| set.watches.drain(..));
        let sources = self.sources.iter_mut().filter_map(|it| it.watch.take());
        for watch in sets.chain(sources) {
            watcher.unwatch(watch);
        }
    }

    /// Wakes the logs whose directories have changed.
    pub(super) fn notice(&mut self, changes: &Changes, watcher: &mut Watcher) {
        if !self.query.follow || changes.is_empty() {
            return;
        }
        for (at, source) in self.sources.iter_mut().enumerate() {
            let outdated = changes.outdate(source.watch);
            if outdated {
                let old = source.watch.take();
                source.watch = watcher.watch(source.origin.dir());
                if let Some(old) = old {
                    watcher.unwatch(old);
                }
            }
            if (outdated || changes.touch(source.watch)) && std::mem::take(&mut source.idle) {
                self.pending.push_back(at);
            }
        }
        for set in 0..self.sets.len() {
            if changes.names(&self.sets[set].watches) {
                for source in &self.sources {
                    // A file that was renamed meanwhile is no new one either.
                    let meta = source.path().and(source.segment()).map(Segment::metadata);
                    let set = &mut self.sets[set];
                    if let Some(Ok(meta)) = meta
                        && source.service == set.service
                        && set.read.len() < READ_MAX
                    {
                        set.read.insert(identity_of(&meta));
                    }
                }
                self.expand(set, false, watcher);
            }
        }
    }

    /// Sends what there is, oldest first.
    pub(super) fn pump(&mut self) -> Pumped {
        if self.full && self.sender.capacity() == 0 && !self.sender.is_closed() {
            return Pumped::Full;
        }
        self.full = false;
        let mut budget = TURN_BYTES;
        for _ in 0..TURN_LINES {
            while let Some(&at) = self.pending.front() {
                match self.sources[at].fill(&mut budget) {
                    Filled::Head => {
                        let order = self.sources[at].order();
                        self.heads.push(Reverse((order, at)));
                    }
                    Filled::Idle => {}
                    Filled::Busy if self.sender.is_closed() => return Pumped::Gone,
                    Filled::Busy => return Pumped::More,
                }
                self.pending.pop_front();
            }
            let permit = match self.sender.try_reserve() {
                Ok(permit) => permit,
                Err(TrySendError::Full(())) => return Pumped::Full,
                Err(TrySendError::Closed(())) => return Pumped::Gone,
            };
            if let Some(note) = self.notes.pop_front() {
                permit.send(note);
                continue;
            }
            let Some(Reverse((_, at))) = self.heads.pop() else {
                return Pumped::Drained;
            };
            self.pending.push_back(at);
            let source = &mut self.sources[at];
            if let Some(line) = source.head.take() {
                let (service, file) = (&*source.service, source.file.as_deref());
                permit.send(LogLine {
                    cursor: line
                        .place
                        .map_or_else(String::new, |place| place.text(service, file)),
                    file: file.map(str::to_owned),
                    service: service.to_owned(),
                    at: line.at,
                    text: line.text,
                    marker: line.marker,
                });
            }
        }
        Pumped::More
    }

    /// Rings when there is room in the channel, or the client has gone.
    pub(super) fn await_room(&mut self, shared: &Arc<Shared>) {
        if !self.full {
            self.full = true;
            let (shared, sender) = (Arc::clone(shared), self.sender.clone());
            self.runtime.spawn(async move {
                // Either way it is looked at again.
                let _ = sender.reserve().await.is_ok();
                shared.ring();
            });
        }
    }
}

/// Tells a file from a later one with the same inode.
fn identity(path: &Path) -> Option<(Id, i64)> {
    path.symlink_metadata().ok().map(|meta| identity_of(&meta))
}

fn identity_of(meta: &std::fs::Metadata) -> (Id, i64) {
    let born = meta.created().ok();
    let born = born.and_then(|it| jiff::Timestamp::try_from(it).ok());
    (
        super::segment::id(meta),
        born.map_or(0, jiff::Timestamp::as_microsecond),
    )
}
