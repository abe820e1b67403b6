//! The daemon's own life: what it takes up at its start, what it tells its init, how it ends.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use engine::{Command, Goal, Moment, Record, RunId, ServiceId, Settled, Shift, State};
use keeper::message::Request;
use nix::sys::signal::Signal;

use crate::control::{
    Context, Control, Now, boot::Boot, input::Output, reconfigure::specs, record_keys::Key,
    runs::killed::Killed, text,
};

/// A shutdown takes no longer than this, whatever the services' own timeouts add up to.
const SHUTDOWN_MS_MAX: u64 = 5 * 60_000;
/// Added to the services' timeouts: time for what SIGKILL leaves to be swept.
const SHUTDOWN_MARGIN_MS: u64 = 10_000;
/// Once everything is stopped, what is on no disk gets this long to be written.
const LAST_WRITE_MS: u64 = 2_000;
/// What a second signal leaves.
const SECOND_SIGNAL_MS: u64 = 5_000;
/// How often the init is asked for more time, and how much is asked for.
const EXTEND_EVERY_MS: u64 = 10_000;
const EXTEND_BY_USEC: u64 = 30_000_000;

/// Pause between two status lines.
const STATUS_PAUSE_MS: u64 = 1_000;
/// Names in the status line that the init shows.
const STATUS_NAMES_MAX: usize = 8;

/// Where the daemon is in its life.
#[derive(Debug)]
pub(super) struct Lifecycle {
    phase: Phase,
    warnings: Vec<String>,
    /// Services that are on their way.
    unsettled: BTreeSet<ServiceId>,
    /// Services that have settled and are not up.
    down: BTreeSet<ServiceId>,
    /// Services whose lot hangs on others: looked at again whenever anything changes.
    pub(super) waiting: BTreeSet<ServiceId>,
    pub(super) signals: u32,
    /// Why the daemon ends with a failure: what has failed that it may not go on without.
    pub(super) failed: Option<String>,
    /// Services whose last run ended by our SIGKILL; true: in this shutdown.
    killed: BTreeMap<ServiceId, (Killed, bool)>,
    /// Lower numbers are runs of an earlier control process.
    pub(super) first_own_run: Option<RunId>,
    told: String,
    /// When it is to be told the next.
    tell_at: Option<Moment>,
    /// Everything is stopped.
    quit: Option<Quit>,
}

/// The end of the daemon.
#[derive(Debug)]
struct Quit {
    code: u8,
    /// At the latest.
    by: Moment,
}

#[derive(Debug, PartialEq, Eq)]
enum Phase {
    /// Services have not all settled; the init is asked for more time at this moment.
    Starting {
        extend_at: Moment,
    },
    Running,
    Stopping {
        extend_at: Moment,
    },
}

impl Lifecycle {
    pub(super) fn new(now: Now, boot: &Boot) -> Self {
        Self {
            phase: Phase::Starting {
                extend_at: now.moment,
            },
            warnings: boot.warnings.clone(),
            unsettled: BTreeSet::new(),
            down: BTreeSet::new(),
            waiting: BTreeSet::new(),
            signals: 0,
            failed: None,
            killed: BTreeMap::new(),
            first_own_run: None,
            told: String::new(),
            tell_at: None,
            quit: None,
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Moment> {
        let extend_at = match self.phase {
            Phase::Starting { extend_at } | Phase::Stopping { extend_at } => Some(extend_at),
            Phase::Running => None,
        };
        let quit_by = self.quit.as_ref().map(|quit| quit.by);
        extend_at
            .into_iter()
            .chain(self.tell_at)
            .chain(quit_by)
            .min()
    }

    pub(super) const fn phase_name(&self) -> &'static str {
        match self.phase {
            Phase::Starting { .. } => "starting",
            Phase::Running => "running",
            Phase::Stopping { .. } => "stopping",
        }
    }

    pub(super) fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }

    /// The last run of a service has ended, by our SIGKILL or not.
    pub(super) fn note_end(&mut self, cx: &Context, id: ServiceId, killed: Option<Killed>) {
        if let Some(killed) = killed {
            let (service, why) = (cx.name(id), text::killed(killed));
            tracing::warn!(service, "was ended by SIGKILL: {why}");
            self.killed.insert(id, (killed, self.is_stopping()));
        } else {
            self.killed.remove(&id);
        }
    }

    /// Its last run was ended by our SIGKILL.
    pub(super) fn was_killed(&self, id: ServiceId) -> Option<Killed> {
        self.killed.get(&id).map(|(killed, _)| *killed)
    }

    pub(super) const fn is_stopping(&self) -> bool {
        matches!(self.phase, Phase::Stopping { .. })
    }
}

impl Control {
    /// Tells the engine about the plan; services that are new may carry a hold from before.
    pub(super) fn apply_to_engine(&mut self, shifts: &BTreeMap<ServiceId, Shift>) {
        let enabled: Vec<String> = self
            .cx
            .plan
            .services
            .values()
            .filter(|it| it.enabled)
            .map(|it| it.name.clone())
            .collect();
        for name in &enabled {
            let id = self.cx.names.intern(name);
            if let Some(hold) = self.holds.of(name).cloned()
                && self.cx.engine.view(id).is_none()
                && !self.cx.engine.is_restored(id)
            {
                self.cx
                    .engine
                    .restore(id, Record::at_rest(Goal::Down, Some(hold)));
            }
        }
        let plan = Arc::clone(&self.cx.plan);
        let specs = specs(&mut self.cx, &plan, shifts);
        if let Err(refusal) = self.command(Command::Apply(specs)) {
            let error = self.cx.refused(&refusal);
            tracing::error!("the plan cannot be applied: {}", error.message);
            self.reconfigure.note_not_applied(error.message);
        }
        self.log_readiness.follow_plan(&mut self.cx);
        self.hear_ready_words();
        self.host_checks.follow_plan(&self.cx);
        self.file_watch.follow_plan(&mut self.cx);
        self.status_files_follow_plan();
    }

    /// SIGTERM, SIGINT, SIGQUIT or SIGHUP to the keeper.
    pub(super) fn on_own_signal(&mut self, signal: i32) {
        if signal == Signal::SIGHUP as i32 {
            if !self.lifecycle.is_stopping() {
                self.on_hangup();
            }
            return;
        }
        self.count_signal();
        self.begin_shutdown();
    }

    fn count_signal(&mut self) {
        self.lifecycle.signals += 1;
        let record = self.lifecycle.signals.to_string();
        self.cx.remember(Key::Signals, record);
    }

    /// A service has failed for good that the daemon may not go on without: as if by a signal, but
    /// it ends with a failure.
    pub(super) fn end_if_one_failed(&mut self) {
        if self.lifecycle.is_stopping() {
            return;
        }
        let failed = self.cx.touched().iter().find_map(|id| {
            let service = self.cx.service(*id).filter(|it| it.exit_when_failed)?;
            let view = self.cx.engine.view(*id)?;
            matches!(view.state, State::Failed { .. })
                .then(|| format!("{}: {}", service.name, self.reason(&service.name, &view)))
        });
        let Some(why) = failed else {
            return;
        };
        let what =
            format!("stops everything and ends with a failure, by exit_when_failed of {why}");
        tracing::error!("{what}");
        self.cx.publish("", "daemon", &what, None);
        self.cx.remember(Key::Failed, why.clone());
        self.lifecycle.failed = Some(why);
        self.count_signal();
        self.begin_shutdown();
    }

    /// Stops everything; each further signal leaves less time.
    pub(super) fn begin_shutdown(&mut self) {
        let deadline_ms = match self.lifecycle.signals {
            1 => self.shutdown_deadline_ms(),
            2 => SECOND_SIGNAL_MS,
            _ => 0,
        };
        tracing::info!(deadline_ms, "stopping everything");
        self.cx.tell(Request::TellInit {
            message: "STOPPING=1\nSTATUS=stopping".to_owned(),
        });
        self.cx.publish("", "daemon", "stopping everything", None);
        self.lifecycle.phase = Phase::Stopping {
            extend_at: self.cx.now.moment,
        };
        if let Err(refusal) = self.command(Command::Shutdown { deadline_ms }) {
            tracing::error!("cannot shut down: {}", self.cx.refused(&refusal).message);
        }
    }

    /// Longest chain of stops, in the worst case one after the other.
    fn shutdown_deadline_ms(&self) -> u64 {
        let enabled = self
            .cx
            .plan
            .services
            .values()
            .filter(|service| service.enabled);
        let sum: u64 = enabled.map(|service| service.stop.timeout_ms).sum();
        sum.saturating_add(SHUTDOWN_MARGIN_MS).min(SHUTDOWN_MS_MAX)
    }

    pub(super) fn shutdown_complete(&mut self, clean: bool) {
        let killed = self.lifecycle.killed.iter().filter(|(_, (_, now))| *now);
        let killed: Vec<&str> = killed.map(|(id, _)| self.cx.name(*id)).collect();
        let killed = killed.join(", ");
        self.leftovers.log(&self.cx);
        match (clean, killed.as_str()) {
            (false, _) => tracing::error!("ends though not everything could be stopped"),
            (true, "") => tracing::info!("everything is stopped"),
            (true, _) => {
                tracing::warn!("everything is stopped, but SIGKILL was needed for: {killed}");
            }
        }
        self.holds.write_again();
        self.schedule.write_again();
        self.maintenance.write_again();
        self.audit.hurry();
        self.exits.release(&mut self.cx, true);
        self.running.hurry();
        self.lifecycle.quit = Some(Quit {
            code: u8::from(!clean || self.lifecycle.failed.is_some()),
            by: self.cx.now.moment.after(LAST_WRITE_MS),
        });
    }

    /// Ends the daemon once nothing is under way to the disk any more, or has been for too long.
    pub(super) fn quit_when_stored(&mut self) {
        let now = self.cx.now.moment;
        let awaited = self.holds.are_awaited()
            || self.schedule.is_awaited()
            || self.audit.are_awaited()
            || self.exits.are_awaited()
            || self.running.are_awaited()
            || self.maintenance.is_awaited()
            || self.status_files.are_awaited();
        let ready = |quit: &mut Quit| !awaited || quit.by <= now;
        let Some(Quit { code, .. }) = self.lifecycle.quit.take_if(ready) else {
            return;
        };
        for lost in self
            .holds
            .warning()
            .into_iter()
            .chain(self.schedule.warning())
            .chain(self.maintenance.warning())
            .chain(self.audit.warning())
            .chain(self.exits.warning())
            .chain(self.running.warning())
        {
            tracing::error!("ends all the same: {lost}");
        }
        self.cx.tell(Request::Quit { code });
    }

    pub(super) fn lifecycle_timeout(&mut self) {
        self.tell_status();
        let now = self.cx.now.moment;
        let (Phase::Starting { extend_at } | Phase::Stopping { extend_at }) =
            &mut self.lifecycle.phase
        else {
            return;
        };
        if *extend_at > now {
            return;
        }
        *extend_at = now.after(EXTEND_EVERY_MS);
        let message = format!("EXTEND_TIMEOUT_USEC={EXTEND_BY_USEC}");
        self.cx.tell(Request::TellInit { message });
    }

    /// Sorts the services that have changed, and those whose lot hangs on others, by how they stand.
    pub(super) fn sort_touched(&mut self, touched: &BTreeSet<ServiceId>) {
        let waiting = std::mem::take(&mut self.lifecycle.waiting);
        for id in touched.union(&waiting) {
            let Some(view) = self.cx.engine.view(*id) else {
                self.lifecycle.unsettled.remove(id);
                self.lifecycle.down.remove(id);
                continue;
            };
            let settled = self.cx.engine.settled(*id);
            // Nobody waits for work that somebody has asked for, but who stops everything.
            let counts =
                self.lifecycle.is_stopping() || !self.cx.service(*id).is_some_and(|it| it.job);
            set(
                &mut self.lifecycle.unsettled,
                *id,
                counts && settled == Some(Settled::No),
            );
            let up = matches!(
                settled,
                Some(Settled::Ready | Settled::Completed | Settled::Held)
            );
            set(
                &mut self.lifecycle.down,
                *id,
                counts && !up && settled != Some(Settled::No),
            );
            let waits = matches!(view.state, State::Waiting { .. });
            set(&mut self.lifecycle.waiting, *id, waits);
            self.holds.note(&mut self.cx, *id, view.hold);
        }
    }

    /// Tells the init how far things are, and that it is ready once every service has settled.
    pub(super) fn lifecycle_check(&mut self) {
        let starting = matches!(self.lifecycle.phase, Phase::Starting { .. });
        let ready = starting && self.lifecycle.unsettled.is_empty() && self.reconfigure.is_idle();
        let status = self.init_status();
        if ready {
            self.lifecycle.phase = Phase::Running;
            self.cx
                .publish("", "daemon", "every service has settled", None);
            let message = format!("READY=1\nSTATUS={status}");
            self.cx.tell(Request::TellInit { message });
            self.cx.output(Output::ReleaseMemory);
            self.lifecycle.told = status;
        } else if status != self.lifecycle.told {
            // A storm of changes is one message a second.
            self.lifecycle
                .tell_at
                .get_or_insert(self.cx.now.moment.after(STATUS_PAUSE_MS));
        }
    }

    /// The status line is due.
    fn tell_status(&mut self) {
        if self
            .lifecycle
            .tell_at
            .is_none_or(|due| due > self.cx.now.moment)
        {
            return;
        }
        self.lifecycle.tell_at = None;
        let status = self.init_status();
        if status != self.lifecycle.told {
            let message = format!("STATUS={status}");
            self.cx.tell(Request::TellInit { message });
            self.lifecycle.told = status;
        }
    }

    fn init_status(&self) -> String {
        let named = |ids: &BTreeSet<ServiceId>| {
            let names = ids
                .iter()
                .take(STATUS_NAMES_MAX)
                .filter_map(|id| self.cx.names.name(*id));
            let rest = ids.len().saturating_sub(STATUS_NAMES_MAX);
            let more = if rest > 0 {
                format!(" and {rest} more")
            } else {
                String::new()
            };
            names.collect::<Vec<_>>().join(" ") + &more
        };
        let (unsettled, down) = (&self.lifecycle.unsettled, &self.lifecycle.down);
        if self.lifecycle.is_stopping() {
            format!("stopping: {}", named(unsettled))
        } else if !unsettled.is_empty() {
            format!("waiting for: {}", named(unsettled))
        } else if !down.is_empty() {
            format!("not up: {}", named(down))
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
