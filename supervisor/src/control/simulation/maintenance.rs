//! Administrators who begin and end maintenance, and the promises to them: an answered change is in
//! the state whatever dies, and in the files and with the server where the answer says so; status
//! shows the change.

use api::{Maintenance, MaintenanceReply, MaintenanceRequest, Told};
use engine::Moment;
use tokio::sync::oneshot;

use crate::{
    ask::Ask,
    control::{
        input::{Done, Input},
        runs::network_probe::No,
        simulation::{clients::peer, dice::Dice, disk::Disk, run::Simulation, script::Op},
    },
    status_files::Situations,
};

/// In a fair world an administrator has an answer within this.
const ANSWER_MS_MAX: u64 = 60_000;

/// All changes of maintenance.
#[derive(Debug)]
pub(super) struct Administrators {
    dice: Dice,
    /// The requested states, in order; none: no maintenance.
    said: Vec<Option<String>>,
    /// Number of requested states up to the last answered one.
    answered: usize,
    waiting: Vec<Waiting>,
    /// How often a server was seen to tell users the requested state.
    pub(super) seen: u64,
}

#[derive(Debug)]
struct Waiting {
    number: usize,
    reply: oneshot::Receiver<MaintenanceReply>,
}

impl Administrators {
    pub(super) const fn new(dice: Dice) -> Self {
        Self {
            dice,
            said: Vec::new(),
            answered: 0,
            waiting: Vec::new(),
            seen: 0,
        }
    }

    pub(super) fn dice(&mut self) -> &mut Dice {
        &mut self.dice
    }

    fn draw(&mut self) -> (Input, Waiting) {
        let number = self.said.len() + 1;
        let message = self.dice.percent(60).then(|| format!("word {number}"));
        let (reply, answer) = oneshot::channel();
        self.said.push(message.clone());
        let ask = Ask::SetMaintenance {
            id: format!("maintenance-{number}"),
            wanted: message.map(|it| MaintenanceRequest { message: Some(it) }),
            peer: peer(),
            reply,
        };
        let waiting = Waiting {
            number,
            reply: answer,
        };
        (Input::Ask(ask), waiting)
    }

    /// Reads what was answered. `disk`: what is there now. An answer to one of several is about the
    /// last.
    pub(super) fn read(&mut self, disk: &Disk) {
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.retain_mut(|it| match it.reply.try_recv() {
            Ok(reply) => {
                self.judge_answer(it.number, &reply, disk);
                false
            }
            Err(oneshot::error::TryRecvError::Empty) => true,
            Err(error) => panic!("maintenance-{} is not answered: {error}", it.number),
        });
        self.waiting = waiting;
    }

    fn judge_answer(&mut self, number: usize, reply: &MaintenanceReply, disk: &Disk) {
        self.answered = self.answered.max(number);
        let said = reply.maintenance.as_ref().map(|it| it.message.clone());
        let now = said.clone().flatten();
        let any = self.said[number - 1..].contains(&now);
        assert!(any, "maintenance-{number} is answered by {reply:?}");
        // No request has come since, so nothing has changed since.
        if number == self.said.len() {
            let stored = disk.maintenance.as_ref().map(|it| it.message.clone());
            assert!(
                reply.unstored.is_some() || disk.maintenance_lost || stored == said,
                "maintenance-{number} is not on the disk: {reply:?}, {stored:?}"
            );
            let on = now.is_some();
            let seen = reply.told_by.values().any(|it| *it == Told::Yes);
            self.seen += u64::from(seen);
            assert!(
                !seen || disk.tells(on),
                "users are not told what maintenance-{number} says: {:?}",
                disk.status_files
            );
        }
    }

    /// Whether this may be the final state: the last answered change, or a later one.
    fn may_be(&self, message: Option<&String>) -> bool {
        let last = self.answered.checked_sub(1);
        let since = &self.said[last.unwrap_or(0)..];
        let untouched = last.is_none() && message.is_none();
        untouched || since.iter().any(|it| it.as_ref() == message)
    }

    /// Control dies, and its unsent answers with it.
    pub(super) fn cut(&mut self, disk: &Disk) {
        self.read(disk);
        self.waiting.clear();
    }
}

impl Disk {
    /// A server that reads the files tells users of maintenance, or does not.
    fn tells(&self, on: bool) -> bool {
        let mut files = self.status_files.values();
        files.any(|it| it.maintenance.is_some()) == on
    }

    /// The answer of a server that reads the files.
    pub(super) fn answer(&self, question: u64, silent: bool) -> Done {
        let answer = if silent {
            Err(No::Silence("connection refused".to_owned()))
        } else if self.tells(true) {
            Ok(())
        } else {
            Err(No::Answer("http://any/ answers 200".to_owned()))
        };
        Done::UsersAreTold { question, answer }
    }

    /// The maintenance is stored, or there is no room for it.
    pub(super) fn store_maintenance(&mut self, said: Option<Maintenance>, fails: bool) -> Done {
        if fails {
            return Done::MaintenanceStored(Err("no space left on device".to_owned()));
        }
        self.maintenance = said;
        self.maintenance_lost = false;
        Done::MaintenanceStored(Ok(()))
    }

    pub(super) fn write_status_files(&mut self, said: Situations, fails: bool) -> Done {
        if fails {
            return Done::StatusFilesWritten(Err("no space left on device".to_owned()));
        }
        self.status_files = said;
        Done::StatusFilesWritten(Ok(()))
    }
}

impl Simulation {
    /// Draws when that is said, from now to `end`; control dies soon after some of it.
    pub(super) fn draw_maintenance(&mut self, end: u64) {
        if !self.maintained {
            return;
        }
        let (now, dice) = (self.now, self.administrators.dice());
        let mut drawn = Vec::new();
        for _ in 0..dice.between(2, 10) {
            let at = now + dice.below(end - now + 1);
            drawn.push((at, Op::Maintain));
            if dice.percent(30) {
                drawn.push((at + dice.pause(), Op::Die));
            }
        }
        for (at, op) in drawn {
            self.script.push(at, op);
        }
    }

    /// An administrator begins or ends maintenance.
    pub(super) fn say_maintenance(&mut self) {
        if self.control.is_none() {
            return;
        }
        let (input, waiting) = self.administrators.draw();
        self.show(&format!("<- maintenance-{}", waiting.number));
        self.administrators.waiting.push(waiting);
        self.handle(input);
    }

    /// The state and the files are what was requested last.
    pub(super) fn judge_maintenance(&mut self) {
        self.settle(ANSWER_MS_MAX, |it| {
            let waits = it.administrators.waiting.first();
            let waits = waits.map(|it| format!("an administrator waits: {it:?}"));
            let control = it.control.as_ref()?;
            let due = control.maintenance.poll_timeout();
            let files = control.status_files.poll_timeout(Moment(it.now));
            let written = due
                .or(files)
                .map(|at| format!("something is due at {at:?}"));
            waits.or(written)
        });
        let Some(control) = &self.control else {
            return;
        };
        let shown = control.status(&[]).unwrap().supervisor.maintenance;
        let message = shown.as_ref().and_then(|it| it.message.as_ref());
        let administrators = &self.administrators;
        assert!(
            administrators.may_be(message),
            "status shows {shown:?} after {administrators:?}"
        );
        let disk = &self.jobs.disk;
        assert_eq!(disk.maintenance, shown, "the disk has something else");
        let with_some = control.cx.plan.services.values();
        let with_some = with_some.filter(|it| it.enabled && !it.status_files.is_empty());
        let names: Vec<_> = with_some.map(|it| &it.name).collect();
        assert_eq!(names, disk.status_files.keys().collect::<Vec<_>>());
        for (name, said) in &disk.status_files {
            let told = said.maintenance.as_ref().map(|it| (&it.message, &it.since));
            let shown = shown.as_ref().map(|it| (&it.message, &it.since));
            assert_eq!(told, shown, "{name} says something else");
        }
    }
}
