//! One process that the keeper runs for the control process, and its purpose.
//!
//! Owner: [`crate::control::context::Context`], by number. A run is known from the request for it
//! until the keeper has swept it. A main run, a validator, a reload command and an exec probe
//! belong to a service; a step of a reconfiguration and a delivery of a message belong to none.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use engine::{RunId, ServiceId};

use crate::{control::runs::exits, prepare::Resolved};

/// One run, as far as the control process follows it.
pub(in crate::control) struct Run {
    /// Whose run it is. None for a step of a reconfiguration and for a delivery.
    pub(in crate::control) service: Option<ServiceId>,
    pub(in crate::control) pid: Option<i32>,
    pub(in crate::control) purpose: Purpose,
    /// What was looked up for a main run. None: an earlier control process started it.
    pub(in crate::control) resolved: Option<Arc<Resolved>>,
    /// Directories that a main run has: those of its service when it was started.
    pub(in crate::control) directories: Vec<PathBuf>,
    /// The run's readiness messages, by key.
    pub(in crate::control) ready_words: BTreeMap<String, String>,
    /// What is told of a main run once it is over.
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

/// The purpose of a run.
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
