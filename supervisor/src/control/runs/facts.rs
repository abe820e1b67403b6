//! What the keeper says, turned into the engine's facts.

use std::{collections::BTreeSet, path::Path};

use engine::{Fact, Failure, Moment, RunId, ServiceId, State, StopPhase};
use keeper::message::{self, Left, Notice, READY_FD, READY_FD_CLOSED, Remaining, Stray};
use nix::{errno::Errno, sys::signal::Signal};

use crate::{
    control::{Control, Purpose, Run, runs::killed::Killed, text},
    port_owner,
    unready::can_pass,
};

/// Stages of a spawn that the keeper refuses, because something is left: of an earlier run, or of a run
/// of an earlier daemon.
const OVER_LEFTOVERS: [&str; 2] = [message::UNSWEPT, message::LEFTOVERS];

impl Control {
    pub(in crate::control) fn on_notice(&mut self, notice: Notice) {
        match notice {
            Notice::Fact(numbered) => {
                self.unacknowledged = Some(numbered.seq);
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
                self.cx.publish("", "daemon", &text, None);
                // What we have beside that may have gone with it.
                self.holds.write_again();
                self.schedule.write_again();
                self.running.write_again();
                self.maintenance.write_again();
                self.status_files.write_again();
            }
            Notice::Strays { strays } => self.on_strays(strays),
            Notice::Log { service, trouble } => self.on_log_trouble(&service, trouble),
            Notice::Hello(_)
            | Notice::Record { .. }
            | Notice::Run(_)
            | Notice::HelloEnd
            | Notice::Opened { .. }
            | Notice::NotReplaced { .. } => {}
        }
    }

    fn on_strays(&mut self, strays: Vec<Stray>) {
        let new = strays.iter().filter(|it| !self.strays.contains(it));
        let new: Vec<String> = new.map(text::stray).collect();
        for what in &new {
            self.cx.publish("", "daemon", what, None);
        }
        if new.is_empty() && strays.len() < self.strays.len() {
            let what = "a process that had left its service has ended";
            self.cx.publish("", "daemon", what, None);
        }
        self.strays = strays;
    }

    pub(in crate::control) fn on_keeper_fact(&mut self, fact: message::Fact) {
        match fact {
            message::Fact::Spawned { run, pid, at_ms } => {
                self.on_spawned(RunId(run), pid, Moment(at_ms));
            }
            message::Fact::Failed { run, stage, errno } => {
                self.on_spawn_failed(RunId(run), &stage, errno);
            }
            message::Fact::Exited {
                run,
                exit,
                core,
                at_ms,
                timed_out,
                output,
            } => {
                if let Some(known) = self.cx.runs.get_mut(&RunId(run)) {
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
        if let Some(known) = self.cx.runs.get_mut(&run) {
            known.pid = Some(pid);
            known.life.pid = Some(pid);
            known.life.began = Some(at);
            if known.purpose == Purpose::Main {
                // Nothing is started beside what an earlier run has left.
                known.service.map(|id| self.left.remove(&id));
            }
        }
        if self.purpose(run) == Some(&Purpose::Main) {
            self.note_living(run);
            self.fact(Fact::Spawned { run });
            self.host_checks.on_run_started(&self.cx);
            self.file_watch.on_run_started(&self.cx, run);
        }
    }

    fn on_spawn_failed(&mut self, run: RunId, stage: &str, errno: i32) {
        let error = Errno::from_raw(errno);
        let Some(Run {
            service, purpose, ..
        }) = self.cx.runs.remove(&run)
        else {
            return;
        };
        let planned = match purpose {
            Purpose::Reconfigure => self.reconfigure.checked_service(run),
            _ => service.and_then(|id| self.cx.service(id)),
        };
        let program = planned.and_then(|it| crate::control::runs::spawn::program_of(it, &purpose));
        let program = program.unwrap_or_else(|| match purpose {
            Purpose::Delivery => "what delivers a notification".to_owned(),
            Purpose::Reconfigure => self.reconfigure.program(run),
            _ => "the validator of a file".to_owned(),
        });
        let reason = spawn_failure(stage, error, &program, planned.map(|it| place(it, self)));
        if purpose == Purpose::Main {
            self.log_readiness.forget(run);
            self.running.forget(&[self.exits.id(run)]);
            if OVER_LEFTOVERS.contains(&stage) {
                let left = service.and_then(|id| self.left.get(&id));
                let left = left.map_or(1, Vec::len);
                let left = u32::try_from(left).unwrap_or(u32::MAX);
                self.fact(Fact::SpawnRefused { run, left });
                return;
            }
            let transient = can_pass(error) || stage == "record";
            self.fact(Fact::SpawnFailed {
                run,
                transient,
                reason,
            });
        } else {
            // The start itself meets what its validator has met, and says it better.
            let passes = purpose == Purpose::Validator
                && stage == "chdir"
                && service.is_none_or(|id| self.cx.engine.main_run(id).is_none());
            let result = if passes {
                Ok(String::new())
            } else {
                Err(reason)
            };
            let known = Run {
                service,
                ..Run::of_nobody(purpose)
            };
            self.cx.runs.insert(run, known);
            self.helper_ended(run, result);
        }
    }

    fn on_exited(&mut self, run: RunId, exit: message::Exit, timed_out: bool, output: &str) {
        if self.purpose(run) == Some(&Purpose::Main) {
            if let Some(known) = self.cx.runs.get_mut(&run) {
                known.pid = None;
            }
            self.log_readiness.forget(run);
            let exit = match exit {
                message::Exit::Code(code) => engine::Exit::Code(code),
                message::Exit::Signal(signal) => engine::Exit::Signal(signal),
            };
            self.note_end(run, exit);
            self.fact(Fact::Exited { run, exit });
            return;
        }
        let result = match exit {
            _ if timed_out => Err(with_output("timed out", output)),
            message::Exit::Code(0) => Ok(output.trim_end().to_owned()),
            message::Exit::Code(code) => Err(with_output(&format!("exit code {code}"), output)),
            message::Exit::Signal(signal) => {
                let name = text::signal_name(signal);
                Err(with_output(&format!("killed by {name}"), output))
            }
        };
        self.helper_ended(run, result);
    }

    /// Was it we who ended it?
    fn note_end(&mut self, run: RunId, exit: engine::Exit) {
        let Some(id) = self.cx.runs.get(&run).and_then(|known| known.service) else {
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
        let by_kill = exit == engine::Exit::Signal(Signal::SIGKILL as i32);
        let killed = killed.filter(|_| by_kill);
        self.lifecycle.note_end(&self.cx, id, killed);
    }

    fn on_swept(&mut self, run: RunId, left: Vec<Left>) {
        if self.purpose(run) != Some(&Purpose::Main) {
            return;
        }
        let Some(id) = self.cx.runs.get(&run).and_then(|known| known.service) else {
            return;
        };
        let count = u32::try_from(left.len()).unwrap_or(u32::MAX);
        let is_gone = left.is_empty();
        if is_gone {
            self.left.remove(&id);
            // The run is known until its end is told; what starts upon that may have its directories.
            if let Some(known) = self.cx.runs.get_mut(&run) {
                known.directories.clear();
            }
        } else {
            let what = text::left(&left);
            let service = self.cx.name(id);
            tracing::error!(service, "processes would not go: {what}");
            self.left.insert(id, left);
        }
        self.fact(Fact::Swept { run, left: count });
        if is_gone {
            self.cx.runs.remove(&run);
        }
    }

    /// All that an earlier daemon has left: where a start was refused for it, nothing may be in the way any more.
    pub(in crate::control) fn on_remaining(&mut self, remaining: &[Remaining]) {
        let mut remains = BTreeSet::new();
        for one in remaining {
            let id = self.cx.names.intern(&one.service);
            self.left.insert(id, one.left.clone());
            remains.insert(id);
        }
        let ids = self.cx.names.ids().values();
        let gone: Vec<(ServiceId, RunId)> = ids
            .filter(|id| !remains.contains(id))
            .filter_map(|id| Some((*id, self.cx.engine.unswept_run(*id)?)))
            // Of its own runs the keeper tells by themselves.
            .filter(|(_, run)| !self.cx.runs.contains_key(run))
            .collect();
        for (id, run) in gone {
            self.left.remove(&id);
            self.fact(Fact::Swept { run, left: 0 });
        }
    }

    pub(in crate::control) fn on_notified(&mut self, run: RunId, key: &str, value: &str) {
        self.keep_ready_word(run, key, value);
        let ms = || Some(value.parse::<u64>().ok()?.div_ceil(1000));
        let fact = match key {
            "READY" if value == "1" => Some(Fact::Ready { run }),
            READY_FD if self.is_ready_by_fd(run) => Some(if value == READY_FD_CLOSED {
                Fact::GaveUpReady { run }
            } else {
                Fact::ReadySignal { run }
            }),
            "RELOADING" if value == "1" => Some(Fact::Reloading { run }),
            "WATCHDOG" if value == "1" => Some(Fact::Alive { run }),
            "WATCHDOG" if value == "trigger" => Some(Fact::WatchdogTrigger { run }),
            "WATCHDOG_USEC" => ms().map(|ms| Fact::WatchdogTimeout { run, ms }),
            "EXTEND_TIMEOUT_USEC" => ms().map(|ms| Fact::Extend { run, ms }),
            _ => None,
        };
        match fact {
            Some(fact) => self.fact(fact),
            None => self.on_described(run, key, value),
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
                let service = self.cx.runs.get(&run).and_then(|known| known.service);
                if let Some(id) = service {
                    self.status_texts.insert(id, value.to_owned());
                }
            }
            api::JOB_PROGRESS_KEY => self.job_said(run, value),
            "MAINPID" => {
                if let (Ok(pid), Some(known)) = (value.parse(), self.cx.runs.get_mut(&run)) {
                    known.pid = Some(pid);
                    known.life.pid = Some(pid);
                }
            }
            _ => {}
        }
    }

    fn purpose(&self, run: RunId) -> Option<&Purpose> {
        self.cx.runs.get(&run).map(|known| &known.purpose)
    }

    /// A validator, probe, reload command or step of a reconfiguration is over.
    pub(in crate::control) fn helper_ended(&mut self, run: RunId, result: Result<String, String>) {
        let Some(known) = self.cx.runs.remove(&run) else {
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
            // It becomes a state's reason, which has one line.
            detail = api::one_line(&detail);
        }
        let outcome = |detail: String| if ok { Ok(()) } else { Err(detail) };
        match known.purpose {
            Purpose::Validator => {
                if let Some(id) = known.service.filter(|_| ok) {
                    self.last_failures.remove(&id);
                } else if let Some(id) = known.service {
                    tracing::warn!(service, "validator refused: {detail}");
                    self.note_failure(id, format!("validator: {detail}"));
                }
                let verdict = outcome(detail);
                self.fact(Fact::Validated { run, verdict });
            }
            Purpose::ReloadCommand(_) => {
                if !ok {
                    let failure = format!("reload: {detail}");
                    self.cx.publish(&service, "failure", &failure, None);
                }
                let outcome = outcome(detail);
                self.fact(Fact::Reloaded { run, outcome });
            }
            Purpose::Probe(of, probe) => {
                if let Some(took) = self.metrics.probe_ends(run, self.cx.now.moment) {
                    self.metrics.count_probe(&self.cx, of, probe, ok, took);
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

    /// What a validator warns of though it lets the service start.
    fn validator_warns(&mut self, service: &str, said: &str) {
        for line in warnings(said) {
            tracing::warn!(service, "validator: {line}");
            self.cx.publish(service, "warning", line, None);
        }
    }
}

/// Lines that say by themselves that they are warnings or worse: `<4>…`, as sd-daemon(3) has it.
fn warnings(said: &str) -> impl Iterator<Item = &str> {
    said.lines().filter_map(|line| {
        let (level, text) = line.strip_prefix('<')?.split_once('>')?;
        matches!(level, "0" | "1" | "2" | "3" | "4").then_some(text)
    })
}

fn with_output(what: &str, output: &str) -> String {
    let output = output.trim();
    if output.is_empty() {
        what.to_owned()
    } else {
        format!("{what}: {output}")
    }
}

/// Where a service runs, as whom, and what brings what is missing there.
struct Where<'a> {
    dir: &'a Path,
    account: &'a str,
    hint: &'a str,
}

fn place<'a>(service: &'a plan::Service, control: &'a Control) -> Where<'a> {
    let account = service.user.as_deref().filter(|_| control.is_root);
    Where {
        dir: &service.working_dir,
        account: account.unwrap_or(&control.own_user),
        hint: &service.command_hint,
    }
}

/// Stage and error in words that say what to look at.
fn spawn_failure(stage: &str, error: Errno, command: &str, place: Option<Where<'_>>) -> String {
    let what = match stage {
        // The keeper has killed its process; the errno's own words are about connections.
        "exec" if error == Errno::ETIMEDOUT => {
            return format!(
                "did not get as far as executing {command}: its process was stopped by another, or its file system \
                 does not answer"
            );
        }
        "exec" => format!("cannot execute {command}"),
        "chdir" => match &place {
            Some(Where { dir, account, .. }) if error == Errno::EACCES => {
                format!(
                    "cannot enter its working directory {} as {account}",
                    dir.display()
                )
            }
            Some(Where { dir, .. }) => {
                format!("cannot enter its working directory {}", dir.display())
            }
            None => "cannot enter its working directory".to_owned(),
        },
        "record" => "cannot write the run's record".to_owned(),
        "notify" => "cannot make its notify socket (the daemon's log says more)".to_owned(),
        stage => format!("cannot start it (stage {stage})"),
    };
    let reason = format!("{what}: {}", error.desc());
    let missing = error == Errno::ENOENT && matches!(stage, "exec" | "chdir");
    let hint = place.filter(|_| missing).map_or("", |it| it.hint);
    port_owner::with_hint(reason, hint)
}

#[cfg(test)]
mod tests {
    use super::warnings;

    #[test]
    fn only_lines_that_say_so_are_warnings() {
        let said = "reads a.conf\n<4>a is old\n<6>b is read\n<3>c is gone\n<4\n4>\n<>\n";
        let found: Vec<&str> = warnings(said).collect();
        assert_eq!(found, ["a is old", "c is gone"]);
    }
}
