//! The end of a simulation: the world becomes fair, everything comes to rest, and the final
//! invariants are checked.

use api::Action;
use keeper::message::Role;

use crate::control::{
    input::{Input, Output},
    simulation::{checks, plans, run::Simulation, script::Op},
};

/// A fact that is late comes within this time.
const FACT_MS_MAX: u64 = 1_000;
/// A fair world comes to rest within this time.
const REST_MS_MAX: u64 = 600_000;
/// Longest delay of an event that was drawn before the world was fair.
const DOOM_MS_MAX: u64 = 95_000;
/// A plan with which everything is up counts as one that works after this long.
const PROOF_MS_MAX: u64 = 20_000;
/// After SIGTERM the keeper allows a control process less silence than this.
const SILENT_AT_THE_END_MS_MAX: u64 = 5_000;
/// SIGTERM to the end, in a fair world.
const STOP_MS_MAX: u64 = 400_000;

impl Simulation {
    /// The world is fair from now on: everything must come to rest, start when told, and end.
    pub(super) fn conclude(&mut self) {
        self.run_until(self.now + 1_000);
        self.keeper.stalled_until = self.now;
        self.full_until = self.now;
        self.keeper.be_fair(self.now);
        self.send_facts();
        self.jobs.fair = true;
        self.show("=== the world is fair");
        if self.terminated {
            return self.end();
        }
        // Events drawn before the world was fair still happen.
        self.run_until(self.now + DOOM_MS_MAX);
        let mended = plans::mend(&self.jobs.disk.site);
        let applied = self.control.as_ref().is_some_and(|it| {
            it.starts.is_whole()
                && *it.cx.plan == mended
                && it.reconfigure.is_stored_as_files_have_it()
        });
        let current = applied && self.jobs.disk.stored.as_ref() == Some(&mended);
        self.jobs.disk.site = mended;
        if !current || self.dice.percent(50) {
            self.signal(1);
            self.run_until(self.now + 2_000);
        }
        self.settle(REST_MS_MAX, |it| it.unrest(false));
        // A death may be on its way still.
        self.run_until(self.now + FACT_MS_MAX);
        self.start_all();
        self.settle(REST_MS_MAX, |it| it.unrest(true));
        self.run_until(self.now + PROOF_MS_MAX);
        if self.over() {
            return;
        }
        self.judge_end();
        self.judge_maintenance();
        self.set_stop_order();
        self.signal(15);
        if self.dice.percent(50) {
            let at = self.now + self.dice.pause();
            self.script.push(at, Op::Die);
        }
        self.hang(SILENT_AT_THE_END_MS_MAX);
        self.end();
        let clean = self.keeper.quit == Some(0);
        assert!(
            clean || self.keeper.has_leftovers() || self.one_failed(),
            "it ends as if not all had been stopped"
        );
    }

    pub(super) fn unrest(&self, all_up: bool) -> Option<String> {
        let Some(control) = &self.control else {
            return Some("there is no control process".to_owned());
        };
        let waits = |id: &str| !all_up && checks::waits_with_its_job(control, id);
        let mut open = self.clients.open.iter();
        let open = open.find(|client| !waits(&client.id));
        let open = open.map(|client| format!("a client waits: {client:?}"));
        checks::unrest(control, all_up).or(open)
    }

    /// A start by hand brings up whatever had failed.
    pub(super) fn start_all(&mut self) {
        let Some(control) = &self.control else {
            return;
        };
        let enabled = control.cx.plan.services.values().filter(|it| it.enabled);
        let names = enabled.map(|service| service.name.clone());
        let held = |name: &String| {
            let view = control
                .cx
                .names
                .id(name)
                .and_then(|id| control.cx.engine.view(id));
            view.is_some_and(|view| view.hold.is_some())
        };
        let names: Vec<String> = names.filter(|name| !held(name)).collect();
        if !names.is_empty() {
            let request = self.clients.request(Action::Start, names);
            self.act(request);
        }
    }

    pub(super) fn judge_end(&mut self) {
        let Some(control) = &mut self.control else {
            return;
        };
        checks::judge_editions(control, &self.keeper);
        let altered = self.jobs.changed(&control.cx.plan);
        assert!(altered.is_empty(), "on disk is another plan's: {altered:?}");
        let works = self.jobs.disk.kept.contains(&control.cx.plan);
        // A client stopped the service before it was up, or the service refused to reload.
        let unproven = control.cx.plan.services.values().any(|it| {
            let view = control.cx.names.id(&it.name);
            let view = view.and_then(|id| control.cx.engine.view(id));
            it.enabled && view.is_some_and(|it| it.hold.is_some() || !it.detail.is_empty())
        });
        assert!(
            works || unproven,
            "all is up, and the plan is not kept: {:?}",
            control.reconfigure
        );
        let candidates = &self.jobs.disk.candidates;
        assert!(candidates.is_empty(), "left behind: {candidates:?}");
        checks::judge_stored(control, &self.jobs.disk);
        self.jobs.disk.judge_history(&self.clients.taken);
        let now = crate::control::Now {
            moment: engine::Moment(self.now),
            unix_ms: self.now,
        };
        self.clients.judge_outcomes(|ask| {
            control.handle(now, Input::Ask(ask));
            while let Some(output) = control.poll_output() {
                if let Output::Answer(answer) = output {
                    answer.send();
                }
            }
        });
        let helpers = self
            .keeper
            .runs
            .values()
            .filter(|it| it.role == Role::Helper);
        // A probe may just be under way.
        let most = 2 * control.cx.plan.services.len();
        assert!(helpers.count() <= most, "helpers are left");
        assert!(control.cx.runs().len() <= 3 * control.cx.plan.services.len());
    }

    pub(super) fn end(&mut self) {
        self.settle(STOP_MS_MAX, |it| {
            (!it.over()).then(|| "it has not ended".to_owned())
        });
        let live = self
            .keeper
            .runs
            .values()
            .find(|run| run.role == Role::Main && run.lives());
        assert!(live.is_none(), "after the end lives {live:?}");
        if self.keeper.quit == Some(0) {
            self.jobs.disk.judge_exits(&self.keeper.ends);
        }
    }
}
