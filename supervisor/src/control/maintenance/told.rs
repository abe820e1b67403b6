//! Checks what users are told of maintenance, at the place where users get it: asks services that
//! serve users (`[maintenance]` of a service file) once the status files are up to date.
//!
//! Each service gets one question at a time, repeated until the answer is right or the time is
//! over. A service that is not ready is not asked; that is an outcome too. Sans-IO. Limit: one look
//! at a time, for all clients that wait for it.

use std::collections::BTreeMap;

use api::{ServiceState, Told};
use engine::Moment;
use plan::MaintenanceConfirm;

use crate::control::runs::network_probe::No;

/// A look at all services that tell users.
#[derive(Debug)]
pub(super) struct ConfirmCheck {
    /// Whether services are to tell users of maintenance; false: that there is none.
    on: bool,
    services: BTreeMap<String, Sight>,
}

#[derive(Debug)]
struct Sight {
    confirm: MaintenanceConfirm,
    /// When the time of the look is over.
    until: Moment,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// The next question is due at `at`; `why`: why there was no good answer so far.
    Due { at: Moment, why: Option<String> },
    /// The service was asked, by the question of this number.
    Asked(u64),
    /// The service's outcome is known.
    Over(Told),
}

impl ConfirmCheck {
    /// `services`: all services that tell users.
    pub(super) fn new(
        now: Moment,
        on: bool,
        services: impl IntoIterator<Item = (String, MaintenanceConfirm)>,
    ) -> Self {
        let sight = |(name, confirm): (String, MaintenanceConfirm)| {
            let stage = Stage::Due { at: now, why: None };
            let until = now.after(confirm.timeout_ms);
            let sight = Sight {
                confirm,
                until,
                stage,
            };
            (name, sight)
        };
        Self {
            on,
            services: services.into_iter().map(sight).collect(),
        }
    }

    pub(super) const fn is_for(&self, on: bool) -> bool {
        self.on == on
    }

    /// The services to ask now, with the numbers of their questions. `not_ready`: the state of a
    /// service that is not ready; `asked`: the number of the last question of any look.
    pub(super) fn due(
        &mut self,
        now: Moment,
        asked: &mut u64,
        not_ready: impl Fn(&str) -> Option<ServiceState>,
    ) -> Vec<(u64, plan::Probe)> {
        let mut due = Vec::new();
        for (name, sight) in &mut self.services {
            if matches!(sight.stage, Stage::Over(_)) {
                continue;
            }
            if let Some(state) = not_ready(name) {
                sight.stage = Stage::Over(Told::NotReady { state });
                continue;
            }
            if let Stage::Due { at, why } = &mut sight.stage {
                if let Some(why) = why.take_if(|_| now >= sight.until) {
                    sight.stage = Stage::Over(Told::No { why });
                } else if *at <= now {
                    *asked += 1;
                    sight.stage = Stage::Asked(*asked);
                    due.push((*asked, sight.confirm.probe.clone()));
                }
            }
        }
        due
    }

    /// Takes the answer to a question. An answer to an earlier look's question is dropped.
    pub(super) fn answered(&mut self, now: Moment, question: u64, answer: Result<(), No>) {
        let mut services = self.services.values_mut();
        let asked =
            |it: &&mut Sight| matches!(it.stage, Stage::Asked(number) if number == question);
        let Some(sight) = services.find(asked) else {
            return;
        };
        let why = match (answer, self.on) {
            (Ok(()), true) | (Err(No::Answer(_)), false) => {
                sight.stage = Stage::Over(Told::Yes);
                return;
            }
            (Ok(()), false) => "it still tells users of maintenance".to_owned(),
            (Err(why), _) => why.into(),
        };
        sight.stage = if now >= sight.until {
            Stage::Over(Told::No { why })
        } else {
            Stage::Due {
                at: now.after(sight.confirm.probe.interval_ms).min(sight.until),
                why: Some(why),
            }
        };
    }

    /// The outcome of all services, once complete.
    pub(super) fn outcome(&self) -> Option<BTreeMap<String, Told>> {
        let over = |(name, sight): (&String, &Sight)| match &sight.stage {
            Stage::Over(told) => Some((name.clone(), told.clone())),
            Stage::Due { .. } | Stage::Asked(_) => None,
        };
        self.services.iter().map(over).collect()
    }

    /// When [`Self::due`] has something to do.
    pub(super) fn poll_timeout(&self) -> Option<Moment> {
        let due = self.services.values().filter_map(|it| match it.stage {
            Stage::Due { at, .. } => Some(at),
            Stage::Asked(_) | Stage::Over(_) => None,
        });
        due.min()
    }
}
