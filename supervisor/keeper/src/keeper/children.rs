//! The one reaper: whose the child was that has ended, and who has to know.
//!
//! A child is looked at before it is reaped, since its pid may be another's afterwards: a main
//! process is reaped by its run (`runs::end`), all others here.

use nix::errno::Errno;

use super::Keeper;
use crate::{
    compressor::Whose,
    control::Loss,
    exit_text::exit_text,
    message::Exit,
    stderr_log::say,
    sys::wait::{self, Ended},
};

/// Children reaped in one turn.
const REAPED_PER_TURN: usize = 64;

impl Keeper {
    /// Reaps what has ended, bounded.
    pub(super) fn reap(&mut self) {
        // Signals of several children melt into one, and to look for more takes the kernel a look
        // at every child: it comes after this one has been told.
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
                    say!("could not look for ended children: {error}");
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

    /// True if it was an orphan: no process that the keeper has made.
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

    /// True: it was one beside the control process.
    fn other_control_ended(&mut self, pid: i32, exit: Exit) -> bool {
        if self.control.is_successor(pid) {
            // It may have taken over with its last word.
            self.read_successor();
            if self.control.pid() == Some(pid) {
                return false;
            }
            self.give_up_successor(&format!("ended before it took over ({})", exit_text(exit)));
        }
        self.control.retired_ended(pid)
    }
}
