//! Notifications to the init by `sd_notify(3)`: the progress of the services, READY=1 when all have
//! settled, and the stop of the daemon.
//!
//! Owns the sets of services that are on their way and that have settled without being up, and the
//! last status line. After each input the touched services are sorted again ([`InitNotify::sort`]),
//! so the cost of an input depends on what the input touches.
//!
//! Invariant: READY=1 is sent once, when no service is on its way and no configuration is being
//! applied; a failed service, or a service that waits for a failed service, does not delay it.
//! Limits: one status line a second ([`STATUS_PAUSE_MS`]), [`STATUS_NAMES_MAX`] names in the line.

use std::collections::BTreeSet;

use engine::{Moment, ServiceId, Settled, State};
use keeper::message::Request;

use crate::control::{Context, input::Output};

/// How often the init is asked for more time, and how much is asked for.
const EXTEND_EVERY_MS: u64 = 10_000;
const EXTEND_BY_USEC: u64 = 30_000_000;
/// Pause between two status lines.
const STATUS_PAUSE_MS: u64 = 1_000;
/// Names in the status line.
const STATUS_NAMES_MAX: usize = 8;

/// The state of the notifications; see the module.
#[derive(Debug)]
pub(super) struct InitNotify {
    phase: Phase,
    /// Services that are on their way.
    unsettled: BTreeSet<ServiceId>,
    /// Services that have settled without being up.
    down: BTreeSet<ServiceId>,
    /// Services in state `waiting`, whose settledness depends on others: sorted again after each
    /// input.
    waiting: BTreeSet<ServiceId>,
    /// The last status line.
    told: String,
    /// When the next status line is due, if the line changes.
    tell_at: Option<Moment>,
}

/// Phase of the daemon; the moment is when to ask the init for more time.
#[derive(Debug, PartialEq, Eq)]
enum Phase {
    Starting { extend_at: Moment },
    Running,
    Stopping { extend_at: Moment },
}

impl InitNotify {
    pub(super) const fn new(now: Moment) -> Self {
        Self {
            phase: Phase::Starting { extend_at: now },
            unsettled: BTreeSet::new(),
            down: BTreeSet::new(),
            waiting: BTreeSet::new(),
            told: String::new(),
            tell_at: None,
        }
    }

    /// The state of the daemon.
    pub(super) const fn state(&self) -> api::DaemonState {
        match self.phase {
            Phase::Starting { .. } => api::DaemonState::Starting,
            Phase::Running => api::DaemonState::Running,
            Phase::Stopping { .. } => api::DaemonState::Stopping,
        }
    }

    /// Services whose settledness depends on others.
    pub(super) const fn waiting(&self) -> &BTreeSet<ServiceId> {
        &self.waiting
    }

    pub(super) fn poll_timeout(&self) -> Option<Moment> {
        let extend_at = match self.phase {
            Phase::Starting { extend_at } | Phase::Stopping { extend_at } => Some(extend_at),
            Phase::Running => None,
        };
        extend_at.into_iter().chain(self.tell_at).min()
    }

    /// Notes that the daemon stops everything.
    pub(super) fn on_stopping(&mut self, cx: &mut Context) {
        cx.tell(Request::TellInit {
            message: "STOPPING=1\nSTATUS=stopping".to_owned(),
        });
        self.phase = Phase::Stopping {
            extend_at: cx.now.moment,
        };
    }

    /// Sorts changed services, and services whose settledness depends on others, by their state.
    pub(super) fn sort(&mut self, cx: &Context, touched: &BTreeSet<ServiceId>) {
        let waiting = std::mem::take(&mut self.waiting);
        for id in touched.union(&waiting) {
            let Some(view) = cx.engine.view(*id) else {
                self.unsettled.remove(id);
                self.down.remove(id);
                continue;
            };
            let settled = cx.engine.settled(*id);
            // The work of a job delays no start; a shutdown ends a job like every other service.
            let counts = cx.is_stopping() || !cx.service(*id).is_some_and(|it| it.job);
            let on_its_way = settled == Some(Settled::No);
            set(&mut self.unsettled, *id, counts && on_its_way);
            let up = matches!(
                settled,
                Some(Settled::Ready | Settled::Completed | Settled::Held)
            );
            set(&mut self.down, *id, counts && !up && !on_its_way);
            let waits = matches!(view.state, State::Waiting { .. });
            set(&mut self.waiting, *id, waits);
        }
    }

    /// Sends READY=1 once every service has settled and no configuration is being applied (`idle`);
    /// until then schedules a status line if the line has changed.
    pub(super) fn check(&mut self, cx: &mut Context, idle: bool) {
        let starting = matches!(self.phase, Phase::Starting { .. });
        let status = self.status_line(cx);
        if starting && self.unsettled.is_empty() && idle {
            self.phase = Phase::Running;
            cx.publish(
                "",
                api::EventKind::Daemon,
                "every service has settled",
                None,
            );
            let message = format!("READY=1\nSTATUS={status}");
            cx.tell(Request::TellInit { message });
            cx.output(Output::ReleaseMemory);
            self.told = status;
        } else if status != self.told {
            // Many changes at once become one line a second.
            let due = cx.now.moment.after(STATUS_PAUSE_MS);
            self.tell_at.get_or_insert(due);
        }
    }

    pub(super) fn timeout(&mut self, cx: &mut Context) {
        self.say_status(cx);
        let (Phase::Starting { extend_at } | Phase::Stopping { extend_at }) = &mut self.phase
        else {
            return;
        };
        if *extend_at > cx.now.moment {
            return;
        }
        *extend_at = cx.now.moment.after(EXTEND_EVERY_MS);
        let message = format!("EXTEND_TIMEOUT_USEC={EXTEND_BY_USEC}");
        cx.tell(Request::TellInit { message });
    }

    fn say_status(&mut self, cx: &mut Context) {
        if self.tell_at.is_none_or(|due| due > cx.now.moment) {
            return;
        }
        self.tell_at = None;
        let status = self.status_line(cx);
        if status != self.told {
            let message = format!("STATUS={status}");
            cx.tell(Request::TellInit { message });
            self.told = status;
        }
    }

    fn status_line(&self, cx: &Context) -> String {
        let named = |ids: &BTreeSet<ServiceId>| {
            let names = ids.iter().take(STATUS_NAMES_MAX);
            let names: Vec<&str> = names.map(|id| cx.name(*id)).collect();
            match ids.len().saturating_sub(STATUS_NAMES_MAX) {
                0 => names.join(" "),
                rest => format!("{} and {rest} more", names.join(" ")),
            }
        };
        if matches!(self.phase, Phase::Stopping { .. }) {
            format!("stopping: {}", named(&self.unsettled))
        } else if !self.unsettled.is_empty() {
            format!("waiting for: {}", named(&self.unsettled))
        } else if !self.down.is_empty() {
            format!("not up: {}", named(&self.down))
        } else {
            "all services are up".to_owned()
        }
    }
}

fn set(ids: &mut BTreeSet<ServiceId>, id: ServiceId, member: bool) {
    if member {
        ids.insert(id);
    } else {
        ids.remove(&id);
    }
}
