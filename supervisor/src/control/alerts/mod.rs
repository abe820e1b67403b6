//! Tells people when something goes wrong, and when it is well again.
//!
//! After every input the services that it touched are looked at; [`trouble`] says what of that is
//! news, [`outbox`] what may go now. A delivery is a helper of the keeper (`deliver.rs`), so the
//! control thread waits for no network. Without targets only flapping is noticed, for status and
//! events. Limits: see the two parts; a service without trouble costs nothing.

mod outbox;
#[cfg(test)]
mod tests;
mod trouble;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use engine::{Moment, RunId, ServiceId, State, StopCause, View};
use keeper::message::{Request, Spawn};
use plan::{NotifyBy, NotifyOn, NotifyTarget};

use self::{
    outbox::Outbox,
    trouble::{Look, Tell, Trouble},
};
use crate::{
    control::{Control, Purpose, Run, record_keys::TROUBLE, text},
    deliver::{self, Message},
    programs,
};

/// Stands for a service where a delivery's run needs one; no service can have this name.
const OWNER: &str = "@notify";
/// A command may run this long.
const COMMAND_TIMEOUT_MS: u64 = 10_000;
/// All attempts of a delivery and the pauses between them; it ends by itself before.
const DELIVERY_TIMEOUT_MS: u64 = 120_000;
/// Whoever wants one of these is told of flapping.
const FLAPPING_CONCERNS: [NotifyOn; 3] =
    [NotifyOn::Restarted, NotifyOn::Unhealthy, NotifyOn::Failed];
/// Longest part of a message that a service or probe has said, in characters.
const DETAIL_CHARACTERS_MAX: usize = 1000;
/// Variables of our own that a delivery needs to find its way.
const PASSED_ON: [&str; 11] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "MATTERVISOR_SENDMAIL",
];

/// What people are to be told who want to know it.
#[derive(Debug)]
pub(super) struct Alert {
    /// Whom it is about; empty: the machine.
    pub(super) service: String,
    pub(super) cause: NotifyOn,
    pub(super) text: String,
}

/// Troubles, and what is on its way about them.
#[derive(Debug, Default)]
pub(super) struct Alerts {
    troubles: BTreeMap<ServiceId, Trouble>,
    /// When each is to be looked at without an event.
    due: BTreeSet<(Moment, ServiceId)>,
    outbox: Outbox,
}

impl Alerts {
    pub(super) fn poll_timeout(&self) -> Option<Moment> {
        self.due.first().map(|(at, _)| *at)
    }

    fn set_due(&mut self, id: ServiceId, before: Option<Moment>, after: Option<Moment>) {
        if before == after {
            return;
        }
        if let Some(before) = before {
            self.due.remove(&(before, id));
        }
        if let Some(after) = after {
            self.due.insert((after, id));
        }
    }
}

impl Control {
    /// What an earlier control process knew, and has told, of the services' troubles.
    pub(super) fn restore_troubles(&mut self, records: &BTreeMap<String, String>) {
        let ids: Vec<_> = self
            .cx
            .names
            .ids()
            .iter()
            .map(|(n, id)| (n.clone(), *id))
            .collect();
        for (name, id) in ids {
            let Some(view) = self.cx.engine.view(id) else {
                continue;
            };
            let record = records.get(&format!("{TROUBLE}{name}"));
            if record.is_none() && view.restarts == 0 {
                continue;
            }
            // What cannot be read is told once more.
            let trouble = record.and_then(|it| serde_json::from_str::<Trouble>(it).ok());
            let mut trouble = trouble.unwrap_or_default();
            trouble.known(&self.look(&name, &view));
            self.alerts.set_due(id, None, trouble.due());
            self.alerts.troubles.insert(id, trouble);
        }
    }

    /// Looks at the services that an input has touched.
    pub(super) fn look_for_trouble(&mut self, touched: &BTreeSet<ServiceId>) {
        for id in touched {
            let Some(view) = self.cx.engine.view(*id) else {
                if let Some(gone) = self.alerts.troubles.remove(id) {
                    self.alerts.set_due(*id, gone.due(), None);
                }
                continue;
            };
            let Some(name) = self.cx.names.name(*id).map(str::to_owned) else {
                continue;
            };
            let look = self.look(&name, &view);
            let quiet = !look.failed && !look.unhealthy && !look.crashing && look.restarts == 0;
            if quiet && !self.alerts.troubles.contains_key(id) {
                continue;
            }
            let now = self.cx.now.moment;
            self.with_trouble(*id, &name, |trouble| trouble.look(now, &look));
        }
    }

    /// Messages that were held back are due, or a service has been calm for long enough.
    pub(super) fn alerts_timeout(&mut self) {
        let now = self.cx.now.moment;
        while let Some((at, id)) = self.alerts.due.first().copied()
            && at <= now
        {
            let Some(name) = self.cx.names.name(id).map(str::to_owned) else {
                self.alerts.due.pop_first();
                continue;
            };
            self.with_trouble(id, &name, |trouble| trouble.timeout(now));
        }
    }

    fn with_trouble(
        &mut self,
        id: ServiceId,
        name: &str,
        act: impl FnOnce(&mut Trouble) -> Vec<Tell>,
    ) {
        let mut trouble = self.alerts.troubles.remove(&id).unwrap_or_default();
        let before = trouble.clone();
        let tells = act(&mut trouble);
        self.alerts.set_due(id, before.due(), trouble.due());
        if trouble.differs(&before) {
            let service = format!("{TROUBLE}{name}");
            self.cx.tell(if trouble.is_troubled() {
                let record = serde_json::to_string(&trouble).expect("a trouble is plain data");
                Request::Remember { service, record }
            } else {
                Request::Forget { service }
            });
        }
        let was_flapping = before.flapping().is_some() && trouble.flapping().is_none();
        if !trouble.is_over() {
            self.alerts.troubles.insert(id, trouble);
        }
        if was_flapping {
            self.cx.publish(name, "flapping", "is over", None);
        }
        for tell in tells {
            self.tell_of_service(id, name, tell);
        }
    }

    fn look(&self, name: &str, view: &View) -> Look {
        let planned = self.cx.plan.services.get(name);
        let probed = planned.is_some_and(|it| it.health.is_some());
        let ended_by_us = matches!(
            view.state,
            State::Stopping { cause, .. } if !matches!(
                cause,
                StopCause::Asked(_) | StopCause::Exited | StopCause::ReadyTimeout
            )
        );
        let verdict = self.healthy(name, view);
        let healthy = if probed {
            verdict == Some(true)
        } else {
            verdict != Some(false)
        };
        // What a job leaves says why it has failed, and whether it has done what it is for.
        let id = self.cx.names.id(name);
        let judged = id.is_none_or(|id| !self.operations.awaits_result(id));
        let aside = id.and_then(|id| self.work.result_of(id, view));
        let aside = aside.is_some_and(|it| it.aside);
        Look {
            failed: matches!(view.state, State::Failed { .. }) && judged,
            each_run: planned.is_some_and(|it| it.job || it.schedule.is_some()),
            unhealthy: verdict == Some(false) || ended_by_us,
            crashing: matches!(view.state, State::Backoff { attempt: 2.., .. }),
            well: view.ready && healthy && judged && !aside,
            down: matches!(view.state, State::Stopped),
            restarts: view.restarts,
        }
    }

    fn tell_of_service(&mut self, id: ServiceId, name: &str, tell: Tell) {
        let Some(view) = self.cx.engine.view(id) else {
            return;
        };
        let last = view.last_exit.map(|(exit, _)| text::exit(exit));
        let last = last.unwrap_or_else(|| "did not start".to_owned());
        let (cause, count) = match tell {
            Tell::Cause(cause, count) => (cause, count),
            Tell::Flapping(count) => (NotifyOn::Restarted, count),
            Tell::Calm => (NotifyOn::Recovered, 1),
        };
        let mut text = self.sentence_of(name, &view, cause, &last);
        match tell {
            Tell::Cause(_, count @ 2..) => {
                let within = text::duration(trouble::QUIET_MS);
                text = format!("{text} ({count} times within {within})");
            }
            Tell::Flapping(count) => {
                let within = text::duration(trouble::FLAPPING_MS);
                let detail = format!("restarted {count} times within {within}");
                self.cx.publish(name, "flapping", &detail, None);
                text = format!(
                    "{name} is flapping: {detail}, the last time because of {last}; its restarts \
                     are not told from now on until it has recovered"
                );
            }
            Tell::Cause(..) | Tell::Calm => {}
        }
        let wants = |on: &BTreeSet<NotifyOn>| match tell {
            Tell::Cause(cause, _) => on.contains(&cause),
            // Worth knowing also for those whom a single restart does not concern.
            Tell::Flapping(_) => FLAPPING_CONCERNS.iter().any(|it| on.contains(it)),
            // News only to those who heard of the restarts.
            Tell::Calm => [NotifyOn::Restarted, NotifyOn::Recovered]
                .iter()
                .all(|it| on.contains(it)),
        };
        let message = self.message(name, view.state.name(), cause, text);
        self.notify(wants, Message { count, ..message });
    }

    fn sentence_of(&self, name: &str, view: &View, cause: NotifyOn, last: &str) -> String {
        let reason = self.reason(name, view);
        let because = |reason: &str| {
            let reason: String = reason.chars().take(DETAIL_CHARACTERS_MAX).collect();
            if reason.is_empty() {
                String::new()
            } else {
                format!(": {reason}")
            }
        };
        match cause {
            NotifyOn::Failed => format!("{name} has failed{}", because(&reason)),
            NotifyOn::Restarted => format!("{name} has ended by itself ({last}) and is restarted"),
            NotifyOn::Unhealthy => {
                let id = self.cx.names.id(name);
                let trouble = id.and_then(|id| self.file_watch.certificate_trouble(id));
                let why = trouble.as_deref();
                let why = why.or_else(|| view.unhealthy.as_ref().map(text::unhealthy));
                format!("{name} is unhealthy{}", because(why.unwrap_or_default()))
            }
            NotifyOn::Recovered if matches!(view.state, State::Completed) => {
                format!("{name} has recovered: its last run was good")
            }
            NotifyOn::Recovered => format!("{name} has recovered: it is ready and healthy again"),
            NotifyOn::Disk
            | NotifyOn::DeletedBinary
            | NotifyOn::Certificate
            | NotifyOn::Overdue => name.to_owned(),
        }
    }

    /// Somebody may have been told that a service has failed, and not that it has recovered.
    pub(super) fn is_trouble_told(&self, id: ServiceId) -> bool {
        let trouble = self.alerts.troubles.get(&id);
        trouble.is_some_and(Trouble::is_troubled)
    }

    /// So many restarts, if the service is flapping and has not been well for a while; for status.
    pub(super) fn flapping(&self, name: &str) -> Option<u32> {
        let id = self.cx.names.id(name)?;
        let trouble = self.alerts.troubles.get(&id)?;
        trouble
            .flapping()
            .filter(|_| !trouble.is_calm(self.cx.now.moment))
    }

    /// Tells what components have had to tell in this step.
    pub(super) fn tell_alerts(&mut self) {
        for alert in self.cx.take_alerts() {
            let Alert {
                service,
                cause,
                text,
            } = alert;
            let view = self
                .cx
                .names
                .id(&service)
                .and_then(|id| self.cx.engine.view(id));
            let state = view.map_or("", |view| view.state.name());
            let message = self.message(&service, state, cause, text);
            self.notify(|on| on.contains(&cause), message);
        }
    }

    /// A message about a service, or about the machine if that is empty.
    pub(super) fn message(
        &self,
        service: &str,
        state: &str,
        cause: NotifyOn,
        text: String,
    ) -> Message {
        Message {
            service: service.to_owned(),
            cause,
            state: state.to_owned(),
            text,
            at_unix_ms: self.cx.now.unix_ms,
            count: 1,
            host: host(),
        }
    }

    /// Tells those whose list of causes says that they want it.
    pub(super) fn notify(&mut self, wants: impl Fn(&BTreeSet<NotifyOn>) -> bool, message: Message) {
        if self.lifecycle.is_stopping() {
            return;
        }
        let message = Arc::new(message);
        for target in self.cx.plan.notify.iter().filter(|it| wants(&it.on)) {
            let outbox = &mut self.alerts.outbox;
            if !outbox.push(&target.name, Arc::clone(&message)) {
                let target = &target.name;
                tracing::warn!(target, "too many notifications wait; dropped the oldest");
            }
        }
        self.deliver_next();
    }

    /// Starts as many deliveries as may be under way.
    fn deliver_next(&mut self) {
        while let Some((name, message, dropped)) = self.alerts.outbox.next() {
            let target = self.cx.plan.notify.iter().find(|it| it.name == name);
            let Some(target) = target.cloned() else {
                self.alerts.outbox.forget(&name);
                continue;
            };
            let mut message = Message::clone(&message);
            if dropped > 0 {
                message.text = format!(
                    "{} ({dropped} messages before it were dropped)",
                    message.text
                );
            }
            let run = self.cx.engine.allocate_run();
            self.alerts.outbox.began(run, name);
            let known = Run::of_nobody(Purpose::Delivery);
            self.cx.add_run(run, known);
            match spawn(run, &target, message) {
                Ok(spawn) => self.cx.tell(Request::Spawn(Box::new(spawn))),
                Err(why) => self.helper_ended(run, Err(why)),
            }
        }
    }

    /// A delivery is over. One that has failed is told in our own log, and not tried again: it has
    /// tried by itself.
    pub(super) fn delivery_ended(&mut self, run: RunId, ok: bool, detail: &str) {
        let Some(target) = self.alerts.outbox.ended(run) else {
            return;
        };
        if !ok {
            tracing::warn!(target, "a notification could not be delivered: {detail}");
        }
        self.deliver_next();
    }
}

/// A delivery goes on when the control process is replaced: nobody waits for it.
pub(super) fn is_delivery(service: &str) -> bool {
    service == OWNER
}

fn host() -> String {
    // From memory of the kernel; this does not wait.
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

/// The process that delivers a message: a command itself, everything else by `deliver`.
fn spawn(run: RunId, target: &NotifyTarget, message: Message) -> Result<Spawn, String> {
    let mut env = BTreeMap::from([("PATH".to_owned(), programs::PATH.to_owned())]);
    let (argv, timeout_ms) = if let NotifyBy::Command(argv) = &target.by {
        let mut argv = argv.clone();
        let program = argv.first_mut().ok_or("its command is empty")?;
        *program = programs::look_up(program, programs::PATH)?;
        env.extend(variables(&message));
        (argv, COMMAND_TIMEOUT_MS)
    } else {
        for name in PASSED_ON {
            if let Ok(value) = std::env::var(name) {
                env.insert(name.to_owned(), value);
            }
        }
        let errand = deliver::Errand {
            by: target.by.clone(),
            message,
        };
        let errand = serde_json::to_string(&errand).expect("an errand is plain data");
        env.insert(deliver::VARIABLE.to_owned(), errand);
        // Ourselves, whatever a package has put in our place meanwhile.
        let own = format!("/proc/{}/exe", std::process::id());
        (vec![own, "deliver".to_owned()], DELIVERY_TIMEOUT_MS)
    };
    Ok(Spawn::helper(run.0, OWNER, argv, env, timeout_ms))
}

/// What a command finds in its environment.
fn variables(message: &Message) -> [(String, String); 7] {
    let (cause, at) = (message.cause_name().to_owned(), message.at());
    [
        ("MATTERVISOR_SERVICE", message.service.clone()),
        ("MATTERVISOR_CAUSE", cause),
        ("MATTERVISOR_STATE", message.state.clone()),
        ("MATTERVISOR_TEXT", message.text.replace('\0', " ")),
        ("MATTERVISOR_AT", at),
        ("MATTERVISOR_COUNT", message.count.to_string()),
        ("MATTERVISOR_HOST", message.host.clone()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
}
