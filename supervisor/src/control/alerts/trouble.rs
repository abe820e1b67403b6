//! What is wrong with one service, and what of that is worth telling now. Sans-IO.
//!
//! Of each cause at most one message in [`QUIET_MS`]; what happened meanwhile is told at its end,
//! as a number. A service that restarts again and again is told once as flapping, and is then
//! silent until it fails for good or is well again for a while.

use std::collections::{BTreeMap, VecDeque};

use engine::Moment;
use plan::NotifyOn;
use serde::{Deserialize, Serialize};

/// Of each cause and service there is at most one message in this time.
pub(in crate::control) const QUIET_MS: u64 = 60_000;
/// So many restarts within [`FLAPPING_MS`] are flapping.
pub(in crate::control) const FLAPPING_RESTARTS: usize = 5;
/// See [`FLAPPING_RESTARTS`].
pub(in crate::control) const FLAPPING_MS: u64 = 10 * 60_000;
/// A service that crashed again and again is well once it has not done so for this long.
const CALM_MS: u64 = 60_000;

/// How a service stands, as far as it concerns this.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::control) struct Look {
    /// It will not come back by itself.
    pub(in crate::control) failed: bool,
    /// It runs now and then, and each run that fails is to be told.
    pub(in crate::control) each_run: bool,
    /// A probe or watchdog says no.
    pub(in crate::control) unhealthy: bool,
    /// It has died early again, and waits.
    pub(in crate::control) crashing: bool,
    /// It is ready, and healthy if it has a probe for that.
    pub(in crate::control) well: bool,
    /// It is down because somebody wants it down.
    pub(in crate::control) down: bool,
    /// Automatic restarts since the last manual start.
    pub(in crate::control) restarts: u32,
}

/// Something to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::control) enum Tell {
    /// It has happened so often since it was last told: once, or more.
    Cause(NotifyOn, u32),
    /// It restarts again and again: so often lately.
    Flapping(u32),
    /// It died early a few times, of which only restarts were told, and has stayed up since.
    Calm,
}

/// What is known of one service's trouble.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::control) struct Trouble {
    failed: bool,
    /// It was failed at the last look.
    was_failed: bool,
    unhealthy: bool,
    crashing: bool,
    flapping: bool,
    well: bool,
    #[serde(skip)]
    restarts: u32,
    /// The last [`FLAPPING_RESTARTS`] restarts.
    recent: VecDeque<Moment>,
    /// Restarts since it began to flap.
    flaps: u32,
    gates: BTreeMap<NotifyOn, Gate>,
}

/// Lets one message through, and counts what comes within the time after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Gate {
    shut_until: Moment,
    held: u32,
}

impl Trouble {
    /// One that was taken up: what an earlier control process has told is not told again.
    pub(in crate::control) fn known(&mut self, look: &Look) {
        self.restarts = look.restarts;
    }

    /// Takes in how the service stands now, and says what to tell.
    pub(in crate::control) fn look(&mut self, now: Moment, look: &Look) -> Vec<Tell> {
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
            // It does not restart any more.
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

    /// Time has passed.
    pub(in crate::control) fn timeout(&mut self, now: Moment) -> Vec<Tell> {
        let mut tells = Vec::new();
        let troubled = self.is_troubled();
        for (cause, gate) in &mut self.gates {
            if gate.shut_until > now {
                continue;
            }
            let held = std::mem::take(&mut gate.held);
            // That it had recovered is no news if it has not.
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

    /// So many restarts, if it is flapping.
    pub(in crate::control) const fn flapping(&self) -> Option<u32> {
        if self.flapping {
            Some(self.flaps)
        } else {
            None
        }
    }

    /// It is well, and has not restarted for a while. That its flapping is over is told later.
    pub(in crate::control) fn is_calm(&self, now: Moment) -> bool {
        let last = self.recent.back();
        self.well && last.is_none_or(|at| at.after(CALM_MS) <= now)
    }

    /// Nothing is left to be known of it.
    pub(in crate::control) fn is_over(&self) -> bool {
        self.restarts == 0 && !self.is_troubled() && self.gates.is_empty()
    }

    /// What must outlive the control process has changed.
    pub(in crate::control) fn differs(&self, before: &Self) -> bool {
        let flags = |it: &Self| {
            let now = (it.failed, it.was_failed);
            (now, it.unhealthy, it.crashing, it.flapping)
        };
        flags(self) != flags(before)
    }

    /// It was told of, and nothing has been said since.
    pub(in crate::control) const fn is_troubled(&self) -> bool {
        self.failed || self.unhealthy || self.crashing || self.flapping
    }

    fn count_restarts(&mut self, now: Moment, restarts: u32, tells: &mut Vec<Tell>) {
        let before = std::mem::replace(&mut self.restarts, restarts);
        if restarts < before {
            // Started by hand: what was before does not count.
            self.recent.clear();
            // It was told of as bad, and is until it is well.
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
            // What is held is still told when its time has come, with all that came till then.
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

    /// The moment from which it may be called well, if it is; none: at once.
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
