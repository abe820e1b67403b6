//! Clients: each asks for one change and follows it to its last line, unless control dies.

use std::collections::BTreeSet;

use api::{
    Action, ActionRequest, ErrorReply, JobRequest, LeaseRequest, Outcome, Progress, ReleaseRequest,
    Unstored,
};
use tokio::sync::{mpsc, oneshot};

use crate::{
    ask::{Ask, Peer, ReconfigureOptions, Wish},
    control::{
        input::Input,
        simulation::{dice::Dice, plans},
    },
};

/// All clients.
#[derive(Debug)]
pub(super) struct Clients {
    dice: Dice,
    count: u64,
    pub(super) open: Vec<Client>,
    /// Changes that a client knows to have been taken: their outcome must be known in the end.
    pub(super) taken: Vec<String>,
    /// Stopped, acknowledged, and not started by anybody since: must not run.
    pub(super) held: BTreeSet<String>,
    /// Those of the held services whose hold was reported to be on the disk.
    pub(super) stored: BTreeSet<String>,
    /// Changes reported to be in the history, and those whose end was.
    pub(super) recorded: BTreeSet<String>,
    pub(super) ended: BTreeSet<String>,
    /// The highest number that each start so far may have lifted.
    lifts: Vec<u64>,
}

/// One client with its change.
#[derive(Debug)]
pub(super) struct Client {
    request: Option<ActionRequest>,
    pub(super) id: String,
    answer: Option<Answer>,
    lines: Option<Lines>,
    /// Number of starts when the change was first requested.
    lifts_before: usize,
}

/// A repeated request, with the number of starts at its first time.
pub(super) type Again = (ActionRequest, usize);

type Lines = mpsc::Receiver<Progress>;
pub(super) type Answer = oneshot::Receiver<Result<Lines, ErrorReply>>;

impl Clients {
    pub(super) const fn new(dice: Dice) -> Self {
        Self {
            dice,
            count: 0,
            open: Vec::new(),
            taken: Vec::new(),
            held: BTreeSet::new(),
            stored: BTreeSet::new(),
            recorded: BTreeSet::new(),
            ended: BTreeSet::new(),
            lifts: Vec::new(),
        }
    }

    fn id(&mut self) -> String {
        self.count += 1;
        format!("change-{}", self.count)
    }

    /// A request as clients make them, names that mean nothing among them.
    pub(super) fn draw(&mut self) -> ActionRequest {
        let action = match self.dice.below(10) {
            0 => Action::Start,
            1 => Action::Once,
            2..5 => Action::Stop,
            5..7 => Action::Restart,
            7..9 => Action::Reload,
            _ => Action::Signal(self.dice.pick(&["HUP", "TERM", "USR1", "KILL"]).to_owned()),
        };
        let services = match self.dice.below(12) {
            0 => Vec::new(),
            1 => vec!["s*".to_owned()],
            2 => vec!["nobody".to_owned()],
            _ => {
                let count = self.dice.between(1, 2);
                let names = (0..count).map(|_| format!("s{}", self.dice.below(7)));
                names.collect()
            }
        };
        self.request(action, services)
    }

    pub(super) fn request(&mut self, action: Action, services: Vec<String>) -> ActionRequest {
        ActionRequest {
            id: self.id(),
            action,
            services,
            except: Vec::new(),
            wait: !self.dice.percent(10),
        }
    }

    /// The question and where its answer comes. What a start may lift counts as lifted at once.
    pub(super) fn ask(&mut self, request: &ActionRequest) -> (Input, Answer) {
        if matches!(
            request.action,
            Action::Start | Action::Once | Action::Restart
        ) {
            self.lift(&request.services);
        }
        let (reply, answer) = oneshot::channel();
        let ask = Ask::Act {
            request: request.clone(),
            peer: peer(),
            reply,
        };
        (Input::Ask(ask), answer)
    }

    pub(super) fn ask_reconfigure(&mut self) -> (String, Input, Answer) {
        let (reply, answer) = oneshot::channel();
        let id = self.id();
        let ask = Ask::Reconfigure {
            id: id.clone(),
            wanted: ReconfigureOptions {
                dry_run: self.dice.percent(20),
                rollback: self.dice.percent(20),
            },
            peer: peer(),
            reply,
        };
        (id, Input::Ask(ask), answer)
    }

    /// It lifts the hold of the job itself.
    pub(super) fn ask_job(&mut self) -> (String, Input, Answer) {
        let service = format!("s{}", self.dice.pick(&plans::JOBS));
        self.lift(std::slice::from_ref(&service));
        let (reply, answer) = oneshot::channel();
        let id = self.id();
        let request = JobRequest {
            id: id.clone(),
            arguments: serde_json::Value::Null,
            wait: !self.dice.percent(10),
        };
        let ask = Ask::Work {
            id: id.clone(),
            wish: Wish::Work(service, request),
            peer: peer(),
            reply,
        };
        (id, Input::Ask(ask), answer)
    }

    /// A request of this job for a lease.
    pub(super) fn ask_lease(&mut self, job: String) -> (String, Input, Answer) {
        let (reply, answer) = oneshot::channel();
        let id = self.id();
        let wish = if self.dice.percent(70) {
            let count = self.dice.between(1, 2);
            let services = (0..count).map(|_| format!("s{}", self.dice.below(7)));
            Wish::Lease(LeaseRequest {
                id: None,
                job,
                services: services.collect(),
            })
        } else {
            Wish::Release(ReleaseRequest { id: None, job })
        };
        let ask = Ask::Work {
            id: id.clone(),
            wish,
            peer: peer(),
            reply,
        };
        (id, Input::Ask(ask), answer)
    }

    /// Notes that a start lifts holds, also of requirements, which always have lower numbers.
    fn lift(&mut self, names: &[String]) {
        let all = names.is_empty() || names.iter().any(|name| name.contains('*'));
        let numbers = names.iter().filter(|name| name.as_str() != "nobody");
        let top = if all {
            u64::MAX
        } else {
            match numbers.map(|name| plans::number(name)).max() {
                Some(top) => top,
                None => return,
            }
        };
        self.held.retain(|name| plans::number(name) > top);
        self.stored.retain(|name| plans::number(name) > top);
        self.lifts.push(top);
    }

    /// The number of starts so far.
    pub(super) const fn lifts(&self) -> usize {
        self.lifts.len()
    }

    /// A client waits for its answer, unless it goes away.
    pub(super) fn wait(
        &mut self,
        id: String,
        request: Option<ActionRequest>,
        answer: Answer,
        lifts_before: usize,
    ) {
        if self.dice.percent(90) {
            self.open.push(Client {
                request,
                id,
                answer: Some(answer),
                lines: None,
                lifts_before,
            });
        }
    }

    /// Reads all there is to read.
    pub(super) fn read(&mut self) {
        let mut open = std::mem::take(&mut self.open);
        open.retain_mut(|client| self.follow(client));
        self.open = open;
    }

    /// Reads a client's stream. False: the stream has ended.
    fn follow(&mut self, client: &mut Client) -> bool {
        if let Some(answer) = &mut client.answer {
            match answer.try_recv() {
                Ok(Ok(lines)) => client.lines = Some(lines),
                Ok(Err(_)) => return false,
                Err(oneshot::error::TryRecvError::Empty) => return true,
                Err(error) => panic!("{} is not answered: {error}", client.id),
            }
            client.answer = None;
        }
        let Some(lines) = &mut client.lines else {
            return false;
        };
        loop {
            match lines.try_recv() {
                Ok(Progress::Accepted {
                    services, unstored, ..
                }) => {
                    let stop = client.request.as_ref();
                    let stop = stop.is_some_and(|it| it.action == Action::Stop);
                    let since = stop.then_some(client.lifts_before);
                    self.accepted(&client.id, since, services, &unstored);
                }
                Ok(Progress::State { .. } | Progress::Job { .. } | Progress::Step { .. }) => {}
                Ok(Progress::Done(outcome)) => {
                    judge_way_back(&outcome);
                    let of = outcome.job.as_ref().map(|it| &it.id);
                    assert!(of.is_none_or(|it| *it == outcome.id), "{outcome:?}");
                    if outcome.finished && outcome.unstored.history.is_none() {
                        self.ended.insert(client.id.clone());
                    }
                    return false;
                }
                Ok(Progress::Refused(_) | Progress::Preview(_)) => return false,
                Err(mpsc::error::TryRecvError::Empty) => return true,
                Err(mpsc::error::TryRecvError::Disconnected) => {
                    panic!("the stream of {} ended without a last line", client.id)
                }
            }
        }
    }

    /// `stop`: the change was a stop; with the number of starts before it.
    fn accepted(
        &mut self,
        id: &str,
        stop: Option<usize>,
        services: Vec<String>,
        unstored: &Unstored,
    ) {
        self.taken.push(id.to_owned());
        if unstored.history.is_none() {
            self.recorded.insert(id.to_owned());
        }
        if let Some(lifts_before) = stop {
            let since = self.lifts[lifts_before..].iter().copied().max();
            let held = services.into_iter();
            let held = held.filter(|it| Some(plans::number(it)) > since);
            let held: Vec<String> = held.collect();
            if unstored.holds.is_none() {
                self.stored.extend(held.iter().cloned());
            }
            self.held.extend(held);
        }
    }

    /// Control has died. Some clients ask again, with the same id.
    pub(super) fn cut(&mut self) -> Vec<Again> {
        self.read();
        let open = std::mem::take(&mut self.open);
        let again = open
            .into_iter()
            .filter_map(|client| Some((client.request?, client.lifts_before)));
        again.filter(|_| self.dice.percent(40)).collect()
    }

    /// Judges the outcome of every change that a client saw accepted.
    pub(super) fn judge_outcomes(&self, mut ask: impl FnMut(Ask)) {
        for id in &self.taken {
            let (reply, mut answer) = oneshot::channel();
            ask(Ask::Outcome {
                id: id.clone(),
                reply,
            });
            let outcome: Option<Outcome> = answer.try_recv().unwrap();
            let finished = outcome.as_ref().is_none_or(|it| it.finished);
            assert!(finished, "{id} never comes to its end: {outcome:?}");
        }
    }
}

/// An operation that went back has failed, and offers no further rollback.
fn judge_way_back(outcome: &Outcome) {
    let Some(back) = outcome.gone_back.as_ref().filter(|_| outcome.finished) else {
        return;
    };
    let has =
        |results: &[api::ActionResult], verdict| results.iter().any(|it| it.verdict == verdict);
    assert!(has(&outcome.results, api::Verdict::Failed), "{outcome:?}");
    assert!(!has(&back.results, api::Verdict::Pending), "{outcome:?}");
    let in_place = back.refused.is_none();
    assert!(!in_place || outcome.rollback.is_none(), "{outcome:?}");
}

pub(super) fn peer() -> Peer {
    Peer {
        uid: 0,
        name: "root".to_owned(),
    }
}
