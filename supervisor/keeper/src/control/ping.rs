//! Whether the control process responds: when an answer is awaited, and what follows without one.
//! `liveness` has the deadlines and decides what counts as an answer.

use super::{
    Control,
    liveness::{ASK_MS, Due, MISSED_MAX, TAKE_OVER_MS},
};
use crate::{
    clock::now_ms,
    kit::{Kit, Life, NO_CONTROL_MS},
    listener::Listener,
    message::Notice,
    poller::Source,
    stderr_log::error,
    timers::Timer,
};

impl Control {
    /// Notes that the control process has loaded the state.
    pub(crate) fn took_over(&mut self, kit: &mut Kit) {
        let proof_at = self.standing.took_over();
        kit.timers.add(proof_at, Timer::Proof);
    }

    /// Asks for a sign of life; the answer is the proof.
    pub(crate) fn proof_due(&mut self) {
        // The timer may be about an earlier control process.
        if self.standing.may_prove_itself() {
            self.ask_whether_there();
        }
    }

    /// Asks out of turn: this question does not count as unanswered.
    pub(crate) fn ask_whether_there(&mut self) {
        self.liveness.wants_to_know();
        self.notice(&Notice::AreYouThere, Vec::new());
    }

    /// Notes that a client has connected; an answer of the control process has to follow soon.
    pub(crate) fn client_came(&mut self) {
        self.liveness.wants_to_know();
    }

    /// Notes that the listening socket has been replaced.
    pub(crate) fn listener_changed(&mut self) {
        self.liveness.listener_changed();
    }

    /// Sends init a sign of life, and awaits one of the control process.
    pub(crate) fn watchdog(&mut self, kit: &mut Kit) {
        let Some(interval) = kit.init.watchdog_ms() else {
            return;
        };
        kit.init.tell("WATCHDOG=1");
        kit.timers.add(now_ms() + interval, Timer::Watchdog);
        self.liveness.wants_to_know();
    }

    /// Sets the timer if an answer of the control process is awaited. Called after every turn.
    pub(crate) fn expect_word(&mut self, kit: &mut Kit, listener: &Listener) {
        if self.liveness.take_rearm()
            && let Err(error) = kit.poller.watch_once(listener, Source::Client)
        {
            error!("could not watch the control socket: {error}");
        }
        if self.owes_a_word(kit)
            && let Some(at) = self.liveness.time(patience_ms(kit))
        {
            kit.timers.add(at, Timer::Liveness);
        }
    }

    fn owes_a_word(&self, kit: &Kit) -> bool {
        let wanted = self.liveness.waits_for_an_answer();
        let waits = wanted || !kit.facts.is_empty() || kit.life == Life::AskedToStop;
        let lives = self.pid.is_some() && !kit.is_shutting_down();
        lives && (waits || !self.standing.has_taken_over())
    }

    /// Asks the control process, or gives it up. Some: the pid of a control process given up for
    /// its silence.
    pub(crate) fn liveness_due(&mut self, kit: &mut Kit) -> Option<i32> {
        self.liveness.timer_came();
        let pid = self.pid.filter(|_| self.owes_a_word(kit))?;
        let take_over_ms = match kit.life {
            Life::Lasting => TAKE_OVER_MS,
            Life::AskedToStop | Life::ShuttingDown => NO_CONTROL_MS,
        };
        let has_taken_over = self.standing.has_taken_over();
        let at = match self
            .liveness
            .due(has_taken_over, patience_ms(kit), take_over_ms)
        {
            Due::Later(at) => at,
            Due::Ask(at) => {
                self.ask_whether_there();
                at
            }
            Due::NotTakenOver => {
                error!("the control process (pid {pid}) has not taken over in time; kills it");
                return Some(pid);
            }
            Due::Silent(silent) => {
                error!(
                    "the control process (pid {pid}) has not answered {MISSED_MAX} questions in {silent:?}; kills it"
                );
                return Some(pid);
            }
        };
        self.liveness.timer_set();
        kit.timers.add(at, Timer::Liveness);
        None
    }
}

/// Time from the last message to the first question.
fn patience_ms(kit: &Kit) -> u64 {
    kit.init.watchdog_ms().unwrap_or(ASK_MS).min(ASK_MS)
}
