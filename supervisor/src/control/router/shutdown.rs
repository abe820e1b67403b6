//! Ends the daemon: on signals, on a failure that the daemon may not go on without, and once all is
//! stored after the last stop.

use engine::Command;
use nix::sys::signal::Signal;

use crate::control::{Control, shutdown};

impl Control {
    /// SIGTERM, SIGINT, SIGQUIT or SIGHUP to the keeper.
    pub(in crate::control) fn on_own_signal(&mut self, signal: i32) {
        if signal == Signal::SIGHUP as i32 {
            if !self.cx.is_stopping() {
                self.on_hangup();
            }
            return;
        }
        let command = self.daemon.shutdown.on_signal(&mut self.cx);
        self.begin_shutdown(command);
    }

    /// Resumes a shutdown that an earlier control process had begun.
    pub(in crate::control) fn resume_shutdown(&mut self) {
        if self.daemon.shutdown.is_asked() {
            let command = self.daemon.shutdown.command(&mut self.cx);
            self.begin_shutdown(command);
        }
    }

    fn begin_shutdown(&mut self, command: Command) {
        self.daemon.init_notify.on_stopping(&mut self.cx);
        if let Err(refusal) = self.command(command) {
            tracing::error!("cannot shut down: {}", self.cx.refused(&refusal).message);
        }
    }

    /// Ends the daemon with a failure once a service has failed for good that it may not go on
    /// without.
    pub(in crate::control) fn end_if_one_failed(&mut self) {
        if self.cx.is_stopping() {
            return;
        }
        let Some(id) = shutdown::fatal_failure(&self.cx) else {
            return;
        };
        let name = self.cx.name(id);
        let why = format!("{name}: {}", self.views().reason_of(id));
        let command = self.daemon.shutdown.on_failed(&mut self.cx, why);
        self.begin_shutdown(command);
    }

    /// Everything is stopped: what is on no disk yet is tried at once, for the last time.
    pub(in crate::control) fn shutdown_complete(&mut self, clean: bool) {
        self.leftovers.log(&self.cx);
        self.daemon.shutdown.complete(&self.cx, clean);
        self.holds.write_again();
        self.schedule.write_again();
        self.maintenance.write_again();
        self.audit.hurry();
        self.exits.release(&mut self.cx, true);
        self.running.hurry();
    }

    /// Ends the daemon once nothing is under way to the disk any more, or has been for too long.
    pub(in crate::control) fn quit_when_stored(&mut self) {
        let awaited = self.holds.are_awaited()
            || self.schedule.is_awaited()
            || self.audit.are_awaited()
            || self.exits.are_awaited()
            || self.running.are_awaited()
            || self.maintenance.is_awaited()
            || self.status_files.are_awaited();
        let Some(quit) = self.daemon.shutdown.take_quit(self.cx.now.moment, awaited) else {
            return;
        };
        let unwritten = [
            self.holds.warning(),
            self.schedule.warning(),
            self.maintenance.warning(),
            self.audit.warning(),
            self.exits.warning(),
            self.running.warning(),
        ];
        for lost in unwritten.into_iter().flatten() {
            tracing::error!("ends all the same: {lost}");
        }
        self.cx.tell(quit);
    }
}
