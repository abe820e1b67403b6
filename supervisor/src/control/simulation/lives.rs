//! Lives of the control process: birth, death in the middle of its output, and stalls.

use std::collections::VecDeque;

use crate::control::{
    Control,
    boot::Boot,
    input::Output,
    simulation::{
        checks, plans,
        run::{Simulation, Source},
        script::Op,
        words,
    },
};

impl Simulation {
    /// The control process handles nothing for this long, while keeper and processes go on. Then it
    /// handles the waiting messages before the clock, and judges by them.
    pub(super) fn stall(&mut self, ms: u64) {
        let end = self.now + ms;
        let control = self.control.as_ref();
        let starting = control.map(|control| checks::starting(control, &self.keeper));
        loop {
            let keeper = self.keeper.agenda.next_at().map(|at| (at, Source::Keeper));
            let asked = self.next_request().map(|at| (at, Source::ToKeeper));
            let next = keeper.into_iter().chain(asked).min_by_key(|(at, _)| *at);
            let Some((at, source)) = next.filter(|(at, _)| *at <= end) else {
                break;
            };
            self.now = self.now.max(at);
            self.turn(source);
            if self.over() {
                return;
            }
        }
        self.now = end;
        while self.to_control.len() > 0 {
            self.turn(Source::ToControl);
        }
        if let (Some(control), Some(starting)) = (&self.control, starting)
            && self.keeper.stalled_until <= self.now
        {
            checks::judge_readiness(control, &self.keeper, &starting);
        }
    }

    /// Carries out an output that has left the control process.
    pub(super) fn leave(&mut self, output: Output) {
        match output {
            Output::Keeper(request) => self.to_keeper.push_back(request),
            Output::Task(job) => {
                self.show(&format!("-> job {}", words::of_job(&job)));
                self.note_files(&job);
                self.jobs.start(self.now, job);
            }
            Output::Answer(answer) => {
                answer.send();
                self.clients.read();
                self.administrators.read(&self.jobs.disk);
                self.jobs.disk.judge_promises(&self.clients);
            }
            Output::Access(_)
            | Output::LetIn(_)
            | Output::WatchFiles(_)
            | Output::ReleaseMemory => {}
        }
    }

    /// The control process dies: only the first part of its last output has left.
    pub(super) fn die(&mut self) {
        if self.control.is_none() {
            return;
        }
        let full = self.now < self.full_until;
        let left = self.dice.index(self.sending.len() + 1);
        let left = if full { 0 } else { left };
        let mut unsent = self.sending.drain().collect::<VecDeque<_>>();
        for output in unsent.drain(..left) {
            self.leave(output);
        }
        let again = self.clients.cut();
        self.administrators.cut(&self.jobs.disk);
        self.control = None;
        self.hangs_until = 0;
        let cut = unsent.len();
        self.show(&format!("=== control dies; {cut} of its outputs are lost"));
        for request in std::mem::take(&mut self.to_keeper) {
            self.keeper.request(self.now, request);
        }
        self.leaving = false;
        self.to_control.clear();
        self.jobs.cut();
        self.keeper.deaths += 1;
        let birth = self.now + self.dice.between(0, 50);
        self.script.push(birth, Op::Birth);
        for request in again {
            let at = birth + self.dice.between(0, 500);
            self.script.push(at, Op::AskAgain(request));
        }
        self.judge_holds();
    }

    pub(super) fn birth(&mut self) {
        let hello = self.keeper.hello();
        let stored = self.jobs.disk.stored.clone();
        let plan = stored.filter(|_| !hello.records.is_empty());
        let plan = plan.unwrap_or_else(|| plan::Plan::empty(plans::paths()));
        let boot = Boot {
            seed: self.dice.next(),
            holds: self.jobs.disk.holds.clone(),
            running: self.jobs.disk.running.clone(),
            maintenance: self.jobs.disk.maintenance.clone(),
            status_files: !self.jobs.disk.status_files.is_empty(),
            kernel_boot_id: "this".to_owned(),
            own_user: "nobody".to_owned(),
            handled: crate::store::Handled::default(),
            warnings: Vec::new(),
            aside: Vec::new(),
            applied: None,
        };
        self.show(&format!("=== control is born; facts: {:?}", hello.facts));
        let alone = hello.facts.is_empty();
        self.taking_over = alone;
        self.control = Some(Control::new(self.now(), &hello, plan, boot));
        self.drain(alone);
        self.taking_over = false;
        if self.stillborn > 0 && self.control.is_some() {
            self.stillborn -= 1;
            self.troubles += 1;
            let soon = self.trouble.as_mut().map_or(0, |dice| dice.between(0, 3));
            self.script.push(self.now + soon, Op::Die);
        }
    }
}
