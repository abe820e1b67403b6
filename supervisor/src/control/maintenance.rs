//! Whether the host is in maintenance: in memory, on its way to the disk, and to the status files.
//!
//! It is an administrator's word as a hold is: it survives every process and the machine, and whoever
//! says it hears that it is done when it was seen to be stored, to stand in the status files, and to be
//! what users get (`told.rs`), or hears why not. A disk that does not answer holds nobody up for ever
//! (`on_disk.rs`). No service is touched by it.

mod told;

use std::collections::BTreeMap;

use api::{Maintenance as Said, MaintenanceReply, MaintenanceRequest, Told};
use engine::Moment;
use plan::MaintenanceSituation;
use tokio::sync::oneshot;

use crate::{
    ask::Peer,
    control::{
        Control, Job,
        api::answers::Answer,
        on_disk::{Durability, OnDisk},
        operations::audit,
        record_keys::Key,
        runs::network_probe::No,
        text,
    },
};

/// Where an answer goes.
type Reply = oneshot::Sender<MaintenanceReply>;

/// What was said last.
#[derive(Debug)]
pub(super) struct Maintenance {
    disk: OnDisk<Option<Said>>,
    /// Those who wait until it is seen. The server has so many connections and no more.
    waiting: Vec<Reply>,
    /// What users are told is being looked at.
    look: Option<told::Look>,
    /// The number of the last question to a service.
    asked: u64,
}

impl Maintenance {
    /// `stored`: what is on the disk.
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

    /// For status files.
    pub(super) fn situation(&self) -> Option<MaintenanceSituation> {
        self.said().map(|it| MaintenanceSituation {
            message: it.message.clone(),
            since: it.since.clone(),
        })
    }

    pub(super) fn is_awaited(&self) -> bool {
        self.disk.standing() == Durability::Awaited
    }

    /// What is wrong, for as long as it is.
    pub(super) fn warning(&self) -> Option<String> {
        match self.disk.standing() {
            Durability::Unstored(why) => Some(format!(
                "whether there is maintenance will not survive a restart of the supervisor: {why}"
            )),
            _ => None,
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Moment> {
        let look = self.look.as_ref().and_then(told::Look::poll_timeout);
        self.disk.poll_timeout().into_iter().chain(look).min()
    }

    pub(super) fn timeout(&mut self, now: Moment) {
        self.disk.timeout(now);
    }

    /// Before the end, and when somebody has cleared the state directory.
    pub(super) fn write_again(&mut self) {
        if self.said().is_some() || self.disk.standing() != Durability::Stored {
            self.disk.doubt();
        }
    }
}

impl Control {
    /// Somebody says that there is maintenance, or none any more. Said twice it is as said once.
    pub(super) fn set_maintenance(
        &mut self,
        id: &str,
        wanted: Option<MaintenanceRequest>,
        peer: &Peer,
        reply: Reply,
    ) {
        let what = match &wanted {
            None => "maintenance off".to_owned(),
            Some(MaintenanceRequest { message: None }) => "maintenance on".to_owned(),
            Some(MaintenanceRequest { message: Some(it) }) => format!("maintenance on: {it}"),
        };
        let since = self.maintenance.said().map(|it| it.since.clone());
        let said = wanted.map(|MaintenanceRequest { message }| Said {
            message,
            since: since.unwrap_or_else(|| text::time(self.cx.now.unix_ms)),
            by: peer.name.clone(),
        });
        self.cx.publish("", "change", &what, Some(&peer.name));
        tracing::info!(by = peer.name, "{what}");
        if self.maintenance.said() != said.as_ref() {
            self.remember_maintenance(said.as_ref());
            self.maintenance.disk.change(|it| *it = said);
        }
        let asked = audit::asked(self.cx.now.unix_ms, id, peer, &what, &[]);
        self.audit.done(&mut self.cx, asked);
        self.maintenance.waiting.push(reply);
    }

    /// After every input: stores it if that is due, and answers whom it concerns once it was seen.
    pub(super) fn store_maintenance(&mut self) {
        if let Some(maintenance) = self.maintenance.disk.due(self.cx.now.moment) {
            self.cx.job(Job::StoreMaintenance { maintenance });
        }
        if self.maintenance.waiting.is_empty() {
            return;
        }
        let files = self.status_files_say();
        if self.maintenance.is_awaited() || files == Durability::Awaited {
            self.maintenance.look = None;
            return;
        }
        // What is not in the files is told by nobody.
        let told_by = match files {
            Durability::Stored => self.look_at_users(),
            _ => Some(BTreeMap::new()),
        };
        let Some(told_by) = told_by else {
            return;
        };
        self.maintenance.look = None;
        for reply in std::mem::take(&mut self.maintenance.waiting) {
            let now = self.maintenance(told_by.clone());
            self.cx.answer(Answer::Maintained(reply, now));
        }
    }

    /// What users are told by the services that tell them; none: they are being asked.
    fn look_at_users(&mut self) -> Option<BTreeMap<String, Told>> {
        let now = self.cx.now.moment;
        let on = self.maintenance.said().is_some();
        let look = self.maintenance.look.take().filter(|it| it.is_for(on));
        let mut look = look.unwrap_or_else(|| {
            let services = self.cx.plan.services.values().filter(|it| it.enabled);
            let who = |it: &plan::Service| Some((it.name.clone(), it.maintenance.clone()?));
            told::Look::new(now, on, services.filter_map(|it| who(it)))
        });
        let mut asked = self.maintenance.asked;
        let due = look.due(now, &mut asked, |name| {
            let view = self
                .cx
                .names
                .id(name)
                .and_then(|id| self.cx.engine.view(id));
            match view {
                Some(view) if view.ready => None,
                Some(view) => Some(view.state.name().to_owned()),
                None => Some("gone".to_owned()),
            }
        });
        self.maintenance.asked = asked;
        for (question, probe) in due {
            self.cx.job(Job::AskWhatUsersAreTold { question, probe });
        }
        let outcome = look.outcome();
        self.maintenance.look = Some(look);
        outcome
    }

    /// A service has said what users are told.
    pub(super) fn users_are_told(&mut self, question: u64, answer: Result<(), No>) {
        let now = self.cx.now.moment;
        if let Some(look) = &mut self.maintenance.look {
            look.answered(now, question, answer);
        }
    }

    pub(super) fn maintenance_stored(&mut self, result: Result<(), String>) {
        if let Err(error) = &result {
            tracing::error!("cannot store whether there is maintenance, tries again: {error}");
        }
        self.maintenance.disk.written(self.cx.now.moment, result);
    }

    /// Somebody wants to know how it stands, once that was seen.
    pub(super) fn ask_maintenance(&mut self, reply: Reply) {
        self.maintenance.waiting.push(reply);
    }

    /// How it stands.
    fn maintenance(&self, told_by: BTreeMap<String, Told>) -> MaintenanceReply {
        let why = |standing| match standing {
            Durability::Unstored(why) => Some(why),
            Durability::Awaited => Some("it is being written".to_owned()),
            Durability::Stored => None,
        };
        MaintenanceReply {
            maintenance: self.maintenance.said().cloned(),
            files: self.maintenance_files(),
            told_by,
            unwritten: why(self.status_files_say()),
            unstored: why(self.maintenance.disk.standing()),
        }
    }

    fn status_files_say(&self) -> Durability {
        let situation = self.maintenance.situation();
        self.status_files.standing(situation.as_ref())
    }

    /// What an earlier control process has had the keeper hold, which may be on no disk.
    pub(super) fn restore_maintenance(&mut self, records: &BTreeMap<String, String>) {
        let Some(record) = Key::Maintenance.of(records) else {
            return;
        };
        match serde_json::from_str::<Option<Said>>(record) {
            Ok(said) => self.maintenance.disk.change(|it| *it = said),
            Err(error) => {
                let why = ::text::json_place(&error);
                tracing::error!(
                    "cannot read whether there is maintenance, takes what is stored: {why}"
                );
            }
        }
    }

    fn remember_maintenance(&mut self, said: Option<&Said>) {
        let record = serde_json::to_string(&said).expect("it is plain data");
        self.cx.remember(Key::Maintenance, record);
    }
}

#[cfg(test)]
mod tests;
