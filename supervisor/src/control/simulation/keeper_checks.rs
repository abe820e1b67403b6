//! Rules for requests to the keeper, checked for each request as it comes.

use engine::State;
use keeper::message::{Fact, Request, Spawn};

use crate::control::{Control, simulation::keeper::Keeper};

impl Keeper {
    /// No change is done twice, however often it is requested and whatever process has died.
    pub(super) fn judge_doing(&mut self, key: &str, record: &str) {
        let id = |record: &str| {
            let doing: serde_json::Value = serde_json::from_str(record).ok()?;
            Some(doing["id"].as_str()?.to_owned())
        };
        if key != "@in-flight" {
            return;
        }
        if let Some(new) = id(record) {
            assert!(self.begun.insert(new.clone()), "{new} is done twice");
            return;
        }
        // Refused: nothing of it was done.
        let over = self.records.get(key).and_then(|before| id(before));
        let known = self.records.get("@operations").cloned().unwrap_or_default();
        if let Some(over) = over.filter(|it| !known.contains(&format!("\"{it}\""))) {
            self.begun.remove(&over);
        }
    }

    /// Notes the kind of readiness of a run that is to be spawned.
    pub(super) fn note_ready_kind(&mut self, control: &Control, request: &Request) {
        if let Request::Spawn(spawn) = request
            && let Some(planned) = control.cx.plan.services.get(&spawn.service)
        {
            self.ready_kinds
                .insert(spawn.run, planned.ready.kind.clone());
        }
    }

    /// Invariants of every start of a service.
    pub(super) fn judge_main(&self, spawn: &Spawn) {
        let name = &spawn.service;
        assert!(self.opened.contains(name), "{name} is spawned unopened");
        if let Some((id, old)) = self.main_of(name) {
            assert!(old.given_up, "{name} would run twice: {id} is {old:?}");
        }
        let record = self
            .records
            .get(name)
            .unwrap_or_else(|| panic!("no record of {name}"));
        let record: engine::Record = serde_json::from_str(record).unwrap();
        assert!(
            matches!(record.state(), State::Spawning { run, .. } if run.0 == spawn.run),
            "the record of {name} came too late: {:?}",
            record.state()
        );
    }

    /// A run whose sweep was given up is looked at again.
    pub(super) fn may_spawn(&mut self, service: &str) -> bool {
        let Some((id, _)) = self.main_of(service) else {
            return true;
        };
        let lives = self.runs[&id].lives();
        if lives || !self.world.fair && self.dice.percent(50) {
            return false;
        }
        self.runs.get_mut(&id).unwrap().swept = true;
        self.push(Fact::Swept {
            run: id,
            left: Vec::new(),
        });
        true
    }

    /// In the end what depends on a service goes before it.
    pub(super) fn judge_stop(&self, service: &str) {
        let dependents = self
            .stop_order
            .as_ref()
            .and_then(|order| order.get(service));
        for dependent in dependents.into_iter().flatten() {
            let up = self
                .main_of(dependent)
                .filter(|(_, run)| run.lives() && !run.killed);
            assert!(
                up.is_none(),
                "{service} is stopped before {dependent}: {up:?}"
            );
        }
    }
}
