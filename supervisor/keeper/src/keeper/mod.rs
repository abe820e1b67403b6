//! The loop of the keeper: one thread, one epoll, no ticker. Work of a turn is bounded, and what
//! the control process asks comes before what children cause.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    fs::File,
    os::fd::AsFd,
    sync::Arc,
};

use nix::{
    errno::Errno,
    libc::rlimit,
    sys::epoll::{Epoll, EpollEvent, EpollFlags, EpollTimeout},
};

use crate::{
    Config,
    catch_up::CatchUp,
    cgroup::{Cgroups, Group},
    clock::now_ms,
    compressor::Compressor,
    control::{Control, tell},
    ending::{Ending, Term},
    facts::Facts,
    gone_runs::GoneRuns,
    init::Init,
    leftovers::Leftovers,
    listener::Listener,
    lock::Locks,
    log,
    message::{Fact, Request, RunId, Stray},
    notify::Directories,
    places::Places,
    record::Records,
    run::{Run, Service},
    say::say,
    signals::{Meaning, Signals},
    sys::{clone::Cradle, memory},
    timers::{Timer, Timers},
};

/// Events taken in one turn.
const EVENTS_PER_TURN: usize = 64;
/// Requests carried out in one turn: a boot of a thousand must not keep exits waiting.
const REQUESTS_PER_TURN: usize = 32;
/// An inbox that a boot or shutdown has made longer than this gives its memory back.
const INBOX_KEPT: usize = 64;
/// After this what a burst of requests has brought along is over.
const RELEASE_LATER_MS: u64 = 500;
/// The log thread ends the last line of a run this much later, unless it is woken anyway.
const LOG_LATER_MS: u64 = 5;
/// Facts wait in their queue while the link is this far behind.
const LINK_BYTES_AHEAD: usize = 256 << 10;

/// Where an event comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Signals,
    Link,
    /// The link of a control process that is to take over.
    Successor,
    /// Number of a service.
    Notify(u64),
    /// Something of the keeper's directories has been removed.
    Removal,
    /// The pipe on which a run says that it is ready.
    Ready(RunId),
    Output(RunId),
    /// A main process that is not our child.
    Main(RunId),
    /// The log thread has rotated files.
    Rotated,
    /// A client has connected to the control socket.
    Client,
    /// How a log stands has changed.
    LogTroubles,
}

const KIND_SHIFT: u32 = 56;
const VALUE_MASK: u64 = (1 << KIND_SHIFT) - 1;

impl Source {
    pub(crate) fn token(self) -> u64 {
        let (kind, value) = match self {
            Self::Signals => (0, 0),
            Self::Link => (1, 0),
            Self::Notify(number) => (2, number),
            Self::Ready(run) => (3, run),
            Self::Output(run) => (4, run),
            Self::Main(run) => (5, run),
            Self::Rotated => (6, 0),
            Self::Successor => (7, 0),
            Self::Client => (9, 0),
            Self::Removal => (8, 0),
            Self::LogTroubles => (10, 0),
        };
        kind << KIND_SHIFT | value & VALUE_MASK
    }

    fn from_token(token: u64) -> Option<Self> {
        let value = token & VALUE_MASK;
        Some(match token >> KIND_SHIFT {
            0 => Self::Signals,
            1 => Self::Link,
            2 => Self::Notify(value),
            3 => Self::Ready(value),
            4 => Self::Output(value),
            5 => Self::Main(value),
            6 => Self::Rotated,
            7 => Self::Successor,
            9 => Self::Client,
            8 => Self::Removal,
            10 => Self::LogTroubles,
            _ => return None,
        })
    }
}

/// What children get from what the daemon itself was started with.
#[derive(Debug)]
pub(crate) struct Original {
    /// Of open files; the keeper raises its own.
    pub(crate) nofile: rlimit,
    /// Of cores; the keeper has forbidden its own.
    pub(crate) core: rlimit,
    /// Badness, if the keeper has changed its own.
    pub(crate) oom_score_adj: Option<String>,
    /// What was said of limits that cannot be had: once, and again only if the plan asks for others.
    pub(crate) told: RefCell<BTreeSet<String>>,
}

/// Everything the keeper holds.
#[derive(Debug)]
pub(crate) struct Keeper {
    pub(crate) config: Config,
    pub(crate) started_ms: u64,
    pub(crate) boot_id: String,
    /// Shared with threads that take messages away.
    pub(crate) epoll: Arc<Epoll>,
    pub(crate) signals: Signals,
    pub(crate) original: Original,
    pub(crate) null: File,
    pub(crate) cradle: Cradle,
    pub(crate) locks: Locks,
    pub(crate) listener: Listener,
    pub(crate) cgroups: Option<Cgroups>,
    pub(crate) log: log::Handle,
    pub(crate) init: Init,
    pub(crate) notify: Directories,
    pub(crate) places: Places,
    pub(crate) control: Control,
    pub(crate) compressor: Compressor,
    pub(crate) inbox: VecDeque<Request>,
    pub(crate) facts: Facts,
    pub(crate) files: Records,
    /// Boxed, as `runs`: a tree has room for more than it holds.
    pub(crate) services: BTreeMap<String, Box<Service>>,
    pub(crate) services_made: u64,
    pub(crate) records: BTreeMap<String, String>,
    pub(crate) runs: BTreeMap<RunId, Box<Run>>,
    /// Main processes that have not been reaped.
    pub(crate) by_pid: HashMap<i32, RunId>,
    /// Groups of helpers that never were: taken away once their child has been reaped.
    pub(crate) dead_groups: Vec<Group>,
    /// Runs of which nothing is left but their record.
    pub(crate) gone: GoneRuns,
    /// Services whose log pipe control does not have yet.
    pub(crate) unannounced: Vec<String>,
    /// Memory is given back when the burst is over.
    pub(crate) release_later: bool,
    /// The log thread is woken a little later.
    pub(crate) log_later: bool,
    /// Runs whose sweep goes on.
    pub(crate) sweeping: BTreeSet<RunId>,
    pub(crate) next_run: RunId,
    pub(crate) timers: Timers,
    pub(crate) catch_up: CatchUp,
    /// The child that the last signal was about.
    pub(crate) ended_child: Option<i32>,
    /// More children may have ended than this turn reaps.
    pub(crate) reap_more: bool,
    /// It has been asked to stop.
    pub(crate) term: Option<Term>,
    pub(crate) ending: Option<Ending>,
    pub(crate) leftovers: Leftovers,
    /// Children that belong to no run, by pid.
    pub(crate) strays: BTreeMap<i32, Stray>,
}

impl Keeper {
    /// Runs until all has been stopped, and ends the process.
    pub(crate) fn run(mut self) -> ! {
        self.start_control();
        self.look_at_leftovers_later();
        self.expect_word();
        self.flush_link();
        self.watchdog();
        loop {
            if let Some(code) = self.ended() {
                self.close(code);
            }
            let mut events = [EpollEvent::empty(); EVENTS_PER_TURN];
            let count = match self.epoll.wait(&mut events, self.timeout()) {
                Ok(count) => count,
                // After a stop too; what has come meanwhile is there at the next look.
                Err(Errno::EINTR) => continue,
                Err(error) => {
                    say!("could not wait for events: {error}");
                    0
                }
            };
            let sources = events[..count].iter();
            let sources: Vec<Source> = sources
                .filter_map(|event| Source::from_token(event.data()))
                .collect();
            self.turn(&sources);
        }
    }

    fn timeout(&self) -> EpollTimeout {
        let more = self.reap_more || !self.inbox.is_empty() || self.link_has_more();
        if more || self.can_send_more() || self.catch_up.is_pressing() {
            return EpollTimeout::ZERO;
        }
        let Some(wait) = self.timers.wait_ms(now_ms()) else {
            return EpollTimeout::NONE;
        };
        if wait == 0 {
            return EpollTimeout::ZERO;
        }
        // The clock is cut to whole milliseconds: one more, lest we wake up just too early.
        let wait = u16::try_from(wait.saturating_add(1)).unwrap_or(u16::MAX);
        EpollTimeout::from(wait)
    }

    fn turn(&mut self, sources: &[Source]) {
        let mut reap = std::mem::take(&mut self.reap_more);
        let mut link = self.link_has_more();
        let idle = sources.is_empty() && !reap && !link && self.inbox.is_empty();
        for source in sources {
            match source {
                Source::Signals => reap |= self.read_signals(),
                Source::Link => link = true,
                _ => {}
            }
        }
        if link {
            self.read_link();
        }
        for _ in 0..REQUESTS_PER_TURN {
            let Some(request) = self.inbox.pop_front() else {
                break;
            };
            self.request(request);
        }
        if self.inbox.is_empty() && self.inbox.capacity() > INBOX_KEPT {
            self.inbox = VecDeque::new();
            if !std::mem::replace(&mut self.release_later, true) {
                self.timers.add(now_ms() + RELEASE_LATER_MS, Timer::Release);
            }
        }
        // Before reaping: a sender that is a zombie can still be told.
        for source in sources {
            match *source {
                Source::Notify(number) => self.read_notify(number),
                Source::Removal => self.removal_told(),
                Source::Ready(run) => self.read_ready(run),
                Source::Output(run) => self.read_output(run),
                Source::Main(run) => self.adopted_main_ended(run),
                Source::Rotated => self.logs_rotated(),
                Source::LogTroubles => self.tell_log_troubles(),
                Source::Successor => self.read_successor(),
                Source::Client => self.client_came(),
                Source::Signals | Source::Link => {}
            }
        }
        if reap {
            self.reap();
        }
        let caught_up = self.has_caught_up(idle);
        while caught_up && let Some(timer) = self.timers.next_due(now_ms()) {
            self.due(timer);
        }
        self.announce();
        self.send_facts();
        self.sync_step(caught_up);
        self.expect_word();
        self.flush_link();
        self.flush_successor();
        self.afterwards();
    }

    /// What nobody waits for.
    fn afterwards(&mut self) {
        self.remove_records();
        // The log thread would only be in the way of a replacement, which is about to be asked for.
        if std::mem::take(&mut self.log_later) {
            self.timers.add(now_ms() + LOG_LATER_MS, Timer::Log);
        } else {
            self.log.wake();
        }
    }

    fn due(&mut self, timer: Timer) {
        match timer {
            // Looked at at the end of every turn.
            Timer::Records => self.gone.look_due(),
            Timer::Control => self.start_control(),
            Timer::Successor => self.successor_due(),
            Timer::Helper(run) => self.helper_timed_out(run),
            Timer::Sweep(run) => self.sweep_due(run),
            Timer::Watchdog => self.watchdog(),
            Timer::Liveness => self.liveness_due(),
            Timer::Proof => self.proof_due(),
            Timer::Compress => self.compress_due(),
            Timer::Deserted => self.deserted(),
            Timer::Ending => self.ending_step(),
            Timer::Look => drop(self.look_at_places()),
            Timer::Notify(number) => self.discard_aside_again(number),
            Timer::Leftovers => self.leftovers_due(),
            Timer::Aside => self.catch_up.aside_due(),
            // Woken at the end of every turn.
            Timer::Log => {}
            Timer::Release => {
                self.release_later = false;
                memory::release();
            }
        }
    }

    /// True if children have ended.
    fn read_signals(&mut self) -> bool {
        // One a turn is enough: what is left wakes us again.
        let Some(info) = self.signals.next() else {
            return false;
        };
        let signal = i32::try_from(info.ssi_signo).unwrap_or(0);
        match Meaning::of(signal) {
            Meaning::ChildEnded => {
                self.ended_child = i32::try_from(info.ssi_pid).ok();
                return true;
            }
            Meaning::Stop => {
                self.push(Fact::Signalled { signal });
                self.asked_to_stop();
            }
            Meaning::Reload => {
                self.push(Fact::Signalled { signal });
                self.look_at_places();
            }
            Meaning::Nothing => self.signals.ignore(signal, info.ssi_pid),
        }
        false
    }

    /// Keeps a fact; it is sent at the end of the turn.
    pub(crate) fn push(&mut self, fact: Fact) {
        self.facts.push(fact);
    }

    /// Whoever listens is sent what it has not been told, as far as its link takes it.
    fn send_facts(&mut self) {
        while let Some(link) = self.control.listening()
            && link.pending() < LINK_BYTES_AHEAD
            && let Some(frame) = self.facts.next_unsent()
        {
            tell(link, &frame, Vec::new());
        }
    }

    /// The last turn has left something to send that the link would take.
    fn can_send_more(&self) -> bool {
        let link = self.control.listener();
        link.is_some_and(|it| it.pending() < LINK_BYTES_AHEAD) && self.facts.has_unsent()
    }

    /// Watches a descriptor for reading. Failure (no memory, too many watches) is said; what it
    /// would have told is found at the exit of the process.
    pub(crate) fn watch(&self, fd: impl AsFd, source: Source) {
        let event = EpollEvent::new(EpollFlags::EPOLLIN, source.token());
        if let Err(error) = self.epoll.add(fd, event) {
            say!("could not watch {source:?}: {error}");
        }
    }

    /// Stops watching. Needed before a descriptor is dropped that has been duplicated.
    pub(crate) fn unwatch(&self, fd: impl AsFd) {
        let _ = self.epoll.delete(fd);
    }

    /// Watches the link for writing too, or no longer.
    pub(crate) fn watch_link(&self, fd: impl AsFd, writing: bool) {
        self.watch_for(fd, Source::Link, writing);
    }

    /// Watches a descriptor that is watched already as this source, for writing too or not.
    pub(crate) fn watch_for(&self, fd: impl AsFd, source: Source, writing: bool) {
        let mut flags = EpollFlags::EPOLLIN;
        flags.set(EpollFlags::EPOLLOUT, writing);
        let mut event = EpollEvent::new(flags, source.token());
        if let Err(error) = self.epoll.modify(fd, &mut event) {
            say!("could not watch the link: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_tokens_are_told_apart() {
        let all = [
            Source::Signals,
            Source::Link,
            Source::Notify(3),
            Source::Ready(3),
            Source::Output(3),
            Source::Main(u64::from(u32::MAX) + 7),
            Source::Rotated,
            Source::Successor,
            Source::Client,
            Source::Removal,
            Source::LogTroubles,
        ];
        for source in all {
            assert_eq!(Source::from_token(source.token()), Some(source));
        }
        assert_eq!(Source::from_token(u64::MAX), None);
    }
}
