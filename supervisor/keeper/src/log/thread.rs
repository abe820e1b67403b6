//! The loop of the log thread: waits in `epoll_wait`, without a timeout unless something is untold,
//! and reads what is ready (`reading`). Commands of the main thread come first in a turn
//! (`commands`).
//!
//! A turn reads each ready pipe once, so that no service keeps others waiting. One write a line is
//! the common case, and a reader that wakes for each costs more than the writer: after a short read
//! in a stream of data it pauses a moment, so that the next read brings many lines. A pipe that
//! keeps streaming is taken out of the epoll, which would cost its writer a call for every line,
//! and is read every turn until a read finds it empty. The thread never pauses while reads come
//! full (bulk would be slowed), nor does an idle service wake it.

mod commands;
mod parking;
mod reading;

use std::{
    collections::BTreeMap,
    io,
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
    time::Duration,
};

use nix::{
    poll::{PollFd, PollFlags, ppoll},
    sys::{
        epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
        signal::SigSet,
        time::TimeSpec,
    },
};

use super::{
    PipeReader, Shared,
    forward::Forwarding,
    lines::{Out, Target},
    saved::SavedLog,
    stamp::Clock,
    troubles::Told,
    untold::Untold,
};

/// Most bytes of one read: the larger the reads, the larger the pieces in which the kernel keeps
/// the file.
const READ_BYTES: usize = 256 << 10;
/// Data keeps coming if reads that brought some are no further apart, in microseconds.
const STREAM_US: i64 = 4000;
/// Pause after a short read of a pipe of the usual 64 KiB: a writer does not fill that in this
/// time.
const PAUSE: Duration = Duration::from_micros(200);
/// Pause after a short read of a large pipe.
const PAUSE_LARGE: Duration = Duration::from_micros(1500);
/// A pipe of this size is large.
const LARGE_BYTES: usize = 512 << 10;
/// Capacity that is assumed of a pipe that does not report its own.
const PIPE_BYTES: usize = 1 << 20;
/// Turns in a row that brought data, after which a pipe streams.
const STREAK: u32 = 8;
/// Pipes that stream at a time at most; a turn reads all of them.
const STREAMS_MAX: usize = 16;
/// Pipes that one turn serves.
const EVENTS_MAX: usize = 64;
/// Reads up to this size do not grow the buffers.
const SMALL_BYTES: usize = 64 << 10;
/// Time after the last large read at which the buffers are shrunk, in microseconds.
const SHRINK_US: i64 = 1_000_000;
/// Token of the waker of commands; the tokens of services count up from the next.
const WAKER: u64 = 0;

/// State of the log thread.
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
    /// Number of the current turn.
    turn: u64,
    /// When a read last brought data, in microseconds since 1970.
    last_us: i64,
    /// When a read last grew the buffers; 0: the buffers are small.
    large_us: i64,
    buffer: Vec<u8>,
    /// Places in the last read at which runs ended, each with its mark.
    ends: Vec<(usize, Option<String>)>,
    out: Out,
    untold: Untold,
    forwarding: Forwarding,
    /// What another log thread had parked, of logs that have not been opened again.
    parked: BTreeMap<String, SavedLog>,
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
    /// The trouble that was last reported.
    told: Told,
    /// The last turn that brought data, and the number of such turns in a row.
    streak: (u64, u32),
    streams: bool,
}

/// Sizes of the reads of one turn, and the pause that follows from them.
struct Turn {
    /// Bytes of the longest read.
    most: usize,
    /// Whether a read took as much as one read can take.
    full: bool,
    pause: Duration,
}

impl Log {
    /// Reports the state of the log file to the main thread and to `untold`.
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
            parked: BTreeMap::new(),
        })
    }

    /// Works until the command to stop.
    pub(super) fn run(mut self) {
        // The keeper's main thread takes all signals.
        let _ = SigSet::all().thread_block();
        while !self.turn() {}
        for token in self.logs.keys().copied().collect::<Vec<_>>() {
            self.end(token);
        }
        self.forwarding.close();
    }

    /// Waits for an event and handles it. True: stop.
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
        // Commands come first, even without a signal on the waker: taking them now saves a wake-up
        // later.
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

    /// Tries again to report lost lines in logs where a retry is due.
    fn tell_untold(&mut self) {
        for token in self.untold.take_due() {
            if let Some(log) = self.logs.get_mut(&token) {
                log.target.file.settle_dropped(&self.clock);
                log.report(token, &self.shared, &mut self.untold, &self.clock);
            }
        }
    }

    /// Waits for `time`, or until a command comes.
    fn pause(&self, time: Duration) {
        let mut waker = [PollFd::new(self.shared.waker.as_fd(), PollFlags::POLLIN)];
        // An early end does no harm.
        let _ = ppoll(&mut waker, Some(TimeSpec::from_duration(time)), None);
    }
}
