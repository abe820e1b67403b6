//! Timeouts: when the next deadline of any component is due, and which components then act.

use engine::{Command, Moment, Refusal};

use crate::control::Control;

impl Control {
    /// When [`Input::Timeout`](crate::control::input::Input::Timeout) is due.
    pub(crate) fn poll_timeout(&self) -> Option<Moment> {
        if self.daemon.reexec.is_frozen() {
            return None;
        }
        let now = self.cx.now;
        let deadlines = [
            self.daemon.watermark.poll_timeout(self.next_judgement()),
            self.daemon.init_notify.poll_timeout(),
            self.daemon.shutdown.poll_timeout(),
            self.alerts.poll_timeout(),
            self.monitors.host_checks.poll_timeout(),
            self.monitors.file_watch.poll_timeout(),
            self.daemon.reexec.poll_timeout(),
            self.monitors.listening.poll_timeout(),
            self.holds.poll_timeout(),
            self.audit.poll_timeout(),
            self.exits.poll_timeout(),
            self.running.poll_timeout(),
            self.schedule.poll_timeout(now),
            self.work.poll_timeout(),
            self.maintenance.poll_timeout(),
            self.status_files.poll_timeout(now.moment),
        ];
        deadlines.into_iter().flatten().min()
    }

    /// Handles a timeout, or a set clock.
    pub(in crate::control) fn on_timeout(&mut self) {
        let now = self.cx.now.moment;
        self.judge_by_the_clock();
        self.holds.timeout(now);
        self.audit.timeout(now);
        self.exits.release(&mut self.cx, false);
        self.running.timeout(now);
        self.maintenance.timeout(now);
        self.status_files.timeout(now);
        let idle = self.reconfigure.is_idle();
        self.daemon.init_notify.timeout(&mut self.cx, idle);
        self.alerts_timeout();
        self.monitors.host_checks.timeout(&mut self.cx);
        self.monitors.file_watch.timeout(&mut self.cx);
        for name in self.schedule.timeout(&mut self.cx) {
            self.run_scheduled(&name);
            self.schedule.work_out_next(&name, self.cx.now);
        }
        self.schedule.tell_overdue(&mut self.cx);
        self.pass_progress_on();
    }

    /// When somebody is next to be judged for a silence, or the engine has something else to do.
    fn next_judgement(&self) -> Option<Moment> {
        let engine = self.cx.engine.poll_timeout();
        engine.into_iter().chain(self.next_proof()).min()
    }

    /// When something is proven next unless something is heard against it.
    fn next_proof(&self) -> Option<Moment> {
        let probation = self.reconfigure.poll_timeout();
        let operations = self.operations.poll_timeout();
        probation.into_iter().chain(operations).min()
    }

    /// Judges by what has been heard, and asks the keeper for what more is needed.
    fn judge_by_the_clock(&mut self) {
        if self.daemon.watermark.is_asked() {
            return;
        }
        let heard = self.daemon.watermark.reached();
        let _ = self.feed_engine(engine::Event::Timeout { heard });
        self.reconfigure_timeout();
        self.operations_timeout();
        let now = self.cx.now.moment;
        let proof = self.next_proof().is_some_and(|at| at <= now);
        if proof || self.cx.engine.judgement_due(now) {
            self.daemon.watermark.ask(&mut self.cx);
        }
    }

    /// The keeper has passed on what had arrived when it was asked.
    pub(in crate::control) fn on_synced(&mut self, asked: Moment) {
        if self.daemon.watermark.on_synced(asked) {
            self.judge_by_the_clock();
        }
    }

    /// Runs a scheduled service whose time has come.
    fn run_scheduled(&mut self, name: &str) {
        let Some(id) = self.cx.names.id(name) else {
            return;
        };
        if self.cx.plan.services.get(name).is_some_and(|it| it.job) {
            if let Err(why) = self.run_job_by_schedule(name) {
                let detail = format!("skipped: its time has come, but {why}");
                tracing::warn!(service = name, "{detail}");
                self.cx
                    .publish(name, api::EventKind::Schedule, &detail, None);
            }
            return;
        }
        let detail = match self.command(Command::Run([id].into())) {
            Ok(_) => "runs: its time has come".to_owned(),
            Err(Refusal::AlreadyRunning(_)) => {
                "skipped: its time has come, but it is still under way".to_owned()
            }
            Err(refusal) => {
                let why = self.cx.refused(&refusal).message;
                format!("skipped: its time has come, but {why}")
            }
        };
        tracing::info!(service = name, "{detail}");
        self.cx
            .publish(name, api::EventKind::Schedule, &detail, None);
    }
}
