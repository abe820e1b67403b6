//! Translates notices of the keeper into the engine's facts.

use engine::{Exit, Fact, Failure, Moment, RunId, State, StopPhase};
use keeper::message::{self, Left, Notice, READY_FD, Remaining, SpawnStage};
use nix::{errno::Errno, sys::signal::Signal};

use crate::{
    control::{
        Control, Purpose, Run,
        runs::{
            helpers,
            killed::Killed,
            notification,
            notify_readiness::ReadyWord,
            spawn,
            spawn_failure::{self, Place},
        },
        text,
    },
    unready::can_pass,
};

impl Control {
    pub(in crate::control) fn on_notice(&mut self, notice: Notice) {
        match notice {
            Notice::Fact(numbered) => {
                self.cx.taken_in(numbered.seq);
                self.on_keeper_fact(numbered.fact);
            }
            Notice::Remaining { remaining } => self.on_remaining(&remaining),
            Notice::Synced { at_ms } => self.on_synced(Moment(at_ms)),
            Notice::AreYouThere => self.cx.tell(message::Request::Here),
            Notice::Stats { logs } => self.on_stats(&logs),
            Notice::MadeAgain { paths, .. } => {
                let paths = paths.iter().map(|path| path.display().to_string());
                let paths = paths.collect::<Vec<_>>().join(", ");
                let text = format!("made again, for it was removed or replaced: {paths}");
                self.cx.publish("", api::EventKind::Daemon, &text, None);
                // What we have beside that may have gone with it.
                self.holds.write_again();
                self.schedule.write_again();
                self.running.write_again();
                self.maintenance.write_again();
                self.status_files.write_again();
            }
            Notice::Strays { strays } => self.leftovers.on_strays(&mut self.cx, strays),
            Notice::Log { service, trouble } => {
                self.log_troubles.on_notice(&mut self.cx, &service, trouble);
            }
            Notice::KeeperReplaced { version, execs } => self.on_keeper_replaced(version, execs),
            Notice::KeeperNotReplaced { why } => self.on_keeper_not_replaced(why),
            Notice::Hello(_)
            | Notice::Record { .. }
            | Notice::Run(_)
            | Notice::HelloEnd
            | Notice::Opened { .. }
            | Notice::NotReplaced { .. } => {}
        }
    }

    pub(in crate::control) fn on_keeper_fact(&mut self, fact: message::Fact) {
        match fact {
            message::Fact::Spawned { run, pid, at_ms } => {
                self.on_spawned(RunId(run), pid, Moment(at_ms));
            }
            message::Fact::Failed { run, stage, errno } => {
                self.on_spawn_failed(RunId(run), stage, errno);
            }
            message::Fact::Exited {
                run,
                exit,
                core,
                at_ms,
                timed_out,
                output,
            } => {
                if let Some(known) = self.cx.run_mut(RunId(run)) {
                    known.life.ended = Some(Moment(at_ms));
                    known.life.core = core;
                }
                self.on_exited(RunId(run), exit, timed_out, &output);
            }
            message::Fact::Swept { run, left } => self.on_swept(RunId(run), left),
            message::Fact::Notified { run, key, value } => {
                self.on_notified(RunId(run), &key, &value);
            }
            message::Fact::Signalled { signal } => self.on_own_signal(signal),
        }
    }

    fn on_spawned(&mut self, run: RunId, pid: i32, at: Moment) {
        if let Some(known) = self.cx.run_mut(run) {
            known.pid = Some(pid);
            known.life.pid = Some(pid);
            known.life.began = Some(at);
            if let Some(id) = known.service.filter(|_| known.purpose == Purpose::Main) {
                // The keeper starts nothing beside leftovers of an earlier run.
                self.leftovers.forget(id);
            }
        }
        if self.purpose(run) == Some(&Purpose::Main) {
            self.running.begin(&self.cx, &self.exits, run);
            self.fact(Fact::Spawned { run });
            self.monitors.host_checks.on_run_started(&self.cx);
            self.monitors.file_watch.on_run_started(&self.cx, run);
        }
    }

    fn on_spawn_failed(&mut self, run: RunId, stage: SpawnStage, errno: i32) {
        let error = Errno::from_raw(errno);
        let Some(Run {
            service, purpose, ..
        }) = self.cx.remove_run(run)
        else {
            return;
        };
        let planned = match purpose {
            Purpose::Reconfigure => self.reconfigure.checked_service(run),
            _ => service.and_then(|id| self.cx.service(id)),
        };
        let program = planned.and_then(|it| spawn::program_of(it, &purpose));
        let program = program.unwrap_or_else(|| match purpose {
            Purpose::Delivery => "what delivers a notification".to_owned(),
            Purpose::Reconfigure => self.reconfigure.program(run),
            _ => "the validator of a file".to_owned(),
        });
        let place = planned.map(|it| Place::of(it, &self.cx));
        let reason = spawn_failure::reason(stage, error, &program, place.as_ref());
        if purpose == Purpose::Main {
            self.log_readiness.forget(run);
            self.running.forget(&[self.exits.id(run)]);
            if spawn_failure::is_over_leftovers(stage) {
                let left = self.leftovers.count(service);
                self.fact(Fact::SpawnRefused { run, left });
                return;
            }
            let transient = can_pass(error) || stage == SpawnStage::Record;
            self.fact(Fact::SpawnFailed {
                run,
                transient,
                reason,
            });
        } else {
            // The start itself meets what its validator has met, and says it better.
            let passes = purpose == Purpose::Validator
                && stage == SpawnStage::Chdir
                && service.is_none_or(|id| self.cx.engine.main_run(id).is_none());
            let result = if passes {
                Ok(String::new())
            } else {
                Err(text::detail(&reason).to_string())
            };
            let known = Run {
                service,
                ..Run::of_nobody(purpose)
            };
            self.cx.add_run(run, known);
            self.helper_ended(run, result);
        }
    }

    fn on_exited(&mut self, run: RunId, exit: Exit, timed_out: bool, output: &str) {
        if self.purpose(run) == Some(&Purpose::Main) {
            if let Some(known) = self.cx.run_mut(run) {
                known.pid = None;
            }
            self.log_readiness.forget(run);
            self.note_end(run, exit);
            self.fact(Fact::Exited { run, exit });
            return;
        }
        self.helper_ended(run, helpers::result(exit, timed_out, output));
    }

    /// Was it we who ended it?
    fn note_end(&mut self, run: RunId, exit: Exit) {
        let Some(id) = self.cx.run(run).and_then(|known| known.service) else {
            return;
        };
        let view = self.cx.engine.view(id);
        let killed = view.and_then(|view| match view.state {
            State::Stopping {
                phase: StopPhase::Killed { why, .. },
                ..
            } => Some(Killed::Now(why)),
            State::Failed {
                reason: Failure::Leftovers { .. },
            } => Some(Killed::LongBefore),
            _ => None,
        });
        let by_kill = exit == Exit::Signal(Signal::SIGKILL as i32);
        let killed = killed.filter(|_| by_kill);
        self.daemon.shutdown.note_end(&self.cx, id, killed);
    }

    fn on_swept(&mut self, run: RunId, left: Vec<Left>) {
        if self.purpose(run) != Some(&Purpose::Main) {
            return;
        }
        let Some(id) = self.cx.run(run).and_then(|known| known.service) else {
            return;
        };
        let left = self.leftovers.swept(&self.cx, id, left);
        if left == 0
            && let Some(known) = self.cx.run_mut(run)
        {
            // The run is known until its end is told; what starts upon that may have its
            // directories.
            known.directories.clear();
        }
        self.fact(Fact::Swept { run, left });
        if left == 0 {
            self.cx.remove_run(run);
        }
    }

    /// All that an earlier daemon has left: where a start was refused for it, nothing may be in the
    /// way any more.
    pub(in crate::control) fn on_remaining(&mut self, remaining: &[Remaining]) {
        for run in self.leftovers.on_remaining(&mut self.cx, remaining) {
            self.fact(Fact::Swept { run, left: 0 });
        }
    }

    pub(in crate::control) fn on_notified(&mut self, run: RunId, key: &str, value: &str) {
        self.cx.keep_ready_word(run, key, value);
        // `READY_FD` counts only for a run whose readiness uses that descriptor.
        let is_said = key != READY_FD || self.is_ready_by_fd(run);
        match notification::of(key, value).filter(|_| is_said) {
            Some(what) => self.fact(Fact::Notified { run, what }),
            None => self.on_described(run, key, value),
        }
    }

    /// A new plan may ask for what runs that are starting have said already.
    pub(in crate::control) fn hear_ready_words(&mut self) {
        for ReadyWord { run, key, value } in self.cx.ready_words() {
            self.on_notified(run, &key, &value);
        }
    }

    /// The log thread has seen the line by which a run is ready.
    pub(in crate::control) fn on_ready_line(&mut self, run: RunId, pattern: &str) {
        if let Some(fact) = self.log_readiness.on_line(run, pattern) {
            self.fact(fact);
        }
    }

    fn is_ready_by_fd(&self, run: RunId) -> bool {
        let service = self.cx.service_of(run);
        service.is_some_and(|it| matches!(it.ready.kind, plan::ReadyKind::Fd(_)))
    }

    /// What a run says that changes no state. A new control process takes this up from the keeper;
    /// what was said of states is in their records.
    pub(in crate::control) fn on_described(&mut self, run: RunId, key: &str, value: &str) {
        match key {
            "STATUS" => {
                let service = self.cx.run(run).and_then(|known| known.service);
                if let Some(id) = service {
                    self.last_words.set_status(id, value);
                }
            }
            api::JOB_PROGRESS_KEY => {
                self.work.job_said(&self.cx, run, value);
                self.pass_progress_on();
            }
            "MAINPID" => {
                if let (Ok(pid), Some(known)) = (value.parse(), self.cx.run_mut(run)) {
                    known.pid = Some(pid);
                    known.life.pid = Some(pid);
                }
            }
            _ => {}
        }
    }

    fn purpose(&self, run: RunId) -> Option<&Purpose> {
        self.cx.run(run).map(|known| &known.purpose)
    }

    /// A validator, probe, reload command or step of a reconfiguration is over.
    pub(in crate::control) fn helper_ended(&mut self, run: RunId, result: Result<String, String>) {
        let Some(known) = self.cx.remove_run(run) else {
            return;
        };
        let ok = result.is_ok();
        let service = known.service.map(|id| self.cx.name(id).to_owned());
        let service = service.unwrap_or_default();
        if known.purpose == Purpose::Validator
            && let Ok(said) = &result
        {
            self.validator_warns(&service, said);
        }
        let mut detail = result.unwrap_or_else(|reason| reason);
        if !matches!(known.purpose, Purpose::Reconfigure) {
            // The text becomes the reason of a state, which has one line.
            detail = ::text::one_line(&detail);
        }
        let outcome = |detail: String| if ok { Ok(()) } else { Err(detail) };
        match known.purpose {
            Purpose::Validator => {
                if let Some(id) = known.service {
                    let verdict = if ok { Ok(()) } else { Err(detail.as_str()) };
                    self.last_words.validated(&mut self.cx, id, verdict);
                }
                let verdict = outcome(detail);
                self.fact(Fact::Validated { run, verdict });
            }
            Purpose::ReloadCommand(_) => {
                if !ok {
                    let failure = format!("reload: {detail}");
                    self.cx
                        .publish(&service, api::EventKind::Failure, &failure, None);
                }
                let outcome = outcome(detail);
                self.fact(Fact::Reloaded { run, outcome });
            }
            Purpose::Probe(of, probe) => {
                if let Some(took) = self.api.metrics.probe_ends(run, self.cx.now.moment) {
                    self.api.metrics.count_probe(&self.cx, of, probe, ok, took);
                }
                self.fact(Fact::Probed {
                    run: of,
                    probe,
                    ok,
                    detail,
                });
            }
            Purpose::Reconfigure => self.reconfigure_step_ended(run, ok, &detail),
            Purpose::Delivery => self.delivery_ended(run, ok, &detail),
            Purpose::Main => unreachable!("a main run is not a helper"),
        }
    }

    /// Reports the warnings of a validator that lets the service start.
    fn validator_warns(&mut self, service: &str, said: &str) {
        for line in helpers::warnings(said) {
            tracing::warn!(service, "validator: {line}");
            self.cx
                .publish(service, api::EventKind::Warning, line, None);
        }
    }
}
