//! Answers what clients ask.

use std::{collections::BTreeSet, path::PathBuf};

use api::{
    Action, ActionRequest, CheckReply, DiffReply, ErrorKind, ErrorReply, PlanReply, ServiceEvent,
};
use engine::{Accepted, Command, Hold, ServiceId};
use tokio::sync::{mpsc, oneshot};

use crate::{
    ask::{Ask, EventFilter, Exits, Peer},
    control::{
        Control, Job,
        api::{
            answers::{Answer, Stream},
            event_stream,
            selection::Selection,
        },
        operations::{Kind, audit, targets},
        text,
    },
    service_query::matching,
};

type Shown = Result<PlanReply, ErrorReply>;
type Difference = Result<DiffReply, ErrorReply>;

/// A change that can be done at once.
#[derive(Debug)]
pub(in crate::control) struct Change<'a> {
    /// Made by the client.
    pub(in crate::control) id: &'a str,
    pub(in crate::control) kind: Kind,
    pub(in crate::control) command: Command,
    /// As the history names it.
    pub(in crate::control) what: &'a str,
    /// Services that it is about.
    pub(in crate::control) names: Vec<String>,
    /// Sentences on those that are left alone.
    pub(in crate::control) left_alone: Vec<String>,
    pub(in crate::control) peer: &'a Peer,
    /// The client stays until its end.
    pub(in crate::control) wait: bool,
}

impl Control {
    pub(in crate::control) fn on_ask(&mut self, ask: Ask) {
        // A client that has gone away no longer wants its answer.
        match ask {
            Ask::Status { names, reply } => drop(reply.send(self.status(&names))),
            Ask::Act {
                request,
                peer,
                reply,
            } => {
                let stream = self.act(&request, &peer);
                self.cx.answer(Answer::Taken(reply, stream));
            }
            Ask::Reconfigure {
                id,
                wanted,
                peer,
                reply,
            } => {
                let stream = self.ask_reconfigure(&id, wanted, &peer);
                self.cx.answer(Answer::Taken(reply, stream));
            }
            Ask::Reexec { id, peer, reply } => {
                let stream = self.ask_reexec(&id, &peer);
                self.cx.answer(Answer::Taken(reply, stream));
            }
            Ask::Work {
                id,
                wish,
                peer,
                reply,
            } => {
                let stream = self.ask_work(&id, wish, &peer);
                self.cx.answer(Answer::Taken(reply, stream));
            }
            Ask::Outcome { id, reply } => {
                let outcome = self.outcome_of(&id);
                self.cx.answer(Answer::Outcome(reply, outcome));
            }
            Ask::Maintenance { reply } => self.ask_maintenance(reply),
            Ask::SetMaintenance {
                id,
                wanted,
                peer,
                reply,
            } => self.set_maintenance(&id, wanted, &peer, reply),
            Ask::Events {
                backlog,
                follow,
                filter,
                reply,
            } => drop(reply.send(self.events(backlog, follow, &filter))),
            Ask::History { names, reply } => drop(reply.send(self.known_history(&names))),
            Ask::Exits { names, reply } => drop(reply.send(self.known_exits(&names))),
            Ask::Why { name, reply } => drop(reply.send(self.why(&name))),
            Ask::Scrape { reply } => self.scrape(reply),
            Ask::Check { reply } => self.check_files(reply),
            Ask::Plan { names, reply } => self.show_plan(&names, reply),
            Ask::Tools { reply } => drop(reply.send(self.cx.plan.tools())),
            Ask::Diff { names, reply } => self.show_difference(names, reply),
            Ask::LogPlaces { names, reply } => drop(reply.send(self.log_places(&names))),
            Ask::Departures { reply } => drop(reply.send(self.departures.subscribe())),
            Ask::RotateLogs {
                id,
                names,
                peer,
                reply,
            } => {
                let rotated = self.rotate_logs(&id, &names, &peer);
                self.cx.answer(Answer::Rotated(reply, rotated));
            }
        }
    }

    fn known_history(&self, names: &[String]) -> (PathBuf, Option<ErrorReply>) {
        let unknown = matching(names, &self.cx.plan.services).err();
        (self.cx.plan.paths.state_dir.clone(), unknown)
    }

    fn check_files(&mut self, reply: oneshot::Sender<CheckReply>) {
        let plan = self.cx.plan.clone();
        self.cx.job(Job::Check { plan, reply });
    }

    fn show_difference(&mut self, names: Vec<String>, reply: oneshot::Sender<Difference>) {
        let plan = self.cx.plan.clone();
        self.cx.job(Job::Diff { plan, names, reply });
    }

    fn known_exits(&self, names: &[String]) -> Exits {
        Exits {
            state_dir: self.cx.plan.paths.state_dir.clone(),
            unwritten: self.exits.unwritten(),
            unknown: matching(names, &self.cx.plan.services).err(),
        }
    }

    fn show_plan(&mut self, names: &[String], reply: oneshot::Sender<Shown>) {
        match matching(names, &self.cx.plan.services) {
            Ok(names) => {
                let plan = self.cx.plan.clone();
                self.cx.job(Job::ShowPlan { plan, names, reply });
            }
            Err(error) => drop(reply.send(Err(error))),
        }
    }

    fn events(
        &mut self,
        backlog: usize,
        follow: bool,
        filter: &EventFilter,
    ) -> Result<mpsc::Receiver<ServiceEvent>, ErrorReply> {
        let filter = event_stream::Filter::new(filter);
        // One that has left the plan may still have a past here.
        if !self.cx.events.knows(&filter) {
            matching(&filter.names, &self.cx.plan.services)?;
        }
        Ok(self.cx.events.subscribe(backlog, follow, filter))
    }

    fn act(&mut self, request: &ActionRequest, peer: &Peer) -> Stream {
        if let Some(known) = self.operations.follow(&request.id) {
            return Ok(known);
        }
        let Selection { names, left_alone } = self.select(request)?;
        let ids: BTreeSet<ServiceId> = names
            .iter()
            .map(|name| self.cx.names.intern(name))
            .collect();
        let (kind, command) = self.to_command(&request.action, ids, peer)?;
        self.change(Change {
            id: &request.id,
            kind,
            command,
            what: &verb(&request.action),
            names,
            left_alone,
            peer,
            wait: request.wait,
        })
    }

    /// Does what somebody has asked for, and records that.
    pub(in crate::control) fn change(&mut self, change: Change<'_>) -> Stream {
        let Change {
            id,
            kind,
            command,
            what,
            names,
            left_alone,
            peer,
            wait,
        } = change;
        let ids: BTreeSet<ServiceId> = names
            .iter()
            .map(|name| self.cx.names.intern(name))
            .collect();
        let enabled = self.enabled();
        let enabled = enabled.iter().filter_map(|name| self.cx.names.id(name));
        let bystanders = targets(&self.cx, enabled);
        let mut targets = targets(&self.cx, ids.iter().copied());
        let asked = audit::asked(self.cx.now.unix_ms, id, peer, what, &names);
        self.operations
            .note_in_flight(&mut self.cx, kind, ids.iter().copied(), &asked);
        if let Command::Stop(_, hold) = &command {
            self.work.stop_pending(&mut self.cx, &names, hold);
        }
        let accepted = match self.command(command) {
            Ok(accepted) => accepted,
            Err(refusal) => {
                let error = self.cx.refused(&refusal);
                self.audit.add(asked.clone());
                self.audit
                    .refused(&mut self.cx, id, Some(asked), &error.message);
                return Err(error);
            }
        };
        let stream = self.operations.begin(
            &mut self.cx,
            &self.holds,
            &mut self.audit,
            kind,
            wait,
            asked,
        );
        if kind == Kind::Restart {
            // What restarts or runs again because of the targets has to come back as well.
            let also = accepted.dependents.union(&accepted.reruns);
            let also = also.filter_map(|id| Some((*id, bystanders.get(id)?.clone())));
            targets.extend(also);
        }
        for (id, target) in &mut targets {
            let untouched = !accepted.touches(*id);
            target.needless_if(untouched && !matches!(kind, Kind::Signal(_)));
        }
        let notes = [left_alone, self.notes(&accepted, kind)].concat();
        for name in &names {
            self.cx.publish(name, "change", what, Some(&peer.name));
        }
        tracing::info!(by = peer.name, services = names.join(" "), "{what}");
        let lifted = accepted.lifted.iter().map(|(id, _)| *id);
        let holds = lifted.chain(ids).collect();
        self.operations.accept(id, targets, holds, notes);
        Ok(stream)
    }

    pub(in crate::control) fn enabled(&self) -> Vec<String> {
        let services = self
            .cx
            .plan
            .services
            .values()
            .filter(|service| service.enabled);
        services.map(|service| service.name.clone()).collect()
    }

    fn to_command(
        &self,
        action: &Action,
        ids: BTreeSet<ServiceId>,
        peer: &Peer,
    ) -> Result<(Kind, Command), ErrorReply> {
        Ok(match action {
            Action::Start => (Kind::Start, Command::Start(ids)),
            Action::Once => (Kind::Start, Command::Once(ids)),
            Action::Stop => {
                let hold = Hold {
                    by: peer.name.clone(),
                    at_unix_ms: self.cx.now.unix_ms,
                };
                (Kind::Stop, Command::Stop(ids, hold))
            }
            Action::Restart => (Kind::Restart, Command::Restart(ids)),
            Action::Reload => (Kind::Reload, Command::Reload(ids)),
            Action::Signal(name) => {
                let unknown = || usage(&format!("there is no signal '{name}'"));
                let signal = ::text::signal::number(name).ok_or_else(unknown)?;
                (Kind::Signal(signal), Command::Signal(ids, signal))
            }
        })
    }

    /// What the client should be told besides the result.
    pub(in crate::control) fn notes(&self, accepted: &Accepted, kind: Kind) -> Vec<String> {
        let name = |id: &ServiceId| self.cx.names.name(*id).unwrap_or("?").to_owned();
        let lifted = accepted.lifted.iter().map(|(id, hold)| {
            let at = text::time(hold.at_unix_ms);
            format!(
                "{} had been stopped by {} at {at}; that is lifted",
                name(id),
                hold.by
            )
        });
        let dependents = accepted.dependents.iter().map(|id| match kind {
            Kind::Stop | Kind::Lease => format!(
                "{} stops too and comes back when what it requires does",
                name(id)
            ),
            _ => format!("{} restarts too: it requires what restarts", name(id)),
        });
        let reruns = accepted.reruns.iter().map(|id| match kind {
            Kind::Stop | Kind::Lease => {
                format!("{} runs again when what it requires is back", name(id))
            }
            _ => format!("{} runs again: it requires what restarts", name(id)),
        });
        lifted.chain(dependents).chain(reruns).collect()
    }
}

pub(in crate::control) fn usage(message: &str) -> ErrorReply {
    ErrorReply {
        kind: ErrorKind::Usage,
        message: message.to_owned(),
        hint: None,
    }
}

fn verb(action: &Action) -> String {
    match action {
        Action::Start => "start".to_owned(),
        Action::Once => "once".to_owned(),
        Action::Stop => "stop".to_owned(),
        Action::Restart => "restart".to_owned(),
        Action::Reload => "reload".to_owned(),
        Action::Signal(name) => format!("signal {name}"),
    }
}
