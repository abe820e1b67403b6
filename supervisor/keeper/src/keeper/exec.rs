//! A re-exec of the keeper, as far as it concerns all parts: who asks, what stands against it, what
//! is saved.

use std::fs::File;

use super::Keeper;
use crate::{
    clock::now_ms,
    inheritance::Keeping,
    kit::Life,
    log::SavedLogs,
    message::{Exit, KeeperRefusal, Notice, VERSION, Work},
    reexec::{LOOK_MS, QUIET_MS, execute},
    runs::threads_work,
    state::{self, State},
    stderr_log::{error, say},
    timers::Timer,
    trial::{Passed, Trial},
};

impl Keeper {
    /// Tries the program that is installed now, at the request of the control process.
    pub(super) fn reexec_keeper(&mut self) {
        match self.begin_trial() {
            Ok(trial) => self.reexec.begins(trial),
            Err(why) => self.refuse_reexec(why),
        }
    }

    fn begin_trial(&mut self) -> Result<Trial, KeeperRefusal> {
        if self.kit.life != Life::Lasting {
            return Err(KeeperRefusal::Ending);
        }
        if self.control.has_successor() || self.reexec.is_under_way() {
            return Err(KeeperRefusal::Busy);
        }
        // The log thread goes on, so what it knows is not in this copy.
        let state = self.saved(&mut Keeping::default(), SavedLogs::default());
        let copy = write(&state)?;
        let path = self.control.path().to_owned();
        say!("tries {} beside itself", path.display());
        let (_, stderr) = self.control.program();
        Trial::start(&mut self.kit, &path, stderr, &copy)
    }

    /// The trial says something.
    pub(super) fn trial_speaks(&mut self) {
        if let Some(trial) = self.reexec.trial() {
            trial.read(&self.kit);
        }
    }

    /// The time of a trial, or of an earlier one, is over.
    pub(super) fn trial_due(&mut self) {
        if let Some(why) = self.reexec.trial().and_then(|it| it.is_late()) {
            self.keeper_not_replaced(why);
        }
    }

    /// A child has ended. True: it was on trial.
    pub(super) fn trial_ended(&mut self, pid: i32, exit: Exit) -> bool {
        let Some(trial) = self.reexec.take_trial(pid) else {
            return false;
        };
        match trial.ended(&self.kit, exit) {
            Ok(passed) => self.reexec.passes(passed),
            Err(why) => self.keeper_not_replaced(why),
        }
        true
    }

    /// The keeper goes on with the program that it has.
    pub(super) fn keeper_not_replaced(&mut self, why: KeeperRefusal) {
        self.reexec.give_up();
        self.refuse_reexec(why);
    }

    fn refuse_reexec(&mut self, why: KeeperRefusal) {
        error!("goes on with the program that it has: {why}");
        if why.is_about_the_program() {
            self.reexec.refusal = Some(why.clone());
        }
        self.tell(&Notice::KeeperNotReplaced { why });
    }

    /// Executes the program that has passed its trial, once nothing is under way that an exec would
    /// break or wait for. Called after every turn.
    pub(super) fn exec_when_quiet(&mut self) {
        let Some(is_overdue) = self.reexec.is_overdue() else {
            return;
        };
        if self.kit.life != Life::Lasting {
            return self.keeper_not_replaced(KeeperRefusal::Ending);
        }
        let work = if self.control.has_said_all() {
            threads_work().then_some(Work::Descriptors)
        } else {
            Some(Work::Control)
        };
        match work {
            Some(work) if is_overdue => self.keeper_not_replaced(too_long(work)),
            Some(_) => self.kit.timers.add(now_ms() + LOOK_MS, Timer::Exec),
            None => {
                if let Some(passed) = self.reexec.take_passed() {
                    self.exec(&passed);
                }
            }
        }
    }

    fn exec(&mut self, passed: &Passed) {
        if passed.messages != VERSION {
            self.part_from_control();
        }
        say!("becomes the installed program (version {})", passed.version);
        let patience = std::time::Duration::from_millis(QUIET_MS);
        let why = match self.kit.log.park(patience) {
            // The log thread goes on when `parked` is dropped.
            Some(parked) => self.become_program(&passed.program, parked.saved.clone()),
            None => too_long(Work::Logs),
        };
        self.keeper_not_replaced(why);
        self.start_control();
    }

    /// Returns only if the exec has failed.
    fn become_program(&self, program: &File, logs: SavedLogs) -> KeeperRefusal {
        let earlier = match File::open(proc::OWN_PROGRAM) {
            Ok(earlier) => earlier,
            Err(error) => {
                let error = error.to_string();
                return KeeperRefusal::NotWritten { error };
            }
        };
        let mut keeping = Keeping::default();
        let mut state = self.saved(&mut keeping, logs);
        state.execs += 1;
        match write(&state) {
            Ok(memory) => {
                let arguments = &self.kit.config.resume_argv;
                execute(program, arguments, (&memory, &earlier), &keeping)
            }
            Err(why) => why,
        }
    }

    /// Everything, for the next image of this process.
    fn saved<'a>(&'a self, keeping: &mut Keeping<'a>, logs: SavedLogs) -> State {
        let kit = &self.kit;
        let places = self.places.saved(keeping);
        let control = self.control.saved(keeping);
        let runs = self.runs.saved(keeping);
        State {
            descriptors: keeping.numbers(),
            messages: VERSION,
            execs: self.reexec.execs,
            started_ms: self.started_ms,
            hash: kit.config.state_hash.clone(),
            original: kit.original.saved(),
            cgroup: kit.cgroups.as_ref().map(crate::cgroup::Cgroups::saved),
            places,
            control,
            runs,
            logs,
            facts: kit.facts.clone(),
            timers: kit.timers.clone(),
            compressor: self.compressor.saved(),
            strays: self.strays.clone(),
            sync: self.catch_up.asked(),
            own_children: kit.own_children.clone(),
            inbox: self.inbox.clone(),
            records: self.records.clone(),
        }
    }
}

fn write(state: &State) -> Result<File, KeeperRefusal> {
    state::write(state).map_err(|error| KeeperRefusal::NotWritten {
        error: error.to_string(),
    })
}

fn too_long(work: Work) -> KeeperRefusal {
    let seconds = QUIET_MS / 1000;
    KeeperRefusal::Working { work, seconds }
}
