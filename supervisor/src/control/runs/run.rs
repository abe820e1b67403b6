//! One process that the keeper runs for us, and what it is for.
//!
//! Owner: [`crate::control::context::Context`], by number. A run is here from the moment at which it is asked for until all of it
//! is swept; a main run, a validator, a reload command and a probe
//! belong to a service; a step of a reconfiguration and a delivery to whoever has asked for them.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use engine::{RunId, ServiceId};

use crate::{control::runs::exits, prepare::Resolved};

/// One run, as far as the control process follows it.
pub(in crate::control) struct Run {
    /// None: it is of no service, a step of a reconfiguration or a delivery.
    pub(in crate::control) service: Option<ServiceId>,
    pub(in crate::control) pid: Option<i32>,
    pub(in crate::control) purpose: Purpose,
    /// What was looked up for it, of a main run; none: it was started by an earlier control process.
    pub(in crate::control) resolved: Option<Arc<Resolved>>,
    /// Directories of its service, of a main run.
    pub(in crate::control) directories: Vec<PathBuf>,
    /// What it has said of its readiness, by key.
    pub(in crate::control) ready_words: BTreeMap<String, String>,
    /// Of a main run: what is told of it once it is over.
    pub(in crate::control) life: exits::Life,
}

impl Run {
    pub(in crate::control) fn new(service: ServiceId, purpose: Purpose) -> Self {
        Self {
            service: Some(service),
            ..Self::of_nobody(purpose)
        }
    }

    /// A run that is of no service.
    pub(in crate::control) fn of_nobody(purpose: Purpose) -> Self {
        Self {
            service: None,
            pid: None,
            purpose,
            resolved: None,
            directories: Vec::new(),
            ready_words: BTreeMap::new(),
            life: exits::Life::default(),
        }
    }
}

/// What a run is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::control) enum Purpose {
    /// The service itself.
    Main,
    /// Its validator, before a start or reload.
    Validator,
    /// Its reload command, for this main run.
    ReloadCommand(RunId),
    /// An exec probe of this main run.
    Probe(RunId, engine::ProbeKind),
    /// A step of a reconfiguration: an account, or the check of a rendered file.
    Reconfigure,
    /// A message on its way to somebody.
    Delivery,
}
