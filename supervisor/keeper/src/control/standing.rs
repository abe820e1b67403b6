//! What follows a control process that has died, hangs or has been replaced.
//!
//! One that has answered [`PROVEN_MS`] after it took over has proven itself: if it dies, another is started at
//! once. Otherwise there is a pause, doubled each time from [`BACKOFF_MIN_MS`] to [`BACKOFF_MAX_MS`], by our own
//! clock and for ever. A program that has taken over by `ctl reexec` and, before it has proven itself, hangs or dies
//! [`EARLY_DEATHS_MAX`] times in a row is given up for the one that worked before, aloud.

use std::{fs::File, time::Duration};

use nix::libc;

use crate::{
    clock::now_ms, keeper::Keeper, message::Exit, reexec::Retired, say::say, sys::pidfd,
    timers::Timer,
};

/// Pause before a control process is tried again.
const BACKOFF_MIN_MS: u64 = 10;
/// Longest such pause.
const BACKOFF_MAX_MS: u64 = 1000;
/// One that answers so long after it took over works.
const PROVEN_MS: u64 = 5_000;
/// A new program may be killed by accident, but not so often in a row.
const EARLY_DEATHS_MAX: u32 = 3;

/// How far the present control process can be counted on.
#[derive(Debug)]
pub(crate) struct Standing {
    took_over_at: Option<u64>,
    proven: bool,
    /// Losses in a row before they had proven themselves.
    early_deaths: u32,
    backoff_ms: u64,
    /// The program that worked before the present one, until that has proven itself.
    earlier: Option<File>,
    /// The program that was installed last did not work, so an earlier one runs.
    pub(crate) went_back: bool,
}

/// How a control process was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// It has been reaped.
    Died(Exit),
    /// It is there and says nothing.
    Silent,
}

impl Standing {
    /// None has taken over.
    pub(crate) fn new() -> Self {
        Self {
            took_over_at: None,
            proven: false,
            early_deaths: 0,
            backoff_ms: BACKOFF_MIN_MS,
            earlier: None,
            went_back: false,
        }
    }

    /// The state is loaded.
    pub(crate) const fn has_taken_over(&self) -> bool {
        self.took_over_at.is_some()
    }

    /// Another begins in this place.
    pub(crate) fn begins(&mut self) {
        self.took_over_at = None;
        self.proven = false;
    }

    /// Another program is in charge; `old` was until now.
    pub(crate) fn succeeds(&mut self, old: File) {
        if self.proven || self.earlier.is_none() {
            self.earlier = Some(old);
        }
        self.went_back = false;
        self.early_deaths = 0;
        self.begins();
    }

    /// It took over long enough ago for an answer to be a proof, and has not given that.
    fn may_prove_itself(&self) -> bool {
        let long_since = |at| now_ms() >= at + PROVEN_MS;
        !self.proven && self.took_over_at.is_some_and(long_since)
    }

    /// It has said something.
    pub(crate) fn heard(&mut self) {
        if self.may_prove_itself() {
            self.proven = true;
            self.early_deaths = 0;
            self.backoff_ms = BACKOFF_MIN_MS;
            self.earlier = None;
        }
    }

    /// The pause before the next one.
    fn pause_ms(&mut self) -> u64 {
        let pause = self.backoff_ms;
        self.backoff_ms = (pause * 2).min(BACKOFF_MAX_MS);
        pause
    }

    /// It has been lost before it had proven itself. The program to go back to, if that is to be.
    fn lost_early(&mut self, loss: Loss) -> Option<File> {
        self.early_deaths += 1;
        let gives_up = loss == Loss::Silent || self.early_deaths >= EARLY_DEATHS_MAX;
        let earlier = self.earlier.take_if(|_| gives_up)?;
        self.went_back = true;
        self.early_deaths = 0;
        self.backoff_ms = BACKOFF_MIN_MS;
        Some(earlier)
    }
}

impl Keeper {
    /// The control process has loaded the state.
    pub(crate) fn control_took_over(&mut self) {
        let now = now_ms();
        self.control.standing.took_over_at.get_or_insert(now);
        self.timers.add(now + PROVEN_MS, Timer::Proof);
    }

    /// It is asked once, and its answer is the proof.
    pub(crate) fn proof_due(&mut self) {
        // It may be about one that came before.
        if self.control.standing.may_prove_itself() {
            self.ask_whether_there();
        }
    }

    /// Tries again to start one, later.
    pub(crate) fn retry_control(&mut self) {
        let pause = self.control.standing.pause_ms();
        self.timers.add(now_ms() + pause, Timer::Control);
    }

    /// The control process is of no use any more: what it has asked is done, and another follows.
    pub(crate) fn lose_control(&mut self, pid: i32, loss: Loss) {
        if loss == Loss::Silent {
            let _ = pidfd::kill(pid, libc::SIGKILL);
        }
        // Once it has been reaped its pid may be another's: nobody is to signal that.
        self.control.pid = None;
        // What it asked before it died is carried out: its records say so.
        self.read_link();
        while self.link_has_more() {
            self.read_link();
        }
        let link = self.control.link.take();
        if let Some(link) = &link {
            self.unwatch(link);
        }
        if loss == Loss::Silent {
            // What the kernel holds is not gone yet, and nobody waits for that.
            self.control.retired.push(Retired::new(pid, link));
        }
        while let Some(request) = self.inbox.pop_front() {
            self.request(request);
        }
        if self.ending.is_some() {
            return;
        }
        self.control.deaths += 1;
        let how = match loss {
            Loss::Died(exit) => exit.to_string(),
            Loss::Silent => "it was killed".to_owned(),
        };
        if self.control.standing.proven {
            say!("the control process (pid {pid}) has died ({how}); starts another");
            self.timers.add(now_ms(), Timer::Control);
        } else {
            self.follow_early_death(pid, loss, &how);
        }
        self.control.standing.begins();
    }

    fn follow_early_death(&mut self, pid: i32, loss: Loss, how: &str) {
        if self.is_past_patience() {
            return self.stop_alone_because("no control process stays");
        }
        let took_over_at = self.control.standing.took_over_at;
        if let Some(earlier) = self.control.standing.lost_early(loss) {
            say!(
                "the control process (pid {pid}) of the program that was installed last does not work ({how}); \
                 goes back to the program that worked before: install one that works, then give the command ctl reexec"
            );
            self.control.binary = earlier;
        } else {
            let pause = Duration::from_millis(self.control.standing.backoff_ms);
            match took_over_at {
                None => say!(
                    "the control process (pid {pid}) ended before it took over ({how}); next try in {pause:?}"
                ),
                Some(at) => {
                    let lived_ms = now_ms() - at;
                    say!(
                        "the control process (pid {pid}) has died {lived_ms} ms after it took over ({how}); \
                         next try in {pause:?}"
                    );
                }
            }
        }
        self.retry_control();
    }
}
