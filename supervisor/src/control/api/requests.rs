//! Requests of clients about services: a request becomes a command for the engine, and an operation
//! with a stream of progress.

use std::collections::BTreeSet;

use api::{Action, ActionRequest, ErrorKind, ErrorReply, EventKind};
use engine::{Accepted, Command, Hold, ServiceId};

use crate::{
    ask::Peer,
    control::{
        Control,
        api::{answers::Stream, selection::Selection},
        operations::{Kind, audit, targets},
        text,
    },
};

/// A change that can begin at once.
#[derive(Debug)]
pub(in crate::control) struct Change<'a> {
    /// The id that the client made.
    pub(in crate::control) id: &'a str,
    pub(in crate::control) kind: Kind,
    pub(in crate::control) command: Command,
    /// The name of the operation in the history.
    pub(in crate::control) what: &'a str,
    /// Services that the change is about.
    pub(in crate::control) names: Vec<String>,
    /// Sentences on services that are left alone.
    pub(in crate::control) left_alone: Vec<String>,
    pub(in crate::control) peer: &'a Peer,
    /// Whether the client waits for the outcome.
    pub(in crate::control) wait: bool,
}

impl Control {
    /// Handles a client's request for an action on services.
    pub(in crate::control) fn act(&mut self, request: &ActionRequest, peer: &Peer) -> Stream {
        if let Some(known) = self.operations.follow(&request.id) {
            return Ok(known);
        }
        let Selection { names, left_alone } = self.cx.select(request)?;
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

    /// Does a requested change, and records the change in the history.
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
        let enabled = self.cx.enabled();
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
            // Services that restart or run again because of the targets have to come back as well.
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
            self.cx
                .publish(name, EventKind::Change, what, Some(&peer.name));
        }
        tracing::info!(by = peer.name, services = names.join(" "), "{what}");
        let lifted = accepted.lifted.iter().map(|(id, _)| *id);
        let holds = lifted.chain(ids).collect();
        self.operations.accept(id, targets, holds, notes);
        Ok(stream)
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

    /// Notes for the client besides the result.
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
