//! The maintenance of the host: in memory, on its way to the disk, and in the status files.
//!
//! Invariant: like a hold, maintenance survives every process and a reboot. A client that sets or
//! ends maintenance hears "done" only once the change is stored, stands in the status files, and
//! reaches users (`told.rs`); else the client hears why not. A disk that does not answer delays no
//! client for ever (`on_disk.rs`). Maintenance touches no service.

mod told;

use std::collections::BTreeMap;

use api::{
    EventKind, Maintenance as Said, MaintenanceReply, MaintenanceRequest, ServiceState, Told,
};
use engine::Moment;
use plan::MaintenanceSituation;
use tokio::sync::oneshot;

use crate::control::{
    Context, Task,
    api::answers::Answer,
    on_disk::{Durability, OnDisk},
    record_keys::Key,
    runs::network_probe::No,
    service_state::service_state,
    status_files::{StatusFiles, maintenance_files},
    text,
};

/// Where the answer to a client goes.
type Reply = oneshot::Sender<MaintenanceReply>;

/// Whether the host is in maintenance, as an administrator set it last.
#[derive(Debug)]
pub(super) struct Maintenance {
    disk: OnDisk<Option<Said>>,
    /// Clients that wait for the outcome; bounded by the connections of the server.
    waiting: Vec<Reply>,
    /// The present look at services that tell users.
    look: Option<told::ConfirmCheck>,
    /// The number of the last question to a service.
    asked: u64,
}

impl Maintenance {
    /// `stored`: the state on the disk.
    pub(super) fn new(stored: Option<Said>) -> Self {
        Self {
            disk: OnDisk::new(stored.clone(), Some(stored)),
            waiting: Vec::new(),
            look: None,
            asked: 0,
        }
    }

    pub(super) fn said(&self) -> Option<&Said> {
        self.disk.wanted().as_ref()
    }

    /// The maintenance as status files show it.
    pub(super) fn situation(&self) -> Option<MaintenanceSituation> {
        self.said().map(|it| MaintenanceSituation {
            message: it.message.clone(),
            since: it.since.clone(),
        })
    }

    pub(super) fn is_awaited(&self) -> bool {
        self.disk.standing() == Durability::Awaited
    }

    /// The present trouble, if any.
    pub(super) fn warning(&self) -> Option<String> {
        match self.disk.standing() {
            Durability::Unstored(why) => Some(format!(
                "whether there is maintenance will not survive a restart of the supervisor: {why}"
            )),
            _ => None,
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Moment> {
        let look = self
            .look
            .as_ref()
            .and_then(told::ConfirmCheck::poll_timeout);
        self.disk.poll_timeout().into_iter().chain(look).min()
    }

    pub(super) fn timeout(&mut self, now: Moment) {
        self.disk.timeout(now);
    }

    /// Writes the state once more: before the end, and when somebody has cleared the state
    /// directory.
    pub(super) fn write_again(&mut self) {
        if self.said().is_some() || self.disk.standing() != Durability::Stored {
            self.disk.doubt();
        }
    }
}

impl Maintenance {
    /// Begins or ends maintenance; a repeated request changes nothing. Returns the line for the
    /// history.
    pub(super) fn set(
        &mut self,
        cx: &mut Context,
        wanted: Option<MaintenanceRequest>,
        by: &str,
    ) -> String {
        let what = match &wanted {
            None => "maintenance off".to_owned(),
            Some(MaintenanceRequest { message: None }) => "maintenance on".to_owned(),
            Some(MaintenanceRequest { message: Some(it) }) => format!("maintenance on: {it}"),
        };
        let since = self.said().map(|it| it.since.clone());
        let said = wanted.map(|MaintenanceRequest { message }| Said {
            message,
            since: since.unwrap_or_else(|| text::time(cx.now.unix_ms)),
            by: by.to_owned(),
        });
        cx.publish("", EventKind::Change, &what, Some(by));
        tracing::info!(by, "{what}");
        if self.said() != said.as_ref() {
            let record = serde_json::to_string(&said).expect("it is plain data");
            cx.remember(Key::Maintenance, record);
            self.disk.change(|it| *it = said);
        }
        what
    }

    /// After every input: stores the state if a write is due, and answers clients once the outcome
    /// is known.
    pub(super) fn store(&mut self, cx: &mut Context, files: &StatusFiles) {
        if let Some(maintenance) = self.disk.due(cx.now.moment) {
            cx.queue_task(Task::StoreMaintenance { maintenance });
        }
        if self.waiting.is_empty() {
            return;
        }
        let in_files = self.standing_in(files);
        if self.is_awaited() || in_files == Durability::Awaited {
            self.look = None;
            return;
        }
        // A service cannot tell users what its status file does not say.
        let told_by = match in_files {
            Durability::Stored => self.look_at_users(cx),
            _ => Some(BTreeMap::new()),
        };
        let Some(told_by) = told_by else {
            return;
        };
        self.look = None;
        for reply in std::mem::take(&mut self.waiting) {
            let now = self.reply(cx, files, told_by.clone());
            cx.answer(Answer::Maintained(reply, now));
        }
    }

    /// What services tell users; none: the services are still being asked.
    fn look_at_users(&mut self, cx: &mut Context) -> Option<BTreeMap<String, Told>> {
        let now = cx.now.moment;
        let on = self.said().is_some();
        let look = self.look.take().filter(|it| it.is_for(on));
        let mut look = look.unwrap_or_else(|| {
            let services = cx.plan.services.values().filter(|it| it.enabled);
            let who = |it: &plan::Service| Some((it.name.clone(), it.maintenance.clone()?));
            told::ConfirmCheck::new(now, on, services.filter_map(|it| who(it)))
        });
        let mut asked = self.asked;
        let due = look.due(now, &mut asked, |name| {
            let view = cx.names.id(name).and_then(|id| cx.engine.view(id));
            match view {
                Some(view) if view.ready => None,
                Some(view) => Some(service_state(&view.state)),
                None => Some(ServiceState::Gone),
            }
        });
        self.asked = asked;
        for (question, probe) in due {
            cx.queue_task(Task::AskWhatUsersAreTold { question, probe });
        }
        let outcome = look.outcome();
        self.look = Some(look);
        outcome
    }

    /// Takes a service's answer to what users are told.
    pub(super) fn users_are_told(&mut self, now: Moment, question: u64, answer: Result<(), No>) {
        if let Some(look) = &mut self.look {
            look.answered(now, question, answer);
        }
    }

    pub(super) fn stored(&mut self, now: Moment, result: Result<(), String>) {
        if let Err(error) = &result {
            tracing::error!("cannot store whether there is maintenance, tries again: {error}");
        }
        self.disk.written(now, result);
    }

    /// Answers a client once the outcome is known.
    pub(super) fn answer_when_seen(&mut self, reply: Reply) {
        self.waiting.push(reply);
    }

    /// The reply to a client.
    fn reply(
        &self,
        cx: &Context,
        files: &StatusFiles,
        told_by: BTreeMap<String, Told>,
    ) -> MaintenanceReply {
        let why = |standing| match standing {
            Durability::Unstored(why) => Some(why),
            Durability::Awaited => Some("it is being written".to_owned()),
            Durability::Stored => None,
        };
        MaintenanceReply {
            maintenance: self.said().cloned(),
            files: maintenance_files(&cx.plan),
            told_by,
            unwritten: why(self.standing_in(files)),
            unstored: why(self.disk.standing()),
        }
    }

    /// Whether the status files say that there is this maintenance, or none.
    fn standing_in(&self, files: &StatusFiles) -> Durability {
        let situation = self.situation();
        files.standing(situation.as_ref())
    }

    /// Restores the maintenance that an earlier control process had the keeper hold, which may be
    /// on no disk.
    pub(super) fn restore(&mut self, records: &BTreeMap<String, String>) {
        let Some(record) = Key::Maintenance.of(records) else {
            return;
        };
        match serde_json::from_str::<Option<Said>>(record) {
            Ok(said) => self.disk.change(|it| *it = said),
            Err(error) => {
                let why = ::text::json_place(&error);
                tracing::error!(
                    "cannot read whether there is maintenance, takes what is stored: {why}"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests;
