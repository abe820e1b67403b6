//! The content of `ctl why`: a service, what the service waits for or lacks, and so on down to the
//! first causes, each with its events, the meaning of its exit and hints. Answered from memory; the
//! server adds the log lines of first causes.

use std::collections::BTreeSet;

use api::{ErrorReply, EventKind, Hint, ReloadOutcome, ServiceState, ServiceStatus, Why, WhyStep};
use engine::{Exit, Failure, State, View};
use nix::sys::signal::Signal;

use crate::{
    control::{
        api::{reason::Reason, views::Views},
        runs::killed::Killed,
        text,
    },
    service_query::unknown_service,
};

/// Hint for a daemon that ends by itself, such as a program that continues in a background process:
/// the end of the main process ends that process too.
const FOREGROUND: &str = "if it goes into the background by itself, keep it in the foreground: programs have an option or a setting \
     for that, such as --foreground, --nodaemon or `daemonize no`. One that has done its work when it ends: type = \"oneshot\"";
/// Most events shown of a service.
const HISTORY_EVENTS: usize = 8;
/// Most links in a chain of causes, enough for a reader.
const CHAIN_LINKS_MAX: usize = 32;

impl Views<'_> {
    pub(in crate::control) fn why(&self, name: &str) -> Result<Why, ErrorReply> {
        if !self.cx.plan.services.contains_key(name) {
            return Err(unknown_service(name, &self.cx.plan.services));
        }
        let mut chain: Vec<WhyStep> = Vec::new();
        let mut seen: BTreeSet<String> = BTreeSet::new();
        let mut next = vec![(0, name.to_owned())];
        while let Some((depth, name)) = next.pop() {
            let Some(service) = self.cx.plan.services.get(&name) else {
                continue;
            };
            if chain.len() == CHAIN_LINKS_MAX || !seen.insert(name) {
                continue;
            }
            let (status, reason) = self.service_and_reason(service);
            let below = self.below(service, &status);
            let root = below.is_empty() && !(is_fine(&status) && has_reloaded(&status));
            next.extend(below.into_iter().rev().map(|name| (depth + 1, name)));
            chain.push(self.why_step(service, (status, &reason), depth, root));
        }
        Ok(Why { chain })
    }

    /// The services that a service waits for; or, if the service is in trouble for another reason,
    /// its needs that are in trouble as well.
    fn below(&self, service: &plan::Service, status: &ServiceStatus) -> Vec<String> {
        if !status.waiting_on.is_empty() {
            return status.waiting_on.clone();
        }
        if is_fine(status) || status.held.is_some() || !status.enabled {
            return Vec::new();
        }
        if status.ready && self.has_bad_certificate(&service.name) {
            let renewed = service.certificates.iter();
            let renewed = renewed.filter_map(|it| it.renewed_by.as_ref());
            return renewed.filter(|name| self.lacks(name)).cloned().collect();
        }
        needs(service)
            .filter(|name| self.lacks(name))
            .cloned()
            .collect()
    }

    /// Whether a service is in trouble that may affect its dependents.
    fn lacks(&self, name: &str) -> bool {
        let Some(service) = self.cx.plan.services.get(name).filter(|it| it.enabled) else {
            return false;
        };
        let status = self.service(service);
        // Bad certificates concern the service's clients.
        let served = status.ready && self.has_bad_certificate(name);
        !served && !is_fine(&status)
    }

    fn has_bad_certificate(&self, name: &str) -> bool {
        let id = self.cx.names.id(name);
        id.is_some_and(|id| self.file_watch.certificate_trouble(id).is_some())
    }

    fn why_step(
        &self,
        service: &plan::Service,
        (status, reason): (ServiceStatus, &Reason),
        depth: u32,
        root: bool,
    ) -> WhyStep {
        let id = self.cx.names.id(&service.name);
        let view = id.and_then(|id| self.cx.engine.view(id));
        // The hint about an address in use stands below the sentence.
        let bare = reason.without_hints();
        let bare = bare.filter(Reason::has_address_in_use);
        WhyStep {
            depth,
            root,
            sentence: Self::sentence(&status, bare.as_ref().unwrap_or(reason), view.as_ref()),
            notes: self.notes_on(service, &status, view.as_ref()),
            hints: if root && status.ready && self.has_bad_certificate(&service.name) {
                vec![Hint {
                    command: None,
                    text: "mend the file that is named: it is loaded as soon as it has changed"
                        .to_owned(),
                }]
            } else if root {
                hints(service, (&status, reason), view.as_ref())
            } else {
                Vec::new()
            },
            history: self.history(&service.name),
            service: status,
            log: Vec::new(),
            exits: Vec::new(),
            restart: None,
        }
    }

    fn history(&self, name: &str) -> Vec<String> {
        let events = self.cx.events.history(name, HISTORY_EVENTS).into_iter();
        let lines = events.map(|event| {
            let what = match (event.kind, event.state) {
                (EventKind::State, Some(state)) => state.as_str(),
                (kind, _) => kind.as_str(),
            };
            let by = event.by.as_ref().map(|by| format!(" by {by}"));
            let detail = Some(format!(": {}", event.detail)).filter(|_| !event.detail.is_empty());
            let rest: String = [by, detail].into_iter().flatten().collect();
            (event.at.clone(), format!("{what}{rest}"))
        });
        let mut lines: Vec<_> = lines.collect();
        // A state event also marks a change of readiness or pid alone, which says nothing here.
        lines.dedup_by(|later, earlier| later.1 == earlier.1);
        let lines = lines.into_iter().map(|(at, what)| format!("{at} {what}"));
        lines.collect()
    }

    /// One sentence on a service: its state, since when, and why.
    fn sentence(status: &ServiceStatus, reason: &Reason, view: Option<&View>) -> String {
        let name = &status.name;
        let span = ::text::seconds(status.uptime_seconds.unwrap_or(0));
        if let (Some(held), ServiceState::Stopped) = (&status.held, status.state) {
            let (by, at) = (&held.by, &held.at);
            return format!("{name} was stopped by {by} {span} ago, at {at}");
        }
        if !status.waiting_on.is_empty() {
            let on = status.waiting_on.join(", ");
            return format!("{name} has been waiting for {on} for {span}");
        }
        let since = text::since(status.state, status.uptime_seconds);
        let what = match status.state {
            ServiceState::Running | ServiceState::Reloading if status.healthy == Some(false) => {
                format!("{since}, but is not healthy")
            }
            ServiceState::Running if is_fine(status) => format!("{since} and is ready"),
            ServiceState::Stopped if status.enabled => format!("{since}; nothing wants it to run"),
            ServiceState::Disabled => "is disabled on this host".to_owned(),
            _ => since,
        };
        let last = view.and_then(|view| view.last_exit);
        let reason = match view.map(|view| &view.state) {
            Some(State::Failed {
                reason: Failure::StartLimit,
            }) => {
                let last =
                    last.map(|(exit, _)| format!(", the last time with {}", text::exit(exit)));
                format!("it ended too often{}", last.unwrap_or_default())
            }
            _ => reason.unlabelled(),
        };
        let reason = Some(reason).filter(|it| !it.is_empty());
        let reason = reason.map(|reason| format!(": {reason}"));
        let restarts = match status.restarts {
            0 => None,
            1 => Some("; restarted automatically once".to_owned()),
            many => Some(format!("; restarted automatically {many} times")),
        };
        let rest: String = [reason, restarts].into_iter().flatten().collect();
        format!("{name} {what}{rest}")
    }

    fn notes_on(
        &self,
        service: &plan::Service,
        status: &ServiceStatus,
        view: Option<&View>,
    ) -> Vec<String> {
        let mut notes = Vec::new();
        if let Some(View {
            state:
                State::Backoff { .. }
                | State::Failed {
                    reason: Failure::Exited(_) | Failure::StartLimit,
                },
            last_exit: Some((exit, _)),
            ..
        }) = view
            && let killed = self.cx.names.id(&service.name)
            && let killed = killed.and_then(|id| self.shutdown.was_killed(id))
            && let Some(meaning) = meaning(*exit, service.oneshot, killed)
        {
            notes.push(format!("{}: {meaning}", text::exit(*exit)));
        }
        if let Some(text) = status.status_text.as_ref().filter(|_| !status.ready) {
            notes.push(format!("it says of itself: {text}"));
        }
        notes.extend(service.disabled_needs.iter().map(|name| {
            format!("it needs {name}, which is disabled on this host and so not waited for")
        }));
        if self.cx.is_stopping() {
            notes.push("the supervisor is stopping everything".to_owned());
        }
        notes
    }
}

/// Whether a service is up, or as somebody wants it, and its health probe does not fail.
fn is_fine(status: &ServiceStatus) -> bool {
    status.ready && status.healthy != Some(false)
}

/// Whether the last reload of the service has not failed.
fn has_reloaded(status: &ServiceStatus) -> bool {
    let outcome = status.last_reload.as_ref().map(|it| it.outcome);
    outcome.is_none_or(|it| it == ReloadOutcome::Done)
}

/// Services that a service requires, is bound to or wants.
fn needs(service: &plan::Service) -> impl Iterator<Item = &String> {
    let all: BTreeSet<&String> = service
        .requires
        .iter()
        .chain(&service.binds_to)
        .chain(&service.wants)
        .collect();
    all.into_iter()
}

/// The meaning of an exit in words; none: the exit explains itself.
fn meaning(exit: Exit, oneshot: bool, ours: Option<Killed>) -> Option<String> {
    const SHELL_SIGNAL: i32 = 128;
    Some(match exit {
        Exit::Code(0) if !oneshot => "it ended by itself and sees no error in that".to_owned(),
        Exit::Code(126) => "as shells put it: a command could not be executed".to_owned(),
        Exit::Code(127) => "as shells put it: a command was not found".to_owned(),
        Exit::Code(code) => {
            let signal = ::text::signal::name(code - SHELL_SIGNAL)?;
            format!("as shells put it: something that it ran was killed by {signal}")
        }
        Exit::Signal(number) if number == Signal::SIGKILL as i32 && ours.is_some() => {
            let why = ours.map(text::killed)?;
            format!("killed outright by the supervisor: {why}")
        }
        Exit::Signal(number) => match ::text::signal::name(number)? {
            "KILL" => {
                "killed outright: by somebody, or by the kernel, which then names it in its log (see \
                       dmesg)"
            }
            "SEGV" | "BUS" | "ILL" | "FPE" => "it crashed: a fault in the program or a library",
            "ABRT" => "it gave up by itself: a failed check in the program",
            "SYS" => "it made a system call that a filter forbids",
            "XCPU" => "it used more CPU time than its limit allows",
            "XFSZ" => "it wrote a larger file than its limit allows",
            "PIPE" => "it wrote where nobody reads any more",
            "TERM" | "INT" | "HUP" | "QUIT" => "it was asked to end",
            _ => return None,
        }
        .to_owned(),
    })
}

/// Whether the service ends at once, with exit code 0, again and again.
fn ends_by_itself(service: &plan::Service, view: &View) -> bool {
    let well = matches!(view.last_exit, Some((Exit::Code(0), _)));
    well && !service.oneshot && view.detail.is_empty()
}

fn hint(verb: &str, name: &str, text: &str) -> Hint {
    Hint {
        command: Some(format!("ctl {verb} {name}")),
        text: text.to_owned(),
    }
}

/// Hints for a service that is up and in trouble.
fn while_up(status: &ServiceStatus) -> Vec<Hint> {
    let run = |verb: &str, text: &str| hint(verb, &status.name, text);
    if has_reloaded(status) {
        return vec![run("restart", "if it does not recover by itself")];
    }
    vec![
        run("reload", "tries again, once that is mended"),
        run("restart", "if it cannot take that by a reload"),
    ]
}

/// Hints for a first cause, best first.
fn hints(
    service: &plan::Service,
    (status, reason): (&ServiceStatus, &Reason),
    view: Option<&View>,
) -> Vec<Hint> {
    let run = |verb: &str, text: &str| hint(verb, &service.name, text);
    let say = |text: &str| Hint {
        command: None,
        text: text.to_owned(),
    };
    let logs = run("logs", "shows more of what it said");
    if !status.enabled {
        let how = Some(service.enable_hint.as_str()).filter(|hint| !hint.is_empty());
        let reconfigure = Hint {
            command: Some("ctl reconfigure".to_owned()),
            text: "after that".to_owned(),
        };
        return how.map(say).into_iter().chain([reconfigure]).collect();
    }
    if status.held.is_some() {
        let text = "lifts the stop; what waits for it comes up by itself";
        return vec![run("start", text)];
    }
    if reason.has_address_in_use() {
        let what = match service.listens_hint.as_str() {
            "" => "end what holds the address, or give one of the two another",
            hint => hint,
        };
        return vec![say(what), run("restart", "tries again at once")];
    }
    let Some(view) = view else {
        return vec![run("start", "starts it")];
    };
    match &view.state {
        State::Stopped => vec![run("start", "starts it")],
        State::Failed { reason } => match reason {
            Failure::Requirement(_) => {
                vec![say("mend what it requires, and ask for its work again")]
            }
            Failure::Spawn(_) => vec![run("start", "tries again, once that is mended")],
            Failure::Validator => vec![
                say("mend what its validator names"),
                run("start", "tries again"),
            ],
            Failure::ReadyTimeout => vec![
                logs,
                say("if it only needs longer: raise `timeout` in the [ready] of its service file"),
                run("start", "tries again"),
            ],
            Failure::Exited(_) | Failure::StartLimit | Failure::Watchdog => {
                vec![logs, run("start", "tries again")]
            }
            Failure::Leftovers { .. } => vec![
                say(
                    "end what is left, or mend what keeps it; its service goes on by itself after that",
                ),
                run("start", "tries again"),
            ],
        },
        State::Backoff { .. } => {
            let stays = ends_by_itself(service, view).then(|| say(FOREGROUND));
            let again = run("restart", "tries again at once");
            stays.into_iter().chain([logs, again]).collect()
        }
        State::Validating { .. } | State::Spawning { .. } | State::Starting { .. } => {
            vec![run("logs --follow", "shows what it does meanwhile")]
        }
        State::Stopping { .. } => vec![run("kill", "ends it at once, unsaved work is lost")],
        State::Running { .. } | State::Reloading { .. } => {
            vec![logs].into_iter().chain(while_up(status)).collect()
        }
        State::Waiting { .. } | State::Completed => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
