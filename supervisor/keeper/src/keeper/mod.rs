//! The loop of the keeper: one thread, one epoll, no ticker. The loop only routes: an event goes to
//! the part that owns it, and the result goes to the parts that need it.
//!
//! The work of a turn is bounded, and its order is fixed. Requests of the control process come
//! first, for they decide the meaning of the rest. Messages of runs come before the reaping: the
//! sender can be identified even as a zombie. Then come ended children, then the clock, once
//! everything that has arrived is taken in (`catch_up`). Facts are sent last, and with them the
//! answer that everything has been taken in.
//!
//! `requests` routes requests of the control process, `children` ended children, `control_events`
//! events of the control process.

mod children;
mod control_events;
mod exec;
mod requests;
pub(crate) mod resume;
pub(crate) mod start;

use std::{
    collections::{BTreeMap, VecDeque},
    os::fd::AsFd,
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::epoll::EpollTimeout,
};

use crate::{
    catch_up::CatchUp,
    clock::now_ms,
    compressor::{Compressor, Whose},
    control::Control,
    kit::Kit,
    message::{Fact, Notice, Request},
    places::Places,
    poller::Source,
    reexec::Reexec,
    runs::Runs,
    shutdown::{Shutdown, Teardown},
    signals::{Meaning, Signals},
    stderr,
    stderr_log::error,
    strays::Strays,
    sys::{memory, pidfd, wait},
    timers::Timer,
};

/// Requests carried out in one turn: a boot of a thousand must not keep exits waiting.
const REQUESTS_PER_TURN: usize = 32;
/// Capacity above which an empty inbox frees its memory after a boot or shutdown.
const INBOX_KEPT: usize = 64;
/// Time after a burst of requests at which its memory is freed.
const RELEASE_LATER_MS: u64 = 500;
/// The log thread ends the last line of a run this much later, unless it is woken anyway.
const LOG_LATER_MS: u64 = 5;
/// Time that the control process gets to end by itself after `Quit`.
const LAST_MS: u16 = 1000;

/// The parts of the keeper.
#[derive(Debug)]
pub(crate) struct Keeper {
    started_ms: u64,
    kit: Kit,
    runs: Runs,
    control: Control,
    places: Places,
    compressor: Compressor,
    strays: Strays,
    catch_up: CatchUp,
    shutdown: Shutdown,
    signals: Signals,
    /// Requests that have been read and not yet carried out.
    inbox: VecDeque<Request>,
    /// Records that the control process wants back, by service; opaque.
    records: BTreeMap<String, String>,
    reexec: Reexec,
    /// The child that the last SIGCHLD named.
    ended_child: Option<i32>,
    /// More children may have ended than this turn reaps.
    reap_more: bool,
    /// Memory is given back when the burst is over.
    release_later: bool,
}

impl Keeper {
    /// Runs until everything has been stopped, and exits.
    pub(crate) fn run(mut self) -> ! {
        self.start_control();
        self.runs.leftovers().look_later(&mut self.kit.timers);
        self.expect_word();
        self.control.flush(&self.kit);
        self.control.watchdog(&mut self.kit);
        loop {
            if let Some(code) = self.shutdown.code(&mut self.kit, &mut self.runs) {
                self.close(code);
            }
            let sources = match self.kit.poller.wait(self.timeout()) {
                Ok(sources) => sources,
                // After a stop too; events that came meanwhile show at the next wait.
                Err(Errno::EINTR) => continue,
                Err(error) => {
                    error!("could not wait for events: {error}");
                    Vec::new()
                }
            };
            self.turn(&sources);
            self.exec_when_quiet();
        }
    }

    fn timeout(&self) -> EpollTimeout {
        let more = self.reap_more || !self.inbox.is_empty() || self.control.has_more();
        if more || self.control.can_send_more(&self.kit.facts) || self.catch_up.is_pressing() {
            return EpollTimeout::ZERO;
        }
        let Some(wait) = self.kit.timers.wait_ms(now_ms()) else {
            return EpollTimeout::NONE;
        };
        if wait == 0 {
            return EpollTimeout::ZERO;
        }
        // The clock is cut to whole milliseconds: one more avoids a wake-up just too early.
        let wait = u16::try_from(wait.saturating_add(1)).unwrap_or(u16::MAX);
        EpollTimeout::from(wait)
    }

    fn turn(&mut self, sources: &[Source]) {
        let mut reap = std::mem::take(&mut self.reap_more);
        let mut link = self.control.has_more();
        let idle = sources.is_empty() && !reap && !link && self.inbox.is_empty();
        for source in sources {
            match source {
                Source::Signals => reap |= self.read_signals(),
                Source::Link => link = true,
                _ => {}
            }
        }
        if link {
            let requests = self.control.read(&self.kit);
            self.inbox.extend(requests);
        }
        self.carry_out_requests();
        for source in sources {
            self.happened(*source);
        }
        if reap {
            self.reap();
        }
        let caught_up = self.catch_up.has_caught_up(&self.kit.timers, idle);
        while caught_up && let Some(timer) = self.kit.timers.next_due(now_ms()) {
            self.due(timer);
        }
        if self.runs.take_has_swept() && self.strays.look(&self.kit, &self.runs) {
            self.tell(&self.strays.notice());
        }
        self.announce();
        self.control.send_facts(&mut self.kit.facts);
        let answered = self.catch_up.step(&mut self.kit, caught_up, &self.runs);
        // Facts go to a successor, so the control process that asked has not received them.
        if let Some(at_ms) = answered.filter(|_| !self.control.has_successor()) {
            self.tell(&Notice::Synced { at_ms });
        }
        self.expect_word();
        self.control.flush(&self.kit);
        if let Some(why) = self.control.flush_successor(&self.kit) {
            self.give_up_successor(&why);
        }
        self.afterwards();
    }

    fn carry_out_requests(&mut self) {
        for _ in 0..REQUESTS_PER_TURN {
            let Some(request) = self.inbox.pop_front() else {
                break;
            };
            self.request(request);
        }
        if self.inbox.is_empty() && self.inbox.capacity() > INBOX_KEPT {
            self.inbox = VecDeque::new();
            if !std::mem::replace(&mut self.release_later, true) {
                let at = now_ms() + RELEASE_LATER_MS;
                self.kit.timers.add(at, Timer::Release);
            }
        }
    }

    fn happened(&mut self, source: Source) {
        let Self { kit, runs, .. } = self;
        match source {
            Source::Notify(number) => runs.read_notify(kit, number),
            Source::Removal => self.places.removal_told(kit),
            Source::Ready(run) => runs.read_ready(kit, run),
            Source::Output(run) => runs.read_output(kit, run),
            Source::Main(run) => runs.adopted_main_ended(kit, run),
            Source::Rotated => self.compressor.logs_rotated(kit),
            Source::LogTroubles => self.tell_log_troubles(),
            Source::Successor => self.read_successor(),
            Source::Trial => self.trial_speaks(),
            Source::Client => self.control.client_came(),
            // Handled before the children, at the start of the turn.
            Source::Signals | Source::Link => {}
        }
    }

    /// Deferred housekeeping: no client and no run waits for it.
    fn afterwards(&mut self) {
        self.runs.remove_records(&mut self.kit);
        // The log thread would compete with the start of a replacement, which is about to be
        // requested.
        if self.runs.take_log_later() {
            let at = now_ms() + LOG_LATER_MS;
            self.kit.timers.add(at, Timer::Log);
        } else {
            self.kit.log.wake();
        }
    }

    fn due(&mut self, timer: Timer) {
        let Self { kit, runs, .. } = self;
        match timer {
            // The end of every turn removes records.
            Timer::Records => runs.records_due(),
            Timer::Control => self.start_control(),
            Timer::Successor => self.successor_due(),
            Timer::Trial => self.trial_due(),
            Timer::Helper(run) => runs.helper_timed_out(kit, run),
            Timer::Sweep(run) => runs.sweep_due(kit, run),
            Timer::Watchdog => self.control.watchdog(kit),
            Timer::Liveness => self.liveness_due(),
            Timer::Proof => self.control.proof_due(),
            Timer::Compress => {
                let program = self.control.program();
                self.compressor.due(kit, Whose { runs, program });
            }
            Timer::NoControl => {
                let why = self.shutdown.no_control_due(kit, runs, &mut self.control);
                if let Some(why) = why {
                    self.stop_alone_because(why);
                }
            }
            Timer::Shutdown => self.shutdown.step(kit, runs),
            Timer::Look => drop(self.look_at_places()),
            Timer::Notify(number) => runs.discard_aside_again(kit, number),
            Timer::Leftovers => {
                if let Some(remaining) = runs.leftovers_due(kit) {
                    self.tell(&Notice::Remaining { remaining });
                }
            }
            Timer::Aside => self.catch_up.aside_due(),
            // The end of every turn wakes the log thread, and looks whether nothing is under way.
            Timer::Log | Timer::Exec => {}
            Timer::Release => {
                self.release_later = false;
                memory::release();
            }
        }
    }

    /// Handles one signal. True: children have ended.
    fn read_signals(&mut self) -> bool {
        // One signal a turn is enough: the next one wakes the loop again.
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
                self.kit.facts.push(Fact::Signalled { signal });
                self.shutdown.asked(&mut self.kit);
            }
            Meaning::Reload => {
                self.kit.facts.push(Fact::Signalled { signal });
                self.look_at_places();
            }
            Meaning::Nothing => self.signals.ignore(signal, info.ssi_pid),
        }
        false
    }

    /// Makes missing files of the keeper again. True: some were made.
    fn look_at_places(&mut self) -> bool {
        let Some(made) = self.places.look(&mut self.kit, &mut self.runs) else {
            return false;
        };
        if made.has_listener() {
            self.control.listener_changed();
        }
        // A control process that is spawned later inherits the new locks.
        match self.places.notice(&made) {
            Ok((notice, fds)) => self.control.notice(&notice, fds),
            Err(error) => error!("could not hand over what was made again: {error}"),
        }
        if let Ok((notice, fds)) = self.places.notice(&made) {
            self.control.notice_to_successor(&notice, fds);
        }
        true
    }

    /// Queues a notice for the control process that is not kept.
    fn tell(&mut self, notice: &Notice) {
        self.control.notice(notice, Vec::new());
    }

    /// Hands over the ends of new log pipes.
    fn announce(&mut self) {
        for (notice, fds) in self.runs.announce() {
            self.control.notice(&notice, fds);
        }
    }

    fn expect_word(&mut self) {
        let listener = self.places.listener();
        self.control.expect_word(&mut self.kit, listener);
    }

    /// Stops the runs, since no control process will.
    fn stop_alone_because(&mut self, why: &str) {
        error!("{why}; stops all runs by itself");
        self.end(Teardown::alone());
    }

    /// Begins the end of the daemon; the first call counts.
    fn end(&mut self, teardown: Teardown) {
        if self.kit.is_shutting_down() {
            return;
        }
        self.kit.end();
        self.compressor.end();
        self.inbox.clear();
        self.give_up_successor("is not needed: the daemon is ending");
        self.reexec.give_up();
        let Self { kit, runs, .. } = self;
        self.shutdown.begin(kit, runs, &mut self.control, teardown);
    }

    /// Keeps the records of runs with processes left, for the next keeper.
    fn end_records(&self) {
        let unswept = self.runs.unswept();
        if !unswept.is_empty() {
            error!(
                "ends with {} runs of which something is left",
                unswept.len()
            );
        }
        for id in &unswept {
            let record = self.runs.record_of(&self.kit, *id);
            let _ = record.map(|record| self.kit.files.write(&record));
        }
        let kept = unswept.into_iter().chain(self.runs.leftovers().runs());
        self.kit.files.clear(&kept.collect());
    }

    /// Cleans up and exits, while the control process ends by itself.
    fn close(self, code: u8) -> ! {
        self.end_records();
        self.places.listener().remove();
        self.runs.remove_directories();
        if let Some(groups) = &self.kit.cgroups {
            groups.tear_down();
        }
        self.kit.log.stop();
        if let Some(pid) = self.control.pid() {
            if let Ok(control) = pidfd::open(pid) {
                let mut polled = [PollFd::new(control.as_fd(), PollFlags::POLLIN)];
                let _ = poll(&mut polled, PollTimeout::from(LAST_MS));
            }
            self.control.kill();
            // Gone in no time: reaped, so that its lock and group are free.
            let end = now_ms() + u64::from(LAST_MS);
            while matches!(wait::reap(pid), Ok(None)) && now_ms() < end {
                let _ = poll(&mut [], PollTimeout::from(1_u8));
            }
        }
        stderr::flush();
        // Nothing is dropped one by one: the kernel frees everything at once.
        std::process::exit(code.into())
    }
}
