//! Results of finished jobs: the only match on [`Done`] hands each result to its component.

use engine::Fact;

use crate::control::{Control, input::Done};

impl Control {
    /// A job is done.
    pub(in crate::control) fn on_done(&mut self, done: Done) {
        match done {
            Done::Loaded(_)
            | Done::MissingAccounts(_)
            | Done::Staged(_)
            | Done::Addresses(_)
            | Done::Swapped(_)
            | Done::PutBack
            | Done::Discarded => self.reconfigure_done(done),
            Done::HoldsStored(result) => self.holds.stored(&self.cx, result),
            Done::ScheduleStored(result) => self.schedule.stored(&self.cx, result),
            Done::Recorded(result) => self.on_recorded(result),
            Done::MaintenanceStored(result) => self.maintenance.stored(self.cx.now.moment, result),
            Done::UsersAreTold { question, answer } => {
                let now = self.cx.now.moment;
                self.maintenance.users_are_told(now, question, answer);
            }
            Done::StatusFilesWritten(result) => {
                self.status_files.written(self.cx.now.moment, result);
            }
            Done::RunningStored(result) => self.running.stored(&self.cx, result),
            Done::ExitsRecorded(result) => {
                let written = self.exits.on_written(&mut self.cx, result);
                self.running.forget(&written);
            }
            Done::OrderStored(result) => self.order_stored(result),
            Done::ResultRead { id, result } => self.result_read(&id, result),
            Done::Prepared { run, outcome } => {
                let next = self.starts.on_prepared(&mut self.cx, run, outcome);
                self.follow_start(next);
            }
            Done::Holder { run, holder } => {
                let next = self.starts.on_holder(&mut self.cx, run, &holder);
                self.follow_start(next);
            }
            Done::Listeners(seen) => self.monitors.listening.on_listeners(&mut self.cx, seen),
            Done::HostChecked(seen) => self.monitors.host_checks.on_seen(&mut self.cx, seen),
            Done::FilesSeen(seen) => self.on_files_seen(seen),
            Done::FilesTouched(unwatched) => {
                self.monitors.file_watch.on_touched(&mut self.cx, unwatched);
            }
            Done::LineSeen { run, pattern } => self.on_ready_line(run, &pattern),
            Done::Probed {
                run,
                probe,
                ok,
                detail,
                took,
            } => {
                self.api.metrics.count_probe(&self.cx, run, probe, ok, took);
                self.fact(Fact::Probed {
                    run,
                    probe,
                    ok,
                    detail,
                });
            }
        }
    }
}
