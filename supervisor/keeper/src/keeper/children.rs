//! The one reaper: finds the owner of an ended child, and informs the parts that need to know.
//!
//! A child is looked at before it is reaped, since its pid may be reused afterwards: a main process
//! is reaped by its run (`runs::end`), every other child here.

use nix::errno::Errno;

use super::Keeper;
use crate::{
    compressor::Whose,
    control::Loss,
    exit_text::exit_text,
    message::{EXIT_OTHER_FORMAT, EXIT_OTHER_MESSAGES, Exit},
    stderr_log::error,
    sys::wait::{self, Ended},
};

/// Children reaped in one turn.
const REAPED_PER_TURN: usize = 64;

impl Keeper {
    /// Reaps ended children, a bounded number.
    pub(super) fn reap(&mut self) {
        // Signals of several children merge into one, and a look for more costs the kernel a look
        // at every child: so that look follows in the next turn.
        if let Some(pid) = self.ended_child.take()
            && let Ok(Some(ended)) = wait::peek(pid)
        {
            self.reap_more = true;
            let orphan = self.child_ended(ended);
            self.reaped_all(orphan);
            return;
        }
        let mut orphans = false;
        for _ in 0..REAPED_PER_TURN {
            match wait::peek_any() {
                Ok(Some(ended)) => orphans |= self.child_ended(ended),
                Ok(None) | Err(Errno::ECHILD) => {
                    self.reaped_all(orphans);
                    return;
                }
                Err(error) => {
                    error!("could not look for ended children: {error}");
                    return;
                }
            }
        }
        self.reap_more = true;
        self.reaped_all(orphans);
    }

    fn reaped_all(&mut self, orphans: bool) {
        if orphans {
            self.runs.orphan_ended(&mut self.kit);
        }
    }

    /// Handles an ended child. True: an orphan, which the keeper has not started.
    fn child_ended(&mut self, ended: Ended) -> bool {
        let Ended { pid, exit, core } = ended;
        if self.other_control_ended(pid, exit) {
            self.reap_one(pid);
            return false;
        }
        if self.control.pid() == Some(pid) {
            self.reap_one(pid);
            self.lose_control(pid, Loss::Died(exit));
            return false;
        }
        if let Some(run) = self.runs.run_of(pid) {
            self.runs.main_ended(&mut self.kit, run, pid, exit, core);
            return false;
        }
        if self.trial_ended(pid, exit) {
            self.reap_one(pid);
            return false;
        }
        if self.compressor.is(pid) {
            self.reap_one(pid);
            let (runs, program) = (&self.runs, self.control.program());
            let whose = Whose { runs, program };
            self.compressor.ended(&mut self.kit, exit, whose);
            return false;
        }
        self.reap_one(pid);
        if self.strays.ended(pid) {
            self.tell(&self.strays.notice());
        }
        true
    }

    fn reap_one(&mut self, pid: i32) {
        let _ = wait::reap(pid);
        self.kit.reaped(pid);
    }

    /// Handles a control process that is not in charge. True: the child was one.
    fn other_control_ended(&mut self, pid: i32, exit: Exit) -> bool {
        if self.control.is_successor(pid) {
            // The successor may have taken over with its last message.
            self.read_successor();
            if self.control.pid() == Some(pid) {
                return false;
            }
            self.give_up_successor(&early_end(exit));
        }
        self.control.retired_ended(pid)
    }
}

/// How a control process ended that has not taken over.
fn early_end(exit: Exit) -> String {
    let why = match exit {
        Exit::Code(code) if code == i32::from(EXIT_OTHER_MESSAGES) => {
            "speaks another version of the messages: give the command ctl reexec --keeper first"
        }
        Exit::Code(code) if code == i32::from(EXIT_OTHER_FORMAT) => {
            "does not read what the one before has stored: install a version that does"
        }
        _ => return format!("ended before it took over ({})", exit_text(exit)),
    };
    why.to_owned()
}
