//! Events of the control process that concern other parts: its start, its loss, its replacement.
//!
//! These steps need more than `control` owns: a new control process learns of runs, records and
//! leftovers, and the requests of a lost one are carried out before another begins, for its records
//! count them as done.

use super::Keeper;
use crate::{
    control::{Heard, Loss, greet, is_gone},
    link::{Link, LinkError},
    message::{Hello, Notice, VERSION},
    stderr_log::{error, say},
};

/// Most processes of an earlier supervisor that a hello names.
const LEFTOVERS_TOLD_MAX: usize = 4096;

impl Keeper {
    /// Starts the control process, unless there is one or the daemon is ending.
    pub(super) fn start_control(&mut self) {
        if self.control.is_there() || self.kit.is_shutting_down() {
            return;
        }
        let locks = self.places.lock_fds();
        match self.control.start(&mut self.kit, &locks) {
            Ok((pid, mut link)) => {
                let mut hello = self.hello();
                self.control.describe(&mut hello);
                let greeted = self.greet(&mut link, hello);
                self.control.begin(&self.kit, pid, link);
                self.catch_up.forget();
                if let Err(error) = greeted {
                    self.control.link_failed(&self.kit, &error);
                }
            }
            Err((stage, error)) => {
                error!("could not start the control process: {stage}: {error}");
                self.control.retry(&mut self.kit);
            }
        }
    }

    fn hello(&self) -> Hello {
        let leftovers = self.runs.leftovers();
        Hello {
            version: VERSION,
            keeper_version: crate::PROGRAM_VERSION.to_owned(),
            keeper_execs: self.reexec.execs,
            keeper_refusal: self.reexec.refusal.clone(),
            keeper_pid: i32::try_from(std::process::id()).unwrap_or(0),
            started_ms: self.started_ms,
            next_run: self.runs.next_run(),
            leftovers: leftovers.stopped(LEFTOVERS_TOLD_MAX),
            remaining: leftovers.remaining(),
            ..Hello::default()
        }
    }

    /// Queues the first frames for a new control process; the rest follows as the link takes
    /// frames.
    fn greet(&mut self, link: &mut Link, hello: Hello) -> Result<(), LinkError> {
        let records = self.records.iter().map(|(service, record)| Notice::Record {
            service: service.clone(),
            record: record.clone(),
        });
        let rest = records.chain(self.runs.notices()).collect();
        self.kit.facts.greet(rest);
        let listener = self.places.listener().duplicate()?;
        greet(link, hello, listener, self.runs.announce_all())
    }

    /// Checks whether the control process has been silent for too long.
    pub(super) fn liveness_due(&mut self) {
        if let Some(pid) = self.control.liveness_due(&mut self.kit) {
            self.lose_control(pid, Loss::Silent);
        }
    }

    /// Carries out the last requests of a lost control process, then starts another one.
    pub(super) fn lose_control(&mut self, pid: i32, loss: Loss) {
        let requests = self.control.lose(&self.kit, pid, loss);
        self.inbox.extend(requests);
        while let Some(request) = self.inbox.pop_front() {
            self.request(request);
        }
        if self.kit.is_shutting_down() {
            return;
        }
        let is_hopeless = self.shutdown.is_past_patience();
        if self.control.follow(&mut self.kit, pid, loss, is_hopeless) {
            self.stop_alone_because("no control process stays");
        }
    }

    /// Ends the control process, since the program that follows speaks other messages; what it has
    /// asked for is carried out.
    pub(super) fn part_from_control(&mut self) {
        let Some(pid) = self.control.pid() else {
            return;
        };
        say!("ends the control process (pid {pid}): another version's follows");
        let requests = self.control.lose(&self.kit, pid, Loss::Silent);
        self.inbox.extend(requests);
        while let Some(request) = self.inbox.pop_front() {
            self.request(request);
        }
        self.catch_up.forget();
    }

    /// Starts a successor at the request of the control process in charge.
    pub(super) fn reexec(&mut self) {
        let other = self.control.has_successor() || self.reexec.is_under_way();
        if other || self.kit.is_shutting_down() {
            let why = "another is being started already, or the daemon is ending";
            self.control.not_replaced(why.to_owned());
            return;
        }
        // The old one may stay in charge, and then has all pipes too.
        self.announce();
        let locks = self.places.lock_fds();
        let mut started = match self.control.start_successor(&mut self.kit, &locks) {
            Ok(started) => started,
            Err(why) => return self.control.not_replaced(why),
        };
        let mut hello = self.hello();
        self.control.describe_to_successor(&mut hello);
        let greeted = self.greet(&mut started.link, hello);
        self.control.await_successor(&mut self.kit, started);
        if let Err(error) = greeted
            && !is_gone(&error)
        {
            self.give_up_successor(&format!("could not be told the state: {error}"));
        }
    }

    /// Drops a successor: the old control process stays in charge; if that has died meanwhile,
    /// another instance of its program starts.
    pub(super) fn give_up_successor(&mut self, why: &str) {
        if self.control.drop_successor(&mut self.kit, why) {
            self.start_control();
        }
    }

    /// The deadline of a successor, or of an earlier one.
    pub(super) fn successor_due(&mut self) {
        if let Some(why) = self.control.successor_due() {
            self.give_up_successor(&why);
        }
    }

    /// The new one says something: the first word is that it takes over.
    pub(super) fn read_successor(&mut self) {
        match self.control.read_successor(&self.kit) {
            Heard::Nothing => {}
            Heard::TookOver(requests) => {
                self.control.succeed(&mut self.kit);
                self.catch_up.forget();
                self.inbox.extend(requests);
            }
            Heard::Unfit(why) => self.give_up_successor(&why),
        }
    }
}
