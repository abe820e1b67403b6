//! The loop of the log thread: sits in `epoll_wait` without a timeout, reads what is ready.
//!
//! A turn reads each ready pipe once, so that no service keeps others waiting. One write a line is
//! the common case, and a reader that wakes for each costs more than the writer: after a short read
//! in a stream of data it pauses a moment, so that the next read brings many lines. It never pauses
//! while reads come full (bulk would be slowed), nor does an idle service wake it.

use std::{
    collections::BTreeMap,
    io,
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
    time::Duration,
};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, fcntl},
    poll::{PollFd, PollFlags, ppoll},
    sys::{
        epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
        signal::SigSet,
        time::TimeSpec,
    },
    unistd::read,
};

use super::{Command, Shared, Spec, file::LogFile, lines::Out, stamp::Clock};

/// One read takes at most this much.
const READ_BYTES: usize = 64 << 10;
/// A read of less is short.
const SHORT_BYTES: usize = READ_BYTES / 2;
/// Data keeps coming if reads that brought some are no further apart, in microseconds.
const STREAM_US: i64 = 2000;
/// Pause after a short read of a pipe of the usual 64 KiB: a writer does not fill that in this time.
const PAUSE: Duration = Duration::from_micros(200);
/// Pause after a short read of a large pipe.
const PAUSE_LARGE: Duration = Duration::from_micros(500);
/// A pipe of this size is large.
const LARGE_BYTES: usize = 512 << 10;
/// What a pipe holds at most if it will not say.
const PIPE_BYTES: usize = 1 << 20;
/// Pipes that one turn serves.
const EVENTS_MAX: usize = 64;
/// Token of the command bell; services count up from the next.
const BELL: u64 = 0;

/// All that the thread owns.
#[derive(Debug)]
pub(super) struct Mover {
    shared: Arc<Shared>,
    epoll: Epoll,
    logs: BTreeMap<u64, Log>,
    next_token: u64,
    clock: Clock,
    /// When a read last brought data.
    last_us: i64,
    buffer: Vec<u8>,
    out: Out,
}

/// A service's pipe and file.
#[derive(Debug)]
struct Log {
    service: String,
    /// None once every writer is gone.
    pipe: Option<OwnedFd>,
    pipe_bytes: usize,
    file: LogFile,
    carry: Vec<u8>,
}

impl Mover {
    pub(super) fn new(shared: Arc<Shared>) -> io::Result<Mover> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(&shared.bell, EpollEvent::new(EpollFlags::EPOLLIN, BELL))?;
        Ok(Mover {
            shared,
            epoll,
            logs: BTreeMap::new(),
            next_token: BELL + 1,
            clock: Clock::new(),
            last_us: 0,
            buffer: vec![0; READ_BYTES],
            out: Out::new(),
        })
    }

    /// Works until it is told to stop.
    pub(super) fn run(mut self) {
        // Signals are the keeper's main thread's to take.
        let _ = SigSet::all().thread_block();
        let mut events = [EpollEvent::empty(); EVENTS_MAX];
        loop {
            // The only error that can pass is EINTR; the rest are mistakes in the arguments.
            let ready = self
                .epoll
                .wait(&mut events, EpollTimeout::NONE)
                .unwrap_or(0);
            let now = self.clock.refresh();
            let mut rung = false;
            let mut most = 0;
            let mut pause = PAUSE_LARGE;
            for event in &events[..ready] {
                if event.data() == BELL {
                    rung = true;
                    continue;
                }
                most = most.max(self.read_once(event.data()));
                pause = pause.min(self.pause_of(event.data()));
            }
            if rung && self.obey() {
                break;
            }
            if most > 0 {
                let streaming = now - self.last_us < STREAM_US;
                self.last_us = now;
                if streaming && most < SHORT_BYTES {
                    self.pause(pause);
                }
            }
        }
        for token in self.logs.keys().copied().collect::<Vec<_>>() {
            self.end(token);
        }
    }

    /// Reads a pipe once and writes the lines. Number of bytes read.
    fn read_once(&mut self, token: u64) -> usize {
        let Some(log) = self.logs.get_mut(&token) else {
            return 0;
        };
        let Some(pipe) = &log.pipe else {
            return 0;
        };
        match read(pipe, &mut self.buffer) {
            Ok(0) => self.hang_up(token),
            Ok(bytes) => {
                self.out.feed(
                    &mut log.file,
                    &mut log.carry,
                    &self.buffer[..bytes],
                    &self.clock,
                );
                return bytes;
            }
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(_) => self.hang_up(token),
        }
        0
    }

    /// Every writer is gone: nothing more will come.
    fn hang_up(&mut self, token: u64) {
        if let Some(log) = self.logs.get_mut(&token)
            && let Some(pipe) = log.pipe.take()
        {
            // Duplicates may live in the control process, so closing alone would not take it out.
            let _ = self.epoll.delete(&pipe);
            self.out.finish(&mut log.file, &mut log.carry, &self.clock);
        }
    }

    fn pause_of(&self, token: u64) -> Duration {
        let large = self
            .logs
            .get(&token)
            .is_some_and(|log| log.pipe_bytes >= LARGE_BYTES);
        if large { PAUSE_LARGE } else { PAUSE }
    }

    /// Waits for that long, or for a command.
    fn pause(&self, time: Duration) {
        let mut bell = [PollFd::new(self.shared.bell.as_fd(), PollFlags::POLLIN)];
        // An early end does no harm.
        let _ = ppoll(&mut bell, Some(TimeSpec::from_duration(time)), None);
    }

    /// Does what it is asked. True: stop.
    fn obey(&mut self) -> bool {
        // Rung again in between, it is heard again.
        let _ = self.shared.bell.read();
        let commands = std::mem::take(&mut *self.shared.commands());
        for command in commands {
            match command {
                Command::Open(service, spec, pipe) => self.open(service, spec, pipe),
                Command::Reconfigure(service, spec) => {
                    if let Some(token) = self.find(&service) {
                        self.drain(token);
                        self.with(token, |log, _, _| log.file.reconfigure(spec));
                    }
                }
                Command::Close(service) => {
                    if let Some(token) = self.find(&service) {
                        self.end(token);
                    }
                }
                Command::Mark(service, text) => {
                    if let Some(token) = self.find(&service) {
                        self.drain(token);
                        self.with(token, |log, out, clock| {
                            out.finish(&mut log.file, &mut log.carry, clock);
                            out.mark(&mut log.file, &text, clock);
                        });
                    }
                }
                Command::Finish(service) => {
                    if let Some(token) = self.find(&service) {
                        self.drain(token);
                        self.with(token, |log, out, clock| {
                            out.finish(&mut log.file, &mut log.carry, clock);
                        });
                    }
                }
                Command::Rotate(service) => {
                    if let Some(token) = self.find(&service) {
                        self.drain(token);
                        self.with(token, |log, _, clock| log.file.rotate(clock));
                    }
                }
                Command::Sync(told) => {
                    for token in self.logs.keys().copied().collect::<Vec<_>>() {
                        self.drain(token);
                    }
                    let _ = told.send(());
                }
                Command::Stop => return true,
            }
        }
        false
    }

    fn with(&mut self, token: u64, work: impl FnOnce(&mut Log, &mut Out, &Clock)) {
        if let Some(log) = self.logs.get_mut(&token) {
            work(log, &mut self.out, &self.clock);
        }
    }

    fn find(&self, service: &str) -> Option<u64> {
        let mut logs = self.logs.iter();
        logs.find(|(_, log)| log.service == service)
            .map(|(token, _)| *token)
    }

    fn open(&mut self, service: String, spec: Spec, pipe: OwnedFd) {
        if let Some(token) = self.find(&service) {
            self.end(token);
        }
        let flags = fcntl(&pipe, FcntlArg::F_GETFL).unwrap_or(0);
        let flags = OFlag::from_bits_retain(flags) | OFlag::O_NONBLOCK;
        let _ = fcntl(&pipe, FcntlArg::F_SETFL(flags));
        let pipe_bytes = fcntl(&pipe, FcntlArg::F_GETPIPE_SZ).ok();
        let token = self.next_token;
        self.next_token += 1;
        // Fails only for want of memory or beyond a limit of the system that holds millions.
        let _ = self
            .epoll
            .add(&pipe, EpollEvent::new(EpollFlags::EPOLLIN, token));
        let log = Log {
            service,
            pipe: Some(pipe),
            pipe_bytes: pipe_bytes
                .and_then(|bytes| usize::try_from(bytes).ok())
                .unwrap_or(PIPE_BYTES),
            file: LogFile::new(spec),
            carry: Vec::new(),
        };
        self.logs.insert(token, log);
    }

    /// Writes what is in the pipe now. Bounded: a writer that goes on does not hold us here.
    fn drain(&mut self, token: u64) {
        self.clock.refresh();
        let mut left = self.logs.get(&token).map_or(0, |log| log.pipe_bytes);
        while left > 0 {
            match self.read_once(token) {
                0 => break,
                bytes => left = left.saturating_sub(bytes),
            }
        }
    }

    /// Writes all that is left of a service and forgets it.
    fn end(&mut self, token: u64) {
        self.drain(token);
        self.hang_up(token);
        self.with(token, |log, _, clock| log.file.settle_dropped(clock));
        self.logs.remove(&token);
    }
}
