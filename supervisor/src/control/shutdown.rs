//! The end of the daemon: everything is stopped, and once all state that outlives the daemon is on
//! the disk, the keeper quits.
//!
//! Owns the number of stop signals, the reason for an end with failure, the services that our
//! SIGKILL ended, and the end itself. The engine stops the services and knows that a shutdown has
//! begun ([`Context::is_stopping`]), so no second flag can contradict it.
//!
//! Invariant: the keeper remembers each signal before the engine acts on the signal, so a successor
//! goes on with the shutdown. Each further signal leaves less time. Limits: [`SHUTDOWN_MS_MAX`] for
//! the services, [`LAST_WRITE_MS`] for the disk.

use std::collections::BTreeMap;

use engine::{Command, Moment, ServiceId, State};
use keeper::message::Request;

use crate::control::{Context, record_keys::Key, runs::killed::Killed, text};

/// A shutdown takes no longer than this, whatever the services' own timeouts add up to.
const SHUTDOWN_MS_MAX: u64 = 5 * 60_000;
/// Added to the services' timeouts: time to sweep processes after SIGKILL.
const SHUTDOWN_MARGIN_MS: u64 = 10_000;
/// Time for the last writes once everything is stopped.
const LAST_WRITE_MS: u64 = 2_000;
/// Time that a second signal leaves.
const SECOND_SIGNAL_MS: u64 = 5_000;

/// The state of the shutdown; see the module.
#[derive(Debug, Default)]
pub(super) struct Shutdown {
    signals: u32,
    /// The service that failed and that the daemon may not go on without, and why it failed.
    failed: Option<String>,
    /// Services whose last run ended by our SIGKILL; true: in this shutdown.
    killed: BTreeMap<ServiceId, (Killed, bool)>,
    /// Set once everything is stopped.
    quit: Option<Quit>,
}

/// The end of the daemon.
#[derive(Debug)]
struct Quit {
    code: u8,
    /// The latest moment for the end.
    by: Moment,
}

impl Shutdown {
    /// Takes back what an earlier control process had the keeper remember.
    pub(super) fn restore(&mut self, records: &BTreeMap<String, String>) {
        if let Some(record) = Key::Signals.of(records) {
            self.signals = record.parse().unwrap_or(1);
        }
        self.failed = Key::Failed.of(records).cloned();
    }

    /// Whether somebody has asked for the shutdown, possibly under an earlier control process.
    pub(super) const fn is_asked(&self) -> bool {
        self.signals > 0
    }

    /// Whether the daemon ends with a failure.
    #[cfg(test)]
    pub(super) const fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    pub(super) fn poll_timeout(&self) -> Option<Moment> {
        self.quit.as_ref().map(|quit| quit.by)
    }

    /// The last run of a service has ended, by our SIGKILL or not.
    pub(super) fn note_end(&mut self, cx: &Context, id: ServiceId, killed: Option<Killed>) {
        if let Some(killed) = killed {
            let (service, why) = (cx.name(id), text::killed(killed));
            tracing::warn!(service, "was ended by SIGKILL: {why}");
            self.killed.insert(id, (killed, cx.is_stopping()));
        } else {
            self.killed.remove(&id);
        }
    }

    /// How our SIGKILL ended the service's last run, if it did.
    pub(super) fn was_killed(&self, id: ServiceId) -> Option<Killed> {
        self.killed.get(&id).map(|(killed, _)| *killed)
    }

    /// Counts one more stop signal; returns the command for the engine.
    pub(super) fn on_signal(&mut self, cx: &mut Context) -> Command {
        self.signals += 1;
        cx.remember(Key::Signals, self.signals.to_string());
        self.command(cx)
    }

    /// A service has failed for good that the daemon may not go on without: the daemon stops
    /// everything as if by a signal, but ends with a failure.
    pub(super) fn on_failed(&mut self, cx: &mut Context, why: String) -> Command {
        let what =
            format!("stops everything and ends with a failure, by exit_when_failed of {why}");
        tracing::error!("{what}");
        cx.publish("", api::EventKind::Daemon, &what, None);
        cx.remember(Key::Failed, why.clone());
        self.failed = Some(why);
        self.on_signal(cx)
    }

    /// The command for the engine: stop everything, in the time that the signals so far leave.
    pub(super) fn command(&self, cx: &mut Context) -> Command {
        let deadline_ms = match self.signals {
            1 => deadline_ms(&cx.plan),
            2 => SECOND_SIGNAL_MS,
            _ => 0,
        };
        tracing::info!(deadline_ms, "stopping everything");
        cx.publish("", api::EventKind::Daemon, "stopping everything", None);
        Command::Shutdown { deadline_ms }
    }

    /// The engine has stopped everything, as far as it could.
    pub(super) fn complete(&mut self, cx: &Context, clean: bool) {
        let killed = self.killed.iter().filter(|(_, (_, now))| *now);
        let killed: Vec<&str> = killed.map(|(id, _)| cx.name(*id)).collect();
        let killed = killed.join(", ");
        match (clean, killed.as_str()) {
            (false, _) => tracing::error!("ends though not everything could be stopped"),
            (true, "") => tracing::info!("everything is stopped"),
            (true, _) => {
                tracing::warn!("everything is stopped, but SIGKILL was needed for: {killed}");
            }
        }
        self.quit = Some(Quit {
            code: u8::from(!clean || self.failed.is_some()),
            by: cx.now.moment.after(LAST_WRITE_MS),
        });
    }

    /// Whether the keeper is to quit now, with this exit code: everything is stopped and written,
    /// or the time for writing is over. `awaited`: a write is under way.
    pub(super) fn take_quit(&mut self, now: Moment, awaited: bool) -> Option<Request> {
        let ready = |quit: &mut Quit| !awaited || quit.by <= now;
        let Quit { code, .. } = self.quit.take_if(ready)?;
        Some(Request::Quit { code })
    }
}

/// The services' stop timeouts, in the worst case one after the other.
fn deadline_ms(plan: &plan::Plan) -> u64 {
    let enabled = plan.services.values().filter(|service| service.enabled);
    let sum: u64 = enabled.map(|service| service.stop.timeout_ms).sum();
    sum.saturating_add(SHUTDOWN_MARGIN_MS).min(SHUTDOWN_MS_MAX)
}

/// The first service touched by this input that has failed and that the daemon may not go on
/// without.
pub(super) fn fatal_failure(cx: &Context) -> Option<ServiceId> {
    let failed = |id: &&ServiceId| {
        let view = cx.engine.view(**id);
        view.is_some_and(|view| matches!(view.state, State::Failed { .. }))
    };
    let fatal = |id: &&ServiceId| cx.service(**id).is_some_and(|it| it.exit_when_failed);
    let mut touched = cx.touched().iter().filter(fatal);
    touched.find(failed).copied()
}
