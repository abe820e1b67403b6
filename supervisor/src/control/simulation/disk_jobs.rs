//! Jobs that read or write small files: holds, histories, requests and results of jobs. Sometimes
//! the disk is full.

use crate::{
    control::{input::Done, simulation::jobs::Jobs},
    history,
    status_files::Situations,
    store::{Holds, Running},
};

impl Jobs {
    /// Stores a job's request; sometimes the disk is full.
    pub(super) fn order_stored(&mut self, service: String, id: String) -> Done {
        if !self.fair && self.dice.percent(5) {
            return Done::OrderStored(Err("no space left on device".to_owned()));
        }
        self.disk.orders.insert(service, id);
        Done::OrderStored(Ok(()))
    }

    /// Reads a job's result. Some jobs leave none: then there is an earlier result, or none.
    pub(super) fn read_result(&mut self, service: &str, id: String) -> Done {
        if self.disk.orders.get(service) == Some(&id) && self.dice.percent(80) {
            let result = api::JobResult {
                id: id.clone(),
                ok: true,
                aside: false,
                message: "done".to_owned(),
                report: serde_json::Value::Null,
            };
            self.disk.results.insert(service.to_owned(), result);
        }
        let result = self.disk.results.get(service).cloned().map(Box::new);
        let result = match self.dice.clone().below(20) {
            0 => Err("its result is in /nonexistent: the disk has not answered".to_owned()),
            _ => Ok(result),
        };
        Done::ResultRead { id, result }
    }

    pub(super) fn recorded(&mut self, now: u64, lines: Vec<history::Line>) -> Done {
        if self.has_no_room(now) {
            return Done::Recorded(Err((lines, "no space left on device".to_owned())));
        }
        self.disk.append(lines);
        Done::Recorded(Ok(()))
    }

    pub(super) fn exits_recorded(&mut self, now: u64, records: Vec<api::ExitRecord>) -> Done {
        self.disk.refused.0 = self.has_no_room(now);
        if self.disk.refused.0 {
            return Done::ExitsRecorded(Err("no space left on device".to_owned()));
        }
        self.disk.append_exits(records);
        Done::ExitsRecorded(Ok(()))
    }

    pub(super) fn running_stored(&mut self, now: u64, running: Running) -> Done {
        self.disk.refused.1 = self.has_no_room(now);
        if self.disk.refused.1 {
            return Done::RunningStored(Err("no space left on device".to_owned()));
        }
        self.disk.running = running;
        Done::RunningStored(Ok(()))
    }

    pub(super) fn store_maintenance(&mut self, now: u64, said: Option<api::Maintenance>) -> Done {
        let fails = self.has_no_room(now);
        self.disk.store_maintenance(said, fails)
    }

    pub(super) fn write_status_files(&mut self, now: u64, said: Situations) -> Done {
        let fails = self.has_no_room(now);
        self.disk.write_status_files(said, fails)
    }

    pub(super) fn stored(&mut self, holds: Holds) -> Done {
        self.store(holds);
        Done::HoldsStored(Ok(()))
    }

    pub(super) fn store(&mut self, holds: Holds) {
        self.disk.holds = holds.services;
        self.disk.lost = false;
    }
}
