//! Whether the host is in maintenance: in memory, on its way to the disk, and to the status files.
//!
//! It is an administrator's word as a hold is: it survives every process and the machine, and whoever
//! says it hears that it is done when it was seen to be stored and to stand in the status files, or
//! hears why not. A disk that does not answer holds nobody up for ever (`on_disk.rs`). No service is
//! touched by it.

use std::collections::BTreeMap;

use api::{Maintenance as Said, MaintenanceReply, MaintenanceRequest};
use engine::Moment;
use plan::MaintenanceSituation;
use tokio::sync::oneshot;

use super::{
    Control, Job,
    answers::Answer,
    memory::Key,
    on_disk::{OnDisk, Standing},
    records, words,
};
use crate::ask::Peer;

/// Where an answer goes.
type Reply = oneshot::Sender<MaintenanceReply>;

/// What was said last.
#[derive(Debug)]
pub(super) struct Maintenance {
    disk: OnDisk<Option<Said>>,
    /// Those who wait until it is seen. The server has so many connections and no more.
    waiting: Vec<Reply>,
}

impl Maintenance {
    /// `stored`: what is on the disk.
    pub(super) fn new(stored: Option<Said>) -> Self {
        Self {
            disk: OnDisk::new(stored.clone(), Some(stored)),
            waiting: Vec::new(),
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
        self.disk.standing() == Standing::Awaited
    }

    /// What is wrong, for as long as it is.
    pub(super) fn warning(&self) -> Option<String> {
        match self.disk.standing() {
            Standing::Unstored(why) => Some(format!(
                "whether there is maintenance will not survive a restart of the supervisor: {why}"
            )),
            _ => None,
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Moment> {
        self.disk.poll_timeout()
    }

    pub(super) fn timeout(&mut self, now: Moment) {
        self.disk.timeout(now);
    }

    /// Before the end, and when somebody has cleared the state directory.
    pub(super) fn write_again(&mut self) {
        if self.said().is_some() || self.disk.standing() != Standing::Stored {
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
            since: since.unwrap_or_else(|| words::time(self.cx.now.unix_ms)),
            by: peer.name.clone(),
        });
        self.cx.publish("", "change", &what, Some(&peer.name));
        tracing::info!(by = peer.name, "{what}");
        if self.maintenance.said() != said.as_ref() {
            self.remember_maintenance(said.as_ref());
            self.maintenance.disk.change(|it| *it = said);
        }
        let asked = records::asked(self.cx.now.unix_ms, id, peer, &what, &[]);
        self.records.done(&mut self.cx, asked);
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
        if self.maintenance.is_awaited() || files == Standing::Awaited {
            return;
        }
        for reply in std::mem::take(&mut self.maintenance.waiting) {
            self.cx
                .answer(Answer::Maintained(reply, self.maintenance()));
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
    fn maintenance(&self) -> MaintenanceReply {
        let why = |standing| match standing {
            Standing::Unstored(why) => Some(why),
            Standing::Awaited => Some("it is being written".to_owned()),
            Standing::Stored => None,
        };
        MaintenanceReply {
            maintenance: self.maintenance.said().cloned(),
            files: self.maintenance_files(),
            unwritten: why(self.status_files_say()),
            unstored: why(self.maintenance.disk.standing()),
        }
    }

    fn status_files_say(&self) -> Standing {
        let situation = self.maintenance.situation();
        self.status_files.standing(situation.as_ref())
    }

    /// What an earlier control process has had the keeper hold, which may be on no disk.
    pub(super) fn take_up_maintenance(&mut self, records: &BTreeMap<String, String>) {
        let Some(record) = Key::Maintenance.of(records) else {
            return;
        };
        match serde_json::from_str::<Option<Said>>(record) {
            Ok(said) => self.maintenance.disk.change(|it| *it = said),
            Err(error) => {
                let why = api::json_place(&error);
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
mod tests {
    use tokio::sync::oneshot::error::TryRecvError;

    use super::*;
    use crate::{control::whole::World, store::Handled};

    const FULL: &str = "no space left on device";

    fn world() -> World {
        let service = "command = ['/bin/a']\n[[status_files]]\npath = '/run/a/status'\n\
                       template = 'status.j2'\nwhen = 'maintenance'\n";
        let mut world = World::new(&[("a", service)], Handled::default());
        world.spawned(world.spawned[0].1);
        while !world.saying.is_empty() {
            world.said(Ok(()));
            world.pass(1_000);
        }
        world
    }

    fn request(message: &str) -> MaintenanceRequest {
        let message = Some(message.to_owned());
        MaintenanceRequest { message }
    }

    /// Whoever says it hears that it is done when it stands where users are told.
    #[test]
    fn it_is_done_when_the_files_say_it() {
        let mut world = world();
        let mut answer = world.set_maintenance(Some(request("back soon")));
        assert_eq!(answer.try_recv(), Err(TryRecvError::Empty));
        let said = world.said(Ok(()));
        let told = said["a"].maintenance.clone().unwrap();
        assert_eq!(told.message.as_deref(), Some("back soon"));
        let reply = answer.try_recv().unwrap();
        assert_eq!(reply.files, ["/run/a/status"]);
        assert_eq!((reply.unwritten, reply.unstored), (None, None));
        let since = reply.maintenance.unwrap().since;
        // It has begun then, whatever is said later.
        world.pass(60_000);
        let mut again = world.set_maintenance(Some(request("a bit longer")));
        world.said(Ok(()));
        let reply = again.try_recv().unwrap().maintenance.unwrap();
        assert_eq!(
            (reply.since, reply.message.as_deref()),
            (since, Some("a bit longer"))
        );
        // What is so already has nothing to wait for.
        let mut same = world.set_maintenance(Some(request("a bit longer")));
        assert!(same.try_recv().is_ok() && world.saying.is_empty());
        world.pass(1_000);
        let mut off = world.set_maintenance(None);
        assert_eq!(off.try_recv(), Err(TryRecvError::Empty));
        assert_eq!(world.said(Ok(()))["a"].maintenance, None);
        assert_eq!(off.try_recv().unwrap().maintenance, None);
    }

    #[test]
    fn what_is_not_seen_is_said_not_to_be() {
        let mut world = world();
        world.disk = Err(FULL.to_owned());
        let mut answer = world.set_maintenance(Some(request("x")));
        world.said(Err(FULL.to_owned()));
        let reply = answer.try_recv().unwrap();
        assert_eq!(reply.unwritten.as_deref(), Some(FULL));
        assert_eq!(reply.unstored.as_deref(), Some(FULL));
        assert_eq!(
            world.control.status(&[]).unwrap().supervisor.warnings.len(),
            2
        );
        world.disk = Ok(());
        world.pass(2_000);
        world.said(Ok(()));
        let now = world.control.maintenance();
        assert_eq!((now.unwritten, now.unstored), (None, None));
    }

    /// A disk that does not answer is waited for so long.
    #[test]
    fn nobody_waits_for_ever() {
        let mut world = world();
        let mut answer = world.set_maintenance(Some(request("x")));
        world.pass(4_900);
        assert_eq!(answer.try_recv(), Err(TryRecvError::Empty));
        world.pass(200);
        let why = answer.try_recv().unwrap().unwritten.unwrap();
        assert!(why.contains("has not answered"), "{why}");
    }
}
