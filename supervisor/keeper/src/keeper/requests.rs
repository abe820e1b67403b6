//! Requests of the control process, one by one in their order. No request blocks.

use super::Keeper;
use crate::{
    message::{Fact, Notice, Request, Spawn, SpawnStage},
    shutdown::Teardown,
    sys::child::SpawnError,
};

impl Keeper {
    /// Carries out one request.
    pub(super) fn request(&mut self, request: Request) {
        let Self { kit, runs, .. } = self;
        match request {
            Request::TookOver => self.control_took_over(),
            Request::Open(open) => runs.open(kit, open),
            Request::Spawn(spawn) => self.spawn(&spawn),
            Request::Signal { run, signal, cont } => runs.signal(run, signal, cont),
            Request::Rotate { service } => kit.log.rotate(&service),
            Request::Stats => {
                let logs = kit.log.stats();
                self.tell(&Notice::Stats { logs });
            }
            Request::Sweep { run } => runs.sweep_asked(kit, run),
            Request::Remember { service, record } => {
                self.records.insert(service, record);
            }
            Request::Forget { service } => {
                self.records.remove(&service);
                runs.forget(kit, &service);
            }
            Request::TellInit { message } => kit.init.tell(&message),
            Request::Ack { seq } => runs.acknowledged(kit, seq),
            Request::Sync { at_ms } => self.catch_up.ask(at_ms),
            // Any message is a sign of life.
            Request::Here => {}
            Request::Reexec => self.reexec(),
            Request::ReexecKeeper => self.reexec_keeper(),
            Request::Quit { code } => self.end(Teardown::asked(code)),
        }
    }

    /// The control process has loaded the state; reports the states that are otherwise reported
    /// only when they change.
    fn control_took_over(&mut self) {
        self.control.took_over(&mut self.kit);
        if !self.strays.is_empty() {
            self.tell(&self.strays.notice());
        }
        for (service, trouble) in self.kit.log.all_troubles() {
            let trouble = Some(trouble);
            self.tell(&Notice::Log { service, trouble });
        }
    }

    /// Reports logs that cannot be written or rotated, or can again.
    pub(super) fn tell_log_troubles(&mut self) {
        for (service, trouble) in self.kit.log.take_troubles() {
            self.tell(&Notice::Log { service, trouble });
        }
    }

    /// Starts a run, or reports the failure.
    fn spawn(&mut self, spawn: &Spawn) {
        let mut done = self.runs.spawn(&mut self.kit, spawn);
        // The directory of records may have been removed.
        if let Err((SpawnStage::Record, _)) = done
            && self.look_at_places()
        {
            done = self.runs.spawn(&mut self.kit, spawn);
        }
        if let Err((stage, errno)) = done {
            self.kit.facts.push(failed(spawn, (stage, errno)));
        }
    }
}

fn failed(spawn: &Spawn, (stage, errno): SpawnError) -> Fact {
    Fact::Failed {
        run: spawn.run,
        stage,
        errno: errno as i32,
    }
}
