//! Notifications to the init by `sd_notify(3)`: the progress of the services, READY=1 when all have
//! settled, and the stop of the daemon.
//!
//! Owns the sets of services that are not simply up, and the last status line. After each input the
//! touched services are sorted again ([`InitNotify::sort`]), so the cost of an input depends on what
//! the input touches.
//!
//! Invariant: READY=1 is sent once, when no service is on its way and no configuration is being
//! applied; a failed service, or a service that waits for a failed service, does not delay it.
//! While a service is on its way, or a configuration is being applied, the init is asked for more
//! time: the init limits the daemon's start and stop, and a command that reloads the daemon.
//! Limits: one status line a second ([`STATUS_PAUSE_MS`]), [`STATUS_NAMES_MAX`] names of each kind.

use std::collections::{BTreeMap, BTreeSet};

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
    /// When to ask the init for more time.
    extend_at: Option<Moment>,
    /// Services by what keeps them from being simply up.
    by_standing: BTreeMap<Standing, BTreeSet<ServiceId>>,
    /// Services in state `waiting`, whose settledness depends on others: sorted again after each
    /// input.
    waiting: BTreeSet<ServiceId>,
    /// The last status line.
    told: String,
    /// When the next status line is due, if the line changes.
    tell_at: Option<Moment>,
}

/// Phase of the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Starting,
    Running,
    Stopping,
}

/// Why a service is not simply up, in the order of the status line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    OnItsWay,
    /// Settled without being up, and nobody wants that.
    Down,
    /// Up, and not healthy.
    Degraded,
    /// Somebody, or a job, has stopped the service.
    Stopped,
}

impl Standing {
    const ALL: [Self; 4] = [Self::OnItsWay, Self::Down, Self::Degraded, Self::Stopped];

    const fn words(self) -> &'static str {
        match self {
            Self::OnItsWay => "waiting for",
            Self::Down => "not up",
            Self::Degraded => "degraded",
            Self::Stopped => "stopped",
        }
    }
}

impl InitNotify {
    pub(super) const fn new(now: Moment) -> Self {
        Self {
            phase: Phase::Starting,
            extend_at: Some(now),
            by_standing: BTreeMap::new(),
            waiting: BTreeSet::new(),
            told: String::new(),
            tell_at: None,
        }
    }

    /// The state of the daemon.
    pub(super) const fn state(&self) -> api::DaemonState {
        match self.phase {
            Phase::Starting => api::DaemonState::Starting,
            Phase::Running => api::DaemonState::Running,
            Phase::Stopping => api::DaemonState::Stopping,
        }
    }

    /// Services whose settledness depends on others.
    pub(super) const fn waiting(&self) -> &BTreeSet<ServiceId> {
        &self.waiting
    }

    pub(super) fn poll_timeout(&self) -> Option<Moment> {
        self.extend_at.into_iter().chain(self.tell_at).min()
    }

    /// Notes that the daemon stops everything.
    pub(super) fn on_stopping(&mut self, cx: &mut Context) {
        cx.tell(Request::TellInit {
            message: "STOPPING=1\nSTATUS=stopping".to_owned(),
        });
        self.phase = Phase::Stopping;
        self.extend_at = Some(cx.now.moment);
    }

    /// Sorts changed services, and services whose settledness depends on others, by their state.
    /// `unhealthy` are those of them that are not healthy.
    pub(super) fn sort(
        &mut self,
        cx: &Context,
        touched: &BTreeSet<ServiceId>,
        unhealthy: &BTreeSet<ServiceId>,
    ) {
        let waiting = std::mem::take(&mut self.waiting);
        for id in touched.union(&waiting) {
            let standing = standing(cx, *id, unhealthy.contains(id));
            for each in Standing::ALL {
                let ids = self.by_standing.entry(each).or_default();
                set(ids, *id, standing == Some(each));
            }
            let view = cx.engine.view(*id);
            let waits = view.is_some_and(|it| matches!(it.state, State::Waiting { .. }));
            set(&mut self.waiting, *id, waits);
        }
    }

    /// Sends READY=1 once every service has settled and no configuration is being applied (`idle`);
    /// until then schedules a status line if the line has changed.
    pub(super) fn check(&mut self, cx: &mut Context, idle: bool) {
        let status = self.status_line(cx);
        if self.phase == Phase::Starting && !self.is_busy(idle) {
            self.phase = Phase::Running;
            self.extend_at = None;
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
        if self.is_busy(idle) {
            self.extend_at.get_or_insert(cx.now.moment);
        }
    }

    /// Whether something goes on for which the init may be waiting.
    fn is_busy(&self, idle: bool) -> bool {
        let on_its_way = self.by_standing.get(&Standing::OnItsWay);
        !idle || on_its_way.is_some_and(|ids| !ids.is_empty())
    }

    /// Does what is due; `idle` as in [`Self::check`].
    pub(super) fn timeout(&mut self, cx: &mut Context, idle: bool) {
        self.say_status(cx);
        if self.extend_at.is_none_or(|due| due > cx.now.moment) {
            return;
        }
        if self.phase == Phase::Running && !self.is_busy(idle) {
            self.extend_at = None;
            return;
        }
        self.extend_at = Some(cx.now.moment.after(EXTEND_EVERY_MS));
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
        let stopping = self.phase == Phase::Stopping;
        let parts = self.by_standing.iter().filter(|(_, ids)| !ids.is_empty());
        let parts: Vec<String> = parts
            .filter(|(standing, _)| !stopping || **standing == Standing::OnItsWay)
            .map(|(standing, ids)| {
                let words = if stopping {
                    "stopping"
                } else {
                    standing.words()
                };
                format!("{words}: {}", named(cx, ids))
            })
            .collect();
        match (parts.is_empty(), stopping) {
            (false, _) => parts.join("; "),
            (true, true) => "stopping".to_owned(),
            (true, false) => "all services are up".to_owned(),
        }
    }
}

/// None: the service is up, has completed, is not known any more, or does not count.
fn standing(cx: &Context, id: ServiceId, unhealthy: bool) -> Option<Standing> {
    let view = cx.engine.view(id)?;
    // The work of a job delays no start; a shutdown ends a job like every other service.
    if !cx.is_stopping() && cx.service(id).is_some_and(|it| it.job) {
        return None;
    }
    match cx.engine.settled(id)? {
        Settled::No => Some(Standing::OnItsWay),
        Settled::Ready => unhealthy.then_some(Standing::Degraded),
        Settled::Completed => None,
        Settled::Held => (view.hold.is_some() || view.lease.is_some()).then_some(Standing::Stopped),
        Settled::Failed | Settled::Backoff | Settled::WaitingOn(_) => Some(Standing::Down),
    }
}

/// Names for people, cut to the limit.
fn named(cx: &Context, ids: &BTreeSet<ServiceId>) -> String {
    let names = ids.iter().take(STATUS_NAMES_MAX);
    let names: Vec<&str> = names.map(|id| cx.name(*id)).collect();
    match ids.len().saturating_sub(STATUS_NAMES_MAX) {
        0 => names.join(" "),
        rest => format!("{} and {rest} more", names.join(" ")),
    }
}

fn set(ids: &mut BTreeSet<ServiceId>, id: ServiceId, member: bool) {
    if member {
        ids.insert(id);
    } else {
        ids.remove(&id);
    }
}
