//! Alerts people when a service is in trouble, and when the service has recovered.
//!
//! After every input this component looks at the services that the input touched; [`trouble`] says
//! what is news, [`outbox`] which message may go now. A [`delivery`] is a helper process of the
//! keeper, so the control thread waits for no network. Without targets only flapping is noticed,
//! for status and events. Limits: see the two parts; a service without trouble costs nothing.

mod delivery;
mod outbox;
#[cfg(test)]
mod tests;
mod trouble;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use api::{EventKind, JobResult};
use engine::{Moment, RunId, ServiceId, State, StopCause, View};
use keeper::message::Request;
use plan::NotifyOn;

pub(super) use self::{
    delivery::is_delivery,
    trouble::{Condition, Tell},
};
use self::{outbox::Outbox, trouble::Trouble};
use crate::{
    control::{Context, Purpose, Run, record_keys::TROUBLE, service_state::service_state, text},
    deliver::Message,
};

/// Targets that want any of these causes also hear of flapping.
const FLAPPING_CONCERNS: [NotifyOn; 3] =
    [NotifyOn::Restarted, NotifyOn::Unhealthy, NotifyOn::Failed];
/// Longest text of a service or probe in a message, in characters.
const DETAIL_CHARACTERS_MAX: usize = 1000;
/// One alert for all targets that want its cause.
#[derive(Debug)]
pub(super) struct Alert {
    /// The service that the alert is about; empty: the machine.
    pub(super) service: String,
    pub(super) cause: NotifyOn,
    /// A second cause that a target must want as well to get this alert.
    pub(super) also: Option<NotifyOn>,
    pub(super) text: String,
}

/// The troubles of services, and the messages about them.
#[derive(Debug, Default)]
pub(super) struct Alerts {
    troubles: BTreeMap<ServiceId, Trouble>,
    /// When to look at each service without an event.
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

impl Alerts {
    /// Restores the trouble of a service that an earlier control process knew and has reported.
    /// `record`: the keeper's record of the trouble.
    pub(super) fn restore(&mut self, id: ServiceId, record: Option<&String>, look: &Condition) {
        if record.is_none() && look.restarts == 0 {
            return;
        }
        // An unreadable record means one repeated message.
        let trouble = record.and_then(|it| serde_json::from_str::<Trouble>(it).ok());
        let mut trouble = trouble.unwrap_or_default();
        trouble.known(look);
        self.set_due(id, None, trouble.due());
        self.troubles.insert(id, trouble);
    }

    /// Drops a service that has left the plan.
    pub(super) fn forget(&mut self, id: ServiceId) {
        if let Some(gone) = self.troubles.remove(&id) {
            self.set_due(id, gone.due(), None);
        }
    }

    /// Looks at a service that an input has touched. Returns what to tell about the service.
    pub(super) fn look(&mut self, cx: &mut Context, id: ServiceId, look: &Condition) -> Vec<Tell> {
        let quiet = !look.failed && !look.unhealthy && !look.crashing && look.restarts == 0;
        if quiet && !self.troubles.contains_key(&id) {
            return Vec::new();
        }
        let now = cx.now.moment;
        self.with_trouble(cx, id, |trouble| trouble.look(now, look))
    }

    /// The next service that has a held message due, or that has been calm for long enough, and
    /// what to tell about the service.
    pub(super) fn timeout(&mut self, cx: &mut Context) -> Option<(ServiceId, Vec<Tell>)> {
        let now = cx.now.moment;
        let (_, id) = self.due.first().copied().filter(|(at, _)| *at <= now)?;
        let tells = self.with_trouble(cx, id, |trouble| trouble.timeout(now));
        Some((id, tells))
    }

    fn with_trouble(
        &mut self,
        cx: &mut Context,
        id: ServiceId,
        act: impl FnOnce(&mut Trouble) -> Vec<Tell>,
    ) -> Vec<Tell> {
        let mut trouble = self.troubles.remove(&id).unwrap_or_default();
        let before = trouble.clone();
        let tells = act(&mut trouble);
        self.set_due(id, before.due(), trouble.due());
        let name = cx.name(id).to_owned();
        if trouble.differs(&before) {
            let service = format!("{TROUBLE}{name}");
            cx.tell(if trouble.is_troubled() {
                let record = serde_json::to_string(&trouble).expect("a trouble is plain data");
                Request::Remember { service, record }
            } else {
                Request::Forget { service }
            });
        }
        let was_flapping = before.flapping().is_some() && trouble.flapping().is_none();
        if !trouble.is_over() {
            self.troubles.insert(id, trouble);
        }
        if was_flapping {
            cx.publish(&name, EventKind::Flapping, "is over", None);
        }
        tells
    }

    /// Sends the message for the result of a look. `why`: why the service is in its state.
    pub(super) fn tell(&mut self, cx: &mut Context, id: ServiceId, tell: Tell, why: &Why) {
        let Some(view) = cx.engine.view(id) else {
            return;
        };
        let name = cx.name(id).to_owned();
        let last = view.last_exit.map(|(exit, _)| text::exit(exit));
        let last = last.unwrap_or_else(|| "did not start".to_owned());
        let (cause, count) = match tell {
            Tell::Cause(cause, count) => (cause, count),
            Tell::Flapping(count) => (NotifyOn::Restarted, count),
            Tell::Calm => (NotifyOn::Recovered, 1),
        };
        let mut text = sentence(&name, &view, cause, &last, why);
        match tell {
            Tell::Cause(_, count @ 2..) => {
                let within = text::duration(trouble::QUIET_MS);
                text = format!("{text} ({count} times within {within})");
            }
            Tell::Flapping(count) => {
                let within = text::duration(trouble::FLAPPING_MS);
                let detail = format!("restarted {count} times within {within}");
                cx.publish(&name, EventKind::Flapping, &detail, None);
                text = format!(
                    "{name} is flapping: {detail}, the last time because of {last}; its restarts \
                     are not told from now on until it has recovered"
                );
            }
            Tell::Cause(..) | Tell::Calm => {}
        }
        let wants = |on: &BTreeSet<NotifyOn>| match tell {
            Tell::Cause(cause, _) => on.contains(&cause),
            // Flapping also matters to targets that do not want to hear of single restarts.
            Tell::Flapping(_) => FLAPPING_CONCERNS.iter().any(|it| on.contains(it)),
            // Calm is news only for targets that heard of the restarts.
            Tell::Calm => [NotifyOn::Restarted, NotifyOn::Recovered]
                .iter()
                .all(|it| on.contains(it)),
        };
        let message = message(cx, &name, cause, text);
        self.notify(cx, wants, Message { count, ..message });
    }

    /// Whether a target may have heard that a service failed, and not that the service recovered.
    pub(super) fn is_trouble_told(&self, id: ServiceId) -> bool {
        let trouble = self.troubles.get(&id);
        trouble.is_some_and(Trouble::is_troubled)
    }

    /// How often a service has restarted, if the service is flapping and has not been well for a
    /// while; for status.
    pub(super) fn flapping(&self, id: ServiceId, now: Moment) -> Option<u32> {
        let trouble = self.troubles.get(&id)?;
        trouble.flapping().filter(|_| !trouble.is_calm(now))
    }

    /// Sends the alerts that components have queued in this step.
    pub(super) fn tell_queued(&mut self, cx: &mut Context) {
        for alert in cx.take_alerts() {
            let Alert {
                service,
                cause,
                also,
                text,
            } = alert;
            let message = message(cx, &service, cause, text);
            let wants = |on: &BTreeSet<NotifyOn>| {
                on.contains(&cause) && also.is_none_or(|also| on.contains(&also))
            };
            self.notify(cx, wants, message);
        }
    }

    /// Sends a message to every target whose list of causes includes this cause.
    fn notify(
        &mut self,
        cx: &mut Context,
        wants: impl Fn(&BTreeSet<NotifyOn>) -> bool,
        message: Message,
    ) {
        if cx.is_stopping() {
            return;
        }
        let message = Arc::new(message);
        for target in cx.plan.notify.iter().filter(|it| wants(&it.on)) {
            if !self.outbox.push(&target.name, Arc::clone(&message)) {
                let target = &target.name;
                tracing::warn!(target, "too many notifications wait; dropped the oldest");
            }
        }
        self.deliver_next(cx);
    }

    /// Starts deliveries up to the limit.
    fn deliver_next(&mut self, cx: &mut Context) {
        while let Some((name, message, dropped)) = self.outbox.next() {
            let target = cx.plan.notify.iter().find(|it| it.name == name);
            let Some(target) = target.cloned() else {
                self.outbox.forget(&name);
                continue;
            };
            let mut message = Message::clone(&message);
            if dropped > 0 {
                message.text = format!(
                    "{} ({dropped} messages before it were dropped)",
                    message.text
                );
            }
            let run = cx.engine.allocate_run();
            self.outbox.began(run, name);
            match delivery::spawn(run, &target, message) {
                Ok(spawn) => {
                    cx.add_run(run, Run::of_nobody(Purpose::Delivery));
                    cx.tell(Request::Spawn(Box::new(spawn)));
                }
                Err(why) => self.end_delivery(run, Err(&why)),
            }
        }
    }

    /// Takes the end of a delivery.
    pub(super) fn on_delivered(&mut self, cx: &mut Context, run: RunId, result: Result<(), &str>) {
        self.end_delivery(run, result);
        self.deliver_next(cx);
    }

    /// Logs a failed delivery without another try: the delivery has made its own attempts.
    fn end_delivery(&mut self, run: RunId, result: Result<(), &str>) {
        let target = self.outbox.ended(run);
        if let (Some(target), Err(why)) = (target, result) {
            tracing::warn!(target, "a notification could not be delivered: {why}");
        }
    }
}

impl Condition {
    /// The condition of a service. `healthy`: from [`crate::control::api::views::Views::healthy`];
    /// `result`: the result of a job's last request; `awaits_result`: the result is not known yet.
    pub(super) fn of(
        planned: Option<&plan::Service>,
        view: &View,
        healthy: Option<bool>,
        result: Option<&JobResult>,
        awaits_result: bool,
    ) -> Self {
        let probed = planned.is_some_and(|it| it.health.is_some());
        let ended_by_us = matches!(
            view.state,
            State::Stopping { cause, .. } if !matches!(
                cause,
                StopCause::Asked(_) | StopCause::Exited | StopCause::ReadyTimeout
            )
        );
        let well = if probed {
            healthy == Some(true)
        } else {
            healthy != Some(false)
        };
        // The result says why a job has failed, and whether it has done what it is for.
        let aside = result.is_some_and(|it| it.aside);
        Self {
            failed: matches!(view.state, State::Failed { .. }) && !awaits_result,
            each_run: planned.is_some_and(|it| it.job || it.schedule.is_some()),
            unhealthy: healthy == Some(false) || ended_by_us,
            crashing: matches!(view.state, State::Backoff { attempt: 2.., .. }),
            well: view.ready && well && !awaits_result && !aside,
            down: matches!(view.state, State::Stopped),
            restarts: view.restarts,
        }
    }
}

/// Why a service is in its state, for a message.
#[derive(Debug)]
pub(super) struct Why {
    /// The reason as status shows it.
    pub(super) reason: String,
    /// The trouble of its certificates or probes.
    pub(super) unhealthy: String,
}

fn sentence(name: &str, view: &View, cause: NotifyOn, last: &str, why: &Why) -> String {
    let because = |reason: &str| {
        let reason: String = reason.chars().take(DETAIL_CHARACTERS_MAX).collect();
        if reason.is_empty() {
            String::new()
        } else {
            format!(": {reason}")
        }
    };
    match cause {
        NotifyOn::Failed => format!("{name} has failed{}", because(&why.reason)),
        NotifyOn::Restarted => format!("{name} has ended by itself ({last}) and is restarted"),
        NotifyOn::Unhealthy => format!("{name} is unhealthy{}", because(&why.unhealthy)),
        NotifyOn::Recovered if matches!(view.state, State::Completed) => {
            format!("{name} has recovered: its last run was good")
        }
        NotifyOn::Recovered => format!("{name} has recovered: it is ready and healthy again"),
        NotifyOn::Disk | NotifyOn::DeletedBinary | NotifyOn::Certificate | NotifyOn::Overdue => {
            name.to_owned()
        }
    }
}

/// A message about a service, or about the machine if `service` is empty.
fn message(cx: &Context, service: &str, cause: NotifyOn, text: String) -> Message {
    let view = cx.names.id(service).and_then(|id| cx.engine.view(id));
    Message {
        service: service.to_owned(),
        cause,
        state: view
            .map_or("", |view| service_state(&view.state).as_str())
            .to_owned(),
        text,
        at_unix_ms: cx.now.unix_ms,
        count: 1,
        host: delivery::host(),
    }
}
