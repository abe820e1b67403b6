//! The loop of the log thread: sits in `epoll_wait`, without a timeout unless something is untold,
//! and reads what is ready.
//!
//! A turn reads each ready pipe once, so that no service keeps others waiting. One write a line is
//! the common case, and a reader that wakes for each costs more than the writer: after a short read
//! in a stream of data it pauses a moment, so that the next read brings many lines. A pipe that
//! keeps streaming is taken out of the epoll, which would cost its writer a call for every line, and
//! is read every turn until a read finds it empty. The thread never pauses while reads come full
//! (bulk would be slowed), nor does an idle service wake it.

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
};

use super::{
    Command, PipeReader, Shared, Spec,
    file::LogFile,
    forward::Forwarding,
    lines::{Out, Target},
    stamp::Clock,
    troubles::Told,
    untold::Untold,
};
use crate::message::Forward;

/// One read takes at most this much: the larger, the larger the pieces in which the kernel keeps
/// the file.
const READ_BYTES: usize = 256 << 10;
/// Data keeps coming if reads that brought some are no further apart, in microseconds.
const STREAM_US: i64 = 4000;
/// Pause after a short read of a pipe of the usual 64 KiB: a writer does not fill that in this time.
const PAUSE: Duration = Duration::from_micros(200);
/// Pause after a short read of a large pipe.
const PAUSE_LARGE: Duration = Duration::from_micros(1500);
/// A pipe of this size is large.
const LARGE_BYTES: usize = 512 << 10;
/// What a pipe holds at most if it will not say.
const PIPE_BYTES: usize = 1 << 20;
/// Turns in a row that brought data, after which a pipe streams.
const STREAK: u32 = 8;
/// Pipes that stream at a time at most; a turn reads all of them.
const STREAMS_MAX: usize = 16;
/// Pipes that one turn serves.
const EVENTS_MAX: usize = 64;
/// Reads up to this size leave the memory of buffers as it is.
const SMALL_BYTES: usize = 64 << 10;
/// So long after the last large read their memory is given back, in microseconds.
const SHRINK_US: i64 = 1_000_000;
/// Token of the command bell; services count up from the next.
const WAKER: u64 = 0;

/// All that the thread owns.
#[derive(Debug)]
pub(super) struct Worker {
    shared: Arc<Shared>,
    epoll: Epoll,
    logs: BTreeMap<u64, Log>,
    /// Tokens by service.
    tokens: BTreeMap<Arc<str>, u64>,
    /// Tokens of pipes that are out of the epoll and read every turn.
    streams: Vec<u64>,
    next_token: u64,
    clock: Clock,
    /// Counts up.
    turn: u64,
    /// When a read last brought data.
    last_us: i64,
    /// When a read last brought so much that the buffers have grown; 0: they are small.
    large_us: i64,
    buffer: Vec<u8>,
    /// Where runs have ended in what the last read brought.
    ends: Vec<(usize, Option<String>)>,
    out: Out,
    untold: Untold,
    forwarding: Forwarding,
}

/// A service's pipe and where its lines go.
#[derive(Debug)]
struct Log {
    service: Arc<str>,
    /// None once every writer is gone.
    pipe: Option<OwnedFd>,
    pipe_bytes: usize,
    pipe_reader: PipeReader,
    target: Target,
    /// What was last said of its troubles.
    told: Told,
    /// The last turn that brought data, and how many did in a row.
    streak: (u64, u32),
    streams: bool,
}

/// What a turn has seen.
struct Turn {
    /// Bytes of its longest read.
    most: usize,
    /// A read took what it could take at once.
    full: bool,
    pause: Duration,
}

impl Log {
    /// Says what others have to know of its file.
    fn report(&mut self, token: u64, shared: &Shared, untold: &mut Untold, clock: &Clock) {
        if self.target.file.take_rotated() {
            shared.rotations.add(&self.service);
        }
        if self.target.file.has_untold() {
            untold.add(token);
        }
        let trouble = self.target.file.trouble();
        self.told
            .update(&shared.troubles, &self.service, clock.us(), trouble);
    }
}

impl Worker {
    pub(super) fn new(shared: Arc<Shared>, forwarding: Forwarding) -> io::Result<Worker> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(&shared.waker, EpollEvent::new(EpollFlags::EPOLLIN, WAKER))?;
        Ok(Worker {
            shared,
            epoll,
            logs: BTreeMap::new(),
            tokens: BTreeMap::new(),
            streams: Vec::new(),
            next_token: WAKER + 1,
            clock: Clock::new(),
            turn: 0,
            last_us: 0,
            large_us: 0,
            buffer: vec![0; READ_BYTES],
            ends: Vec::new(),
            out: Out::new(),
            untold: Untold::default(),
            forwarding,
        })
    }

    /// Works until it is told to stop.
    pub(super) fn run(mut self) {
        // Signals are the keeper's main thread's to take.
        let _ = SigSet::all().thread_block();
        while !self.turn() {}
        for token in self.logs.keys().copied().collect::<Vec<_>>() {
            self.end(token);
        }
        self.forwarding.close();
    }

    /// Waits for something and does it. True: stop.
    fn turn(&mut self) -> bool {
        let mut events = [EpollEvent::empty(); EVENTS_MAX];
        let timeout = if self.streams.is_empty() {
            self.untold.timeout()
        } else {
            EpollTimeout::ZERO
        };
        // The only error that can pass is EINTR; the rest are mistakes in the arguments.
        let ready = self.epoll.wait(&mut events, timeout).unwrap_or(0);
        let now = self.clock.refresh();
        self.turn += 1;
        // First, and also if not rung for: it costs nothing now, and a wake-up later.
        let rung = events[..ready].iter().any(|event| event.data() == WAKER);
        if (rung || self.shared.has_commands()) && self.obey() {
            return true;
        }
        self.tell_untold();
        let mut seen = Turn {
            most: 0,
            full: false,
            pause: PAUSE_LARGE,
        };
        for index in (0..self.streams.len()).rev() {
            let token = self.streams[index];
            if self.visit(token, &mut seen) == 0 {
                self.streams.swap_remove(index);
                self.watch_again(token);
            }
        }
        for event in &events[..ready] {
            if event.data() != WAKER {
                self.visit(event.data(), &mut seen);
            }
        }
        if seen.most > SMALL_BYTES {
            self.large_us = now;
        } else if self.large_us != 0 && now - self.large_us > SHRINK_US {
            self.large_us = 0;
            self.buffer = vec![0; READ_BYTES];
            self.out.shrink();
        }
        if seen.most > 0 {
            let streaming = now - self.last_us < STREAM_US;
            self.last_us = now;
            if streaming && !seen.full {
                self.pause(seen.pause);
            }
        }
        false
    }

    /// Tries again to tell what was lost, where that is due.
    fn tell_untold(&mut self) {
        for token in self.untold.take_due() {
            if let Some(log) = self.logs.get_mut(&token) {
                log.target.file.settle_dropped(&self.clock);
                log.report(token, &self.shared, &mut self.untold, &self.clock);
            }
        }
    }

    /// Reads a pipe in its turn. Number of bytes read.
    fn visit(&mut self, token: u64, seen: &mut Turn) -> usize {
        let bytes = self.read_once(token);
        let Some(log) = self.logs.get_mut(&token) else {
            return 0;
        };
        let pause = if log.pipe_bytes >= LARGE_BYTES {
            PAUSE_LARGE
        } else {
            PAUSE
        };
        seen.pause = seen.pause.min(pause);
        seen.most = seen.most.max(bytes);
        seen.full |= bytes >= READ_BYTES.min(log.pipe_bytes) / 2;
        if bytes == 0 {
            return 0;
        }
        let (last, count) = log.streak;
        let count = if last + 1 == self.turn { count + 1 } else { 1 };
        log.streak = (self.turn, count);
        if count >= STREAK
            && !log.streams
            && self.streams.len() < STREAMS_MAX
            && let Some(pipe) = &log.pipe
            && self.epoll.delete(pipe).is_ok()
        {
            log.streams = true;
            self.streams.push(token);
        }
        bytes
    }

    /// A pipe that was read every turn is empty: the epoll tells when it is not.
    fn watch_again(&mut self, token: u64) {
        if let Some(log) = self.logs.get_mut(&token) {
            log.streams = false;
            log.streak = (0, 0);
            if let Some(pipe) = &log.pipe {
                // Fails only for want of memory or beyond a limit of the system that holds millions.
                let event = EpollEvent::new(EpollFlags::EPOLLIN, token);
                let _ = self.epoll.add(pipe, event);
            }
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
        let outcome = log.pipe_reader.read(pipe, &mut self.buffer, &mut self.ends);
        let mut data = &self.buffer[..outcome.unwrap_or(0)];
        let mut done = 0;
        for (end, mark) in self.ends.drain(..) {
            let (last, next) = data.split_at(end - done);
            (data, done) = (next, end);
            if !last.is_empty() {
                self.out.feed(&mut log.target, last, &self.clock);
            }
            self.out.finish(&mut log.target, &self.clock);
            if let Some(mark) = mark {
                self.out.mark(&mut log.target, &mark, &self.clock);
            }
        }
        match outcome {
            Ok(0) => self.hang_up(token),
            Ok(bytes) => {
                if !data.is_empty() {
                    self.out.feed(&mut log.target, data, &self.clock);
                }
                log.report(token, &self.shared, &mut self.untold, &self.clock);
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
            self.out.finish(&mut log.target, &self.clock);
        }
    }

    /// Waits for that long, or for a command.
    fn pause(&self, time: Duration) {
        let mut waker = [PollFd::new(self.shared.waker.as_fd(), PollFlags::POLLIN)];
        // An early end does no harm.
        let _ = ppoll(&mut waker, Some(TimeSpec::from_duration(time)), None);
    }

    /// Does what it is asked. True: stop.
    fn obey(&mut self) -> bool {
        // Rung again in between, it is heard again.
        let _ = self.shared.waker.read();
        let commands = std::mem::take(&mut *self.shared.commands());
        for command in commands {
            match command {
                Command::Open(service, spec, pipe, pipe_reader, mark) => {
                    self.open(&service, spec, pipe, pipe_reader);
                    if let Some((mark, token)) = mark.zip(self.find(&service))
                        && let Some(log) = self.logs.get_mut(&token)
                    {
                        self.out.mark(&mut log.target, &mark, &self.clock);
                    }
                }
                Command::Reconfigure(service, spec) => {
                    if let Some(token) = self.find(&service) {
                        self.drain(token);
                        self.route(token, spec.forward);
                    }
                    self.after_all_before(&service, |target, _, _| target.file.reconfigure(spec));
                }
                Command::Close(service) => {
                    if let Some(token) = self.find(&service) {
                        self.end(token);
                    }
                    self.shared.counts.forget(&service);
                }
                Command::Mark(service, text) => {
                    self.after_all_before(&service, |target, out, clock| {
                        out.finish(target, clock);
                        out.mark(target, &text, clock);
                    });
                }
                // The reading itself ends the line, at its end.
                Command::Finish(service, pipe_reader) => {
                    self.after_all_before(&service, |_, _, _| {});
                    pipe_reader.wrote_last();
                }
                Command::Rotate(service) => {
                    self.after_all_before(&service, |target, _, clock| {
                        target.file.settle();
                        target.file.rotate(clock);
                    });
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

    /// Does this once what is in the pipe has been written.
    fn after_all_before(
        &mut self,
        service: &str,
        work: impl FnOnce(&mut Target, &mut Out, &Clock),
    ) {
        let Some(token) = self.find(service) else {
            return;
        };
        self.drain(token);
        if let Some(log) = self.logs.get_mut(&token) {
            work(&mut log.target, &mut self.out, &self.clock);
            log.report(token, &self.shared, &mut self.untold, &self.clock);
        }
    }

    fn find(&self, service: &str) -> Option<u64> {
        self.tokens.get(service).copied()
    }

    fn open(&mut self, service: &str, spec: Spec, pipe: OwnedFd, pipe_reader: PipeReader) {
        if let Some(token) = self.find(service) {
            self.end(token);
        }
        let flags = fcntl(&pipe, FcntlArg::F_GETFL).unwrap_or(0);
        let flags = OFlag::from_bits_retain(flags) | OFlag::O_NONBLOCK;
        let _ = fcntl(&pipe, FcntlArg::F_SETFL(flags));
        let pipe_bytes = fcntl(&pipe, FcntlArg::F_GETPIPE_SZ).ok();
        let token = self.next_token;
        self.next_token += 1;
        let forward = spec.forward;
        let counts = self.shared.counts.of(service);
        let service: Arc<str> = service.into();
        self.tokens.insert(Arc::clone(&service), token);
        let log = Log {
            service,
            pipe: Some(pipe),
            pipe_bytes: pipe_bytes
                .and_then(|bytes| usize::try_from(bytes).ok())
                .unwrap_or(PIPE_BYTES),
            pipe_reader,
            target: Target {
                file: LogFile::new(spec, counts),
                route: None,
                carry: Vec::new(),
            },
            told: Told::default(),
            streak: (0, 0),
            streams: false,
        };
        self.logs.insert(token, log);
        self.watch_again(token);
        self.route(token, forward);
    }

    /// Sends the lines of a service there from now on.
    fn route(&mut self, token: u64, forward: Option<Forward>) {
        let Some(log) = self.logs.get_mut(&token) else {
            return;
        };
        let now = log.target.route.as_ref().map(|route| route.forward());
        if now == forward {
            return;
        }
        Out::last_words(&mut log.target, &self.clock);
        log.target.route = None;
        match forward.map(|to| self.forwarding.route(&log.service, to)) {
            None => {}
            Some(Ok(route)) => log.target.route = Some(route),
            Some(Err(error)) => {
                let text = format!("lines are not forwarded: could not begin to: {error}");
                self.out.mark(&mut log.target, &text, &self.clock);
            }
        }
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
        if let Some(log) = self.logs.get_mut(&token) {
            Out::last_words(&mut log.target, &self.clock);
        }
        self.streams.retain(|stream| *stream != token);
        if let Some(mut log) = self.logs.remove(&token) {
            log.told
                .update(&self.shared.troubles, &log.service, i64::MAX, None);
            self.tokens.remove(&log.service);
        }
    }
}
