//! The log thread: moves what services write from their pipes into files, one stamped line each.
//!
//! The keeper starts one log thread and talks to it through [`Handle`], which never blocks. Bytes
//! of logs pass through no other thread.
//!
//! Each service has a directory (0750, for logs may hold secrets) with `current` (0640) and the
//! rotated files, named by the UTC time of their rotation (`2026-11-22T23-04-05.123456Z.log`), so
//! that names sort by age. A line is `STAMP text`, the stamp as in RFC 3339, in UTC, with
//! microseconds; what the supervisor itself has to say is `STAMP [mattervisor] text`. A service's
//! line that begins with `[mattervisor]` gets a backslash before it. Bytes that are not UTF-8 pass
//! as they are. Rotated files are compressed later by a separate process; the log thread only
//! reports the services that have new ones (`Handle::take_rotated`).
//!
//! Limits: a line of up to [`LINE_BYTES_MAX`] stays whole, a longer one is cut into several with a
//! marked line between them; what cannot be written (disk full, no right) is dropped and counted,
//! never waited for, and the count is written when writing works again, tried anew once a second;
//! at most [`COMMANDS_MAX`] marks wait to be done.

mod counts;
mod file;
mod forward;
mod lines;
mod parked;
mod pipe_reader;
mod rotations;
mod saved;
mod sink;
mod stamp;
#[cfg(test)]
mod tests;
mod thread;
mod troubles;
mod untold;

use std::{
    collections::BTreeMap,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread::JoinHandle,
};

use nix::{
    sys::eventfd::{EfdFlags, EventFd},
    unistd::Pid,
};

use self::{
    forward::{Forwarding, Places},
    rotations::Rotations,
    saved::{SavedBatch, SavedLog},
    troubles::Troubles,
};
use crate::message::{Forward, LogStats, LogTrouble};

use self::counts::AllCounts;
pub use self::pipe_reader::PipeReader;
pub use self::stamp::{COMPRESSED, STAMP_BYTES, rotated_at};
pub(crate) use self::{pipe_reader::Taken, saved::SavedLogs};

/// Name of the file that is written to, in a service's log directory.
pub const CURRENT: &str = "current";
/// Begins each line of the supervisor itself, after the stamp; no line of a service begins with it.
pub const MARK: &str = "[mattervisor] ";
/// Precedes a line of a service that would begin like a line of the supervisor.
const ESCAPE: u8 = b'\\';
/// A line of up to this many bytes, without stamp and end, stays whole.
pub const LINE_BYTES_MAX: usize = 64 << 10;
/// Marks beyond this many waiting commands are dropped.
pub const COMMANDS_MAX: usize = 4096;
/// Stack of the thread, in bytes; the thread needs a fraction of it.
const STACK_BYTES: usize = 256 << 10;

/// Where a service's log goes and how much of it is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spec {
    /// Directory of `current` and the rotated files; made if missing.
    pub dir: PathBuf,
    /// `current` is rotated at the end of the line that makes it this long, in bytes; 0: never.
    pub size_bytes: u64,
    /// Number of rotated files that are kept.
    pub keep: u32,
    /// `current` is rotated before the next line when its first one is this old; none: never.
    pub age_ms: Option<u64>,
    /// Whether to report rotations, because rotated files are to be compressed.
    pub compress: bool,
    /// Where each line also goes.
    pub forward: Option<Forward>,
}

/// Commands to the log thread; carried out in order.
#[derive(Debug)]
enum Command {
    /// Read this pipe into these files, behind a marked line if one is given.
    Open(String, Spec, OwnedFd, PipeReader, Option<String>),
    /// Use this spec from the next line on.
    Reconfigure(String, Spec),
    /// Drain and forget.
    Close(String),
    /// Write a marked line.
    Mark(String, String),
    /// End an unfinished line at the end of its run, whose place the [`PipeReader`] knows.
    Finish(String, PipeReader),
    /// Rotate after the last whole line, whatever the size.
    Rotate(String),
    /// Answer when all earlier commands have been carried out.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "only tests wait for the thread")
    )]
    Sync(mpsc::Sender<()>),
    /// Drain all, report what no file has, and wait until the other side of the channel is dropped.
    Park(mpsc::Sender<SavedLogs>, mpsc::Receiver<()>),
    /// Take up what another log thread had parked; its logs are opened by later commands.
    Resume(BTreeMap<String, SavedLog>, Vec<SavedBatch>),
    /// Drain all and end.
    Stop,
}

/// State that the handle and the log thread share.
#[derive(Debug)]
struct Shared {
    commands: Mutex<Vec<Command>>,
    waker: EventFd,
    rotations: Rotations,
    counts: AllCounts,
    troubles: Troubles,
}

impl Shared {
    fn commands(&self) -> MutexGuard<'_, Vec<Command>> {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_commands(&self) -> bool {
        !self.commands().is_empty()
    }
}

/// Marks the gap in a log that the death of the keeper makes.
pub const KEEPER_DIED: &str = "the keeper has died; lines may be missing here";

/// The thread itself; see [`LogThread::start`].
#[derive(Debug)]
pub struct LogThread;

/// How the keeper talks to the log thread. No method but [`Handle::stop`] waits for anything.
#[derive(Debug)]
pub struct Handle {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
    tid: Pid,
}

impl LogThread {
    /// Starts the thread. Fails for want of descriptors or of memory.
    pub fn start() -> io::Result<Handle> {
        Self::start_with(Places::usual())
    }

    fn start_with(places: Places) -> io::Result<Handle> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let shared = Arc::new(Shared {
            commands: Mutex::new(Vec::new()),
            waker: EventFd::from_value_and_flags(0, flags)?,
            rotations: Rotations::new()?,
            counts: AllCounts::default(),
            troubles: Troubles::new()?,
        });
        let worker = thread::Worker::new(Arc::clone(&shared), Forwarding::new(places))?;
        let (tell, told) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("log".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || {
                // The caller waits for this answer, so the receiver exists.
                let _ = tell.send(nix::unistd::gettid());
                worker.run();
            })?;
        let tid = told.recv().map_err(io::Error::other)?;
        Ok(Handle {
            shared,
            thread,
            tid,
        })
    }
}

impl Handle {
    /// Reads `read_end` from now on and appends to the files of `spec`. A service that is open
    /// already gets the new pipe and spec; what is left in the old pipe is written first.
    pub fn open(&self, service: &str, spec: Spec, read_end: OwnedFd) -> PipeReader {
        let pipe_reader = self.open_later(service, spec, read_end, None);
        self.ring();
        pipe_reader
    }

    /// Like [`Self::open`], for a pipe that an earlier keeper read: the mark says so, and stands
    /// before all that is left in the pipe.
    pub fn take_over(
        &self,
        service: &str,
        spec: Spec,
        read_end: OwnedFd,
        mark: &str,
    ) -> PipeReader {
        let pipe_reader = self.open_later(service, spec, read_end, Some(mark));
        self.ring();
        pipe_reader
    }

    /// Like [`Self::open`], but takes effect only with the next [`Self::wake`] or other command:
    /// many logs cost one wake-up, and the log thread does not compete with the thread that spawns.
    pub(crate) fn open_later(
        &self,
        service: &str,
        spec: Spec,
        read_end: OwnedFd,
        mark: Option<&str>,
    ) -> PipeReader {
        let pipe_reader = PipeReader::default();
        let mark = mark.map(str::to_owned);
        let command = Command::Open(
            service.to_owned(),
            spec,
            read_end,
            pipe_reader.clone(),
            mark,
        );
        self.shared.commands().push(command);
        pipe_reader
    }

    /// Wakes the log thread if commands wait.
    pub(crate) fn wake(&self) {
        if self.shared.has_commands() {
            self.ring();
        }
    }

    /// Uses another spec from the next line on.
    pub fn reconfigure(&self, service: &str, spec: Spec) {
        self.tell(Command::Reconfigure(service.to_owned(), spec));
    }

    /// Writes what is in the pipe, also an unfinished line, and forgets the service.
    pub fn close(&self, service: &str) {
        self.tell(Command::Close(service.to_owned()));
    }

    /// Writes a line of the supervisor, after all that is in the pipe. An unfinished line is ended
    /// first, so a mark between two runs keeps them apart.
    pub fn mark(&self, service: &str, text: &str) {
        if self.shared.commands().len() < COMMANDS_MAX {
            self.tell(Command::Mark(service.to_owned(), text.to_owned()));
        }
    }

    /// Rotates `current` after all that is in the pipe, unless it is empty. An unfinished line goes
    /// whole into the new file.
    pub fn rotate(&self, service: &str) {
        if self.shared.commands().len() < COMMANDS_MAX {
            self.tell(Command::Rotate(service.to_owned()));
        }
    }

    /// Writes what is in the pipe, also an unfinished line: the process that began the line is
    /// gone. Later output begins a line of its own, behind the mark if one is given. Takes effect
    /// with the next [`Self::wake`] at the latest.
    pub(crate) fn finish(
        &self,
        service: &str,
        pipe_reader: &PipeReader,
        pipe: impl AsFd,
        mark: Option<String>,
    ) {
        pipe_reader.end_here(pipe, mark);
        let mut commands = self.shared.commands();
        if commands.len() < COMMANDS_MAX {
            pipe_reader.ask_last();
            commands.push(Command::Finish(service.to_owned(), pipe_reader.clone()));
        }
    }

    /// Becomes readable when a file that is to be compressed has been rotated, and then not again
    /// until [`Self::take_rotated`] has taken all.
    pub(crate) fn rotations(&self) -> BorrowedFd<'_> {
        self.shared.rotations.waker()
    }

    /// Keeps [`Self::rotations`] from being readable until [`Self::take_rotated`].
    pub(crate) fn rotations_heard(&self) {
        self.shared.rotations.heard();
    }

    /// Takes the services that have rotated files to be compressed. True: some have had one rotated
    /// at `since_ms` or later, on the keeper's clock, and will be given again.
    pub(crate) fn take_rotated(&self, since_ms: u64) -> (Vec<String>, bool) {
        self.shared.rotations.take(since_ms)
    }

    /// Counts this service among those that have rotated files.
    pub(crate) fn rotated(&self, service: &str) {
        self.shared.rotations.add(service);
    }

    /// Writes what is in the pipes, also unfinished lines, and ends the thread.
    pub fn stop(self) {
        self.tell(Command::Stop);
        // A panicked thread has reported its panic on stderr; there is nothing to undo.
        let _ = self.thread.join();
    }

    /// Bytes written and lines lost of every open log.
    pub(crate) fn stats(&self) -> Vec<LogStats> {
        self.shared.counts.read()
    }

    /// Becomes readable when a log can no longer be written or rotated, or can again, and when more
    /// of its lines are lost.
    pub(crate) fn troubles(&self) -> BorrowedFd<'_> {
        self.shared.troubles.waker()
    }

    /// Present state of the logs whose state has changed since the last call.
    pub(crate) fn take_troubles(&self) -> Vec<(String, Option<LogTrouble>)> {
        self.shared.troubles.take_changed()
    }

    /// All logs that cannot be written or rotated.
    pub(crate) fn all_troubles(&self) -> Vec<(String, LogTrouble)> {
        self.shared.troubles.all()
    }

    /// The thread id, for measurements.
    pub fn tid(&self) -> Pid {
        self.tid
    }

    /// Waits until all commands so far have been done.
    #[cfg(test)]
    fn sync(&self) {
        let (tell, told) = mpsc::channel();
        self.tell(Command::Sync(tell));
        told.recv().expect("the log thread lives");
    }

    fn tell(&self, command: Command) {
        self.shared.commands().push(command);
        self.ring();
    }

    fn ring(&self) {
        // EAGAIN means that the counter is full: the thread will wake.
        let _ = self.shared.waker.write(1);
    }
}
