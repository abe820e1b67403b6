//! Whether services listen where the plan has them listen: observed, never assumed.
//!
//! A change of `listens` is done once the service is ready, its own processes have the new
//! addresses, and none of its processes has an address that the service gives up. A program may
//! take up to [`LISTEN_MS_MAX`] for that after its reload; then the change has failed for the
//! service, which status says until its next reload or start, and the plan has not worked. Where
//! the system does not let us look, status says that instead.
//!
//! The keeper remembers the open expectations; a control process that takes over looks again.

use std::collections::BTreeMap;

use engine::{Goal, Moment, RunId, ServiceId, Settled, State};
use serde::{Deserialize, Serialize};

use crate::{
    control::{Context, Task, api::reason::Reason, record_keys::Key},
    listening::{Fault, ListenCheck, Seen, Sight},
};

/// Longest time from the readiness of a service until it must listen. Some programs retry a bind
/// for seconds before they give up.
const LISTEN_MS_MAX: u64 = 10_000;
/// First pause between two looks; each further pause is twice the previous, up to the longest.
const PAUSE_MS: u64 = 20;
const PAUSE_MS_MAX: u64 = 500;

/// Expectations about services.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(in crate::control) struct Listening(BTreeMap<ServiceId, Expected>);

/// Expectations about one service.
#[derive(Debug, Serialize, Deserialize)]
struct Expected {
    wanted: Vec<String>,
    given_up: Vec<String>,
    /// The outcome for this run.
    outcome: Option<Outcome>,
    #[serde(skip)]
    watch: Option<Watch>,
}

/// Repeated looks at a ready run.
#[derive(Clone, Copy, Debug)]
struct Watch {
    run: RunId,
    since: Moment,
    /// When the last look began.
    looked: Moment,
    pause_ms: u64,
    /// When the next look is due; none: a look is under way.
    next: Option<Moment>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Outcome {
    /// The expectation was not met in time.
    Failed(Vec<Fault>),
    /// The look is impossible, for this reason.
    NotVerified(String),
}

/// The progress with one service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::control) enum Progress {
    /// Looks are still under way.
    Awaited,
    /// The service does not listen where it is to.
    Failed,
    /// No fault is known.
    Done,
}

impl Listening {
    /// When the next look is due.
    pub(in crate::control) fn poll_timeout(&self) -> Option<Moment> {
        let watches = self.0.values().filter_map(|it| it.watch);
        watches.filter_map(|it| it.next).min()
    }

    /// The progress with a ready service.
    pub(in crate::control) fn of(&self, service: ServiceId) -> Progress {
        match self.0.get(&service).map(|it| &it.outcome) {
            Some(None) => Progress::Awaited,
            Some(Some(Outcome::Failed(_))) => Progress::Failed,
            Some(Some(Outcome::NotVerified(_))) | None => Progress::Done,
        }
    }

    /// What is wrong, or could not be seen; empty: no fault is known.
    pub(in crate::control) fn reason(&self, service: ServiceId) -> Reason {
        let mut reason = Reason::default();
        let expected = self.0.get(&service);
        match expected.and_then(|it| Some((it, it.outcome.as_ref()?))) {
            Some((_, Outcome::Failed(faults))) => {
                let each: Vec<String> = faults.iter().map(fault).collect();
                if faults.iter().any(is_in_use) {
                    reason.push_address_in_use(each.join(", "));
                } else {
                    reason.push(each.join(", "));
                }
            }
            Some((expected, Outcome::NotVerified(why))) => {
                let wanted = expected.wanted.join(", ");
                reason.push(format!(
                    "whether it listens on {wanted} was not verified: {why}"
                ));
            }
            None => {}
        }
        reason
    }
}

/// Whether another process has the address.
const fn is_in_use(fault: &Fault) -> bool {
    matches!(
        fault,
        Fault::Missing {
            instead: Some(_),
            ..
        }
    )
}

fn fault(fault: &Fault) -> String {
    match fault {
        Fault::Missing {
            address,
            instead: None,
        } => format!("does not listen on {address}"),
        Fault::Missing {
            instead: Some(instead),
            ..
        } => format!("does not listen where it is to: {instead}"),
        Fault::Kept(address) => format!("still listens on {address}"),
    }
}

impl Listening {
    /// Notes that a plan changes where this service listens, or only has it start or reload.
    pub(in crate::control) fn expect(
        &mut self,
        cx: &mut Context,
        service: ServiceId,
        wanted: Vec<String>,
        given_up: Vec<String>,
    ) {
        if wanted.is_empty() && given_up.is_empty() {
            self.look_anew(cx, service);
            return;
        }
        let expected = Expected {
            wanted,
            given_up,
            outcome: None,
            watch: None,
        };
        self.0.insert(service, expected);
        self.remember(cx);
    }

    /// Looks again, since the service reloads or starts and earlier observations are void.
    pub(in crate::control) fn look_anew(&mut self, cx: &mut Context, service: ServiceId) {
        if let Some(expected) = self.0.get_mut(&service)
            && expected.outcome.take().is_some()
        {
            expected.watch = None;
            self.remember(cx);
        }
    }

    /// After every input: looks at every ready service whose look is due.
    pub(in crate::control) fn watch(&mut self, cx: &mut Context) {
        if self.0.is_empty() {
            return;
        }
        let mut looks = Vec::new();
        let mut expected = std::mem::take(&mut self.0);
        let before = expected.len();
        expected.retain(|id, _| is_to_run(cx, *id));
        let mut changed = expected.len() != before;
        for (id, it) in &mut expected {
            let Some((run, pid)) = ready_run(cx, *id) else {
                it.watch = None;
                changed |= it.outcome.take().is_some();
                continue;
            };
            if it.outcome.is_some() {
                continue;
            }
            let now = cx.now.moment;
            let fresh = Watch {
                run,
                since: now,
                looked: now,
                pause_ms: PAUSE_MS,
                next: Some(now),
            };
            let watch = it.watch.get_or_insert(fresh);
            if watch.run != run {
                *watch = fresh;
            }
            if watch.next.take_if(|at| *at <= now).is_some() {
                watch.looked = now;
                looks.push(ListenCheck {
                    service: cx.name(*id).to_owned(),
                    run,
                    pid,
                    wanted: it.wanted.clone(),
                    given_up: it.given_up.clone(),
                });
            }
        }
        self.0 = expected;
        if changed {
            self.remember(cx);
        }
        if !looks.is_empty() {
            let keeper = cx.keeper.pid;
            cx.queue_task(Task::LookAtListeners { looks, keeper });
        }
    }

    /// Takes the result of a look, which may come after the run or the expectation has ended.
    pub(in crate::control) fn on_listeners(&mut self, cx: &mut Context, seen: Vec<Seen>) {
        for Seen {
            service,
            run,
            sight,
        } in seen
        {
            let Some(id) = cx.names.id(&service) else {
                continue;
            };
            let Some(expected) = self.0.get_mut(&id) else {
                continue;
            };
            let Some(watch) = expected.watch.as_mut().filter(|it| it.run == run) else {
                continue;
            };
            let now = cx.now.moment;
            let outcome = match sight {
                Sight::AsPlanned => None,
                // A look that began before the time was over proves no failure, however late its
                // result comes.
                Sight::Otherwise(_) if watch.looked < watch.since.after(LISTEN_MS_MAX) => {
                    watch.next = Some(now.after(watch.pause_ms));
                    watch.pause_ms = (watch.pause_ms * 2).min(PAUSE_MS_MAX);
                    continue;
                }
                Sight::Otherwise(faults) => Some(Outcome::Failed(faults)),
                Sight::Hidden(why) => Some(Outcome::NotVerified(why)),
            };
            expected.watch = None;
            match outcome {
                None => drop(self.0.remove(&id)),
                Some(outcome) => {
                    expected.outcome = Some(outcome);
                    self.say_not_listening(cx, id);
                }
            }
            self.remember(cx);
            cx.touch(id);
        }
    }

    fn say_not_listening(&self, cx: &mut Context, id: ServiceId) {
        let what = self.reason(id).to_string();
        let service = cx.name(id).to_owned();
        tracing::warn!(service, "{what}");
        cx.publish(&service, api::EventKind::Address, &what, None);
    }

    pub(in crate::control) fn restore(&mut self, record: Option<&String>) {
        match record.map(|it| serde_json::from_str(it)) {
            Some(Ok(listening)) => *self = listening,
            Some(Err(error)) => {
                let why = text::json_place(&error);
                tracing::error!("lost which addresses are still to be seen: {why}");
            }
            None => {}
        }
    }

    fn remember(&mut self, cx: &mut Context) {
        let record = serde_json::to_string(self).expect("it is plain data");
        cx.remember(Key::Listening, record);
    }
}

fn is_to_run(cx: &Context, id: ServiceId) -> bool {
    let planned = cx.service(id).is_some_and(|it| it.enabled);
    let view = cx.engine.view(id);
    let up = |view: engine::View| view.goal == Goal::Up && view.state != State::Completed;
    planned && view.is_some_and(up)
}

/// The main run and its process, once no start or reload is under way.
fn ready_run(cx: &Context, id: ServiceId) -> Option<(RunId, i32)> {
    let view = cx.engine.view(id)?;
    let rests = matches!(view.state, State::Running { .. });
    let ready = cx.engine.settled(id) == Some(Settled::Ready);
    let run = cx.engine.main_run(id)?;
    let pid = cx.run(run)?.pid?;
    (rests && ready).then_some((run, pid))
}

#[cfg(test)]
mod tests;
