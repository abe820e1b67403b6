//! What is wrong with one service, and what of that is worth telling now. Sans-IO.
//!
//! Each cause has at most one message in [`QUIET_MS`]; repetitions within that time go out at its
//! end, as a number. A service that restarts again and again is reported once as flapping, and then
//! no more until the service fails for good or is well again for a while.

use std::collections::{BTreeMap, VecDeque};

use engine::Moment;
use plan::NotifyOn;
use serde::{Deserialize, Serialize};

/// Least time between two messages of one cause about one service.
pub(in crate::control) const QUIET_MS: u64 = 60_000;
/// Number of restarts within [`FLAPPING_MS`] that count as flapping.
pub(in crate::control) const FLAPPING_RESTARTS: usize = 5;
/// See [`FLAPPING_RESTARTS`].
pub(in crate::control) const FLAPPING_MS: u64 = 10 * 60_000;
/// A service that crashed repeatedly is well again after this long without a crash.
const CALM_MS: u64 = 60_000;

/// The condition of a service, as far as alerts need it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::control) struct Condition {
    /// The service will not come back by itself.
    pub(in crate::control) failed: bool,
    /// The service runs now and then, and each failed run is reported.
    pub(in crate::control) each_run: bool,
    /// A probe or watchdog reports failure.
    pub(in crate::control) unhealthy: bool,
    /// The run has ended early again, and the service waits for its restart.
    pub(in crate::control) crashing: bool,
    /// The service is ready, and healthy if it has a health probe.
    pub(in crate::control) well: bool,
    /// The service is down because somebody wants it down.
    pub(in crate::control) down: bool,
    /// Automatic restarts since the last manual start.
    pub(in crate::control) restarts: u32,
}

/// Something to report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::control) enum Tell {
    /// The cause has occurred this often since its last message.
    Cause(NotifyOn, u32),
    /// The service is flapping, with this number of recent restarts.
    Flapping(u32),
    /// The service ended early a few times, was reported only as restarted, and has stayed up
    /// since.
    Calm,
}

/// The known trouble of one service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::control) struct Trouble {
    failed: bool,
    /// Whether the service was failed at the last look.
    was_failed: bool,
    unhealthy: bool,
    crashing: bool,
    flapping: bool,
    well: bool,
    #[serde(skip)]
    restarts: u32,
    /// The last [`FLAPPING_RESTARTS`] restarts.
    recent: VecDeque<Moment>,
    /// Restarts since the flapping began.
    flaps: u32,
    gates: BTreeMap<NotifyOn, Gate>,
}

/// Lets one message through, and counts repetitions in the time after that message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Gate {
    shut_until: Moment,
    held: u32,
}

impl Trouble {
    /// Takes in the state of a restored service, without repeating an earlier control process's
    /// messages.
    pub(in crate::control) fn known(&mut self, look: &Condition) {
        self.restarts = look.restarts;
    }

    /// Takes in the present condition of the service, and returns what to report.
    pub(in crate::control) fn look(&mut self, now: Moment, look: &Condition) -> Vec<Tell> {
        let mut tells = Vec::new();
        self.gates
            .retain(|_, gate| gate.shut_until > now || gate.held > 0);
        self.count_restarts(now, look.restarts, &mut tells);
        if look.down {
            let (restarts, gates) = (self.restarts, std::mem::take(&mut self.gates));
            *self = Self {
                restarts,
                gates,
                ..Self::default()
            };
            return tells;
        }
        self.well = look.well;
        self.crashing |= look.crashing;
        let another = look.each_run && !self.was_failed;
        if look.failed && (another || !self.failed) {
            self.failed = true;
            // A failed service does not restart any more.
            self.flapping = false;
            self.pass(now, NotifyOn::Failed, 1, &mut tells);
        }
        self.was_failed = look.failed;
        if look.unhealthy && !self.unhealthy {
            self.unhealthy = true;
            if !self.flapping {
                self.pass(now, NotifyOn::Unhealthy, 1, &mut tells);
            }
        }
        self.recover(now, &mut tells);
        tells
    }

    /// Returns what to report because time has passed.
    pub(in crate::control) fn timeout(&mut self, now: Moment) -> Vec<Tell> {
        let mut tells = Vec::new();
        let troubled = self.is_troubled();
        for (cause, gate) in &mut self.gates {
            if gate.shut_until > now {
                continue;
            }
            let held = std::mem::take(&mut gate.held);
            // A held recovery is no news if the service is in trouble again.
            if held > 0 && !(*cause == NotifyOn::Recovered && troubled) {
                gate.shut_until = now.after(QUIET_MS);
                tells.push(Tell::Cause(*cause, held));
            }
        }
        self.gates.retain(|_, gate| gate.shut_until > now);
        self.recover(now, &mut tells);
        tells
    }

    /// When [`Self::timeout`] is due.
    pub(in crate::control) fn due(&self) -> Option<Moment> {
        let held = self.gates.values().filter(|gate| gate.held > 0);
        let held = held.map(|gate| gate.shut_until).min();
        let calm = (self.well && self.is_troubled())
            .then(|| self.calm_at())
            .flatten();
        held.into_iter().chain(calm).min()
    }

    /// The number of restarts, if the service is flapping.
    pub(in crate::control) const fn flapping(&self) -> Option<u32> {
        if self.flapping {
            Some(self.flaps)
        } else {
            None
        }
    }

    /// Whether the service is well and has not restarted for a while. The end of flapping is
    /// reported later.
    pub(in crate::control) fn is_calm(&self, now: Moment) -> bool {
        let last = self.recent.back();
        self.well && last.is_none_or(|at| at.after(CALM_MS) <= now)
    }

    /// Whether nothing about this service needs to be remembered.
    pub(in crate::control) fn is_over(&self) -> bool {
        self.restarts == 0 && !self.is_troubled() && self.gates.is_empty()
    }

    /// Whether something has changed that must outlive the control process.
    pub(in crate::control) fn differs(&self, before: &Self) -> bool {
        let flags = |it: &Self| {
            let now = (it.failed, it.was_failed);
            (now, it.unhealthy, it.crashing, it.flapping)
        };
        flags(self) != flags(before)
    }

    /// Whether trouble was reported, and no recovery since.
    pub(in crate::control) const fn is_troubled(&self) -> bool {
        self.failed || self.unhealthy || self.crashing || self.flapping
    }

    fn count_restarts(&mut self, now: Moment, restarts: u32, tells: &mut Vec<Tell>) {
        let before = std::mem::replace(&mut self.restarts, restarts);
        if restarts < before {
            // A start by hand: earlier restarts do not count.
            self.recent.clear();
            // The service was reported as bad, and stays so until it is well.
            self.unhealthy |= std::mem::take(&mut self.flapping);
        }
        let new = restarts.saturating_sub(if restarts < before { 0 } else { before });
        for _ in 0..new.min(u32::try_from(FLAPPING_RESTARTS).unwrap_or(u32::MAX)) {
            self.recent.push_back(now);
            if self.recent.len() > FLAPPING_RESTARTS {
                self.recent.pop_front();
            }
        }
        if new == 0 {
            return;
        }
        if self.flapping {
            self.flaps = self.flaps.saturating_add(new);
            // A held message still goes out at its time, with all restarts up to then.
            if let Some(gate) = self.gates.get_mut(&NotifyOn::Restarted)
                && gate.held > 0
            {
                gate.held = gate.held.saturating_add(new);
            }
            return;
        }
        self.pass(now, NotifyOn::Restarted, new, tells);
        let full = self.recent.len() == FLAPPING_RESTARTS;
        if full
            && self
                .recent
                .front()
                .is_some_and(|at| now.since(*at) < FLAPPING_MS)
        {
            self.flapping = true;
            self.flaps = u32::try_from(FLAPPING_RESTARTS)
                .unwrap_or(u32::MAX)
                .max(new);
            tells.push(Tell::Flapping(self.flaps));
        }
    }

    fn pass(&mut self, now: Moment, cause: NotifyOn, count: u32, tells: &mut Vec<Tell>) {
        let shut_until = now.after(QUIET_MS);
        match self.gates.get_mut(&cause) {
            Some(gate) if gate.shut_until > now || gate.held > 0 => {
                gate.held = gate.held.saturating_add(count);
            }
            _ => {
                let gate = Gate {
                    shut_until,
                    held: 0,
                };
                self.gates.insert(cause, gate);
                tells.push(Tell::Cause(cause, count));
            }
        }
    }

    /// The moment from which the service may count as well, if it is well; none: at once.
    fn calm_at(&self) -> Option<Moment> {
        if self.flapping {
            return Some(self.recent.front()?.after(FLAPPING_MS));
        }
        if self.crashing {
            return Some(self.recent.back()?.after(CALM_MS));
        }
        None
    }

    fn recover(&mut self, now: Moment, tells: &mut Vec<Tell>) {
        if !self.well || !self.is_troubled() || self.calm_at().is_some_and(|at| at > now) {
            return;
        }
        let told = self.failed || self.unhealthy || self.flapping;
        self.failed = false;
        self.unhealthy = false;
        self.crashing = false;
        self.flapping = false;
        self.flaps = 0;
        if told {
            self.pass(now, NotifyOn::Recovered, 1, tells);
        } else {
            tells.push(Tell::Calm);
        }
    }
}
