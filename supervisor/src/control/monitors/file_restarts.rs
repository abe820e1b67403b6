//! Restarts because of changed files: keeps the reason of each until the run has ended.
//!
//! Owner: the control process. The keeper remembers the reason before the restart is requested, so
//! that a successor knows why the run goes down. Limits: one per service, [`FILES_MAX`] paths each.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use api::{ExitCause, FILES_MAX};
use engine::{RunId, ServiceId};
use serde::{Deserialize, Serialize};

use crate::control::{Context, record_keys::Key};

/// Restarts by service.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(in crate::control) struct FileRestarts(BTreeMap<ServiceId, FileRestart>);

#[derive(Debug, Serialize, Deserialize)]
struct FileRestart {
    run: RunId,
    paths: Vec<String>,
    /// Number of further files.
    more: u64,
}

impl FileRestarts {
    /// Restores the restarts that an earlier control process knew.
    pub(in crate::control) fn restore(record: Option<&String>) -> Self {
        let known = record.and_then(|record| serde_json::from_str(record).ok());
        known.unwrap_or_default()
    }

    /// The changed files that a run is restarted for, if files are the reason.
    pub(in crate::control) fn cause(&self, service: ServiceId, run: RunId) -> Option<ExitCause> {
        let known = self.0.get(&service).filter(|it| it.run == run)?;
        Some(ExitCause::Files {
            paths: known.paths.clone(),
            more: known.more,
        })
    }
}

impl FileRestarts {
    /// Drops the reason once the end of the run is reported.
    pub(in crate::control) fn ended(&mut self, cx: &mut Context, service: ServiceId, run: RunId) {
        if self.0.get(&service).is_some_and(|it| it.run == run) {
            self.forget(cx, service);
        }
    }

    /// Drops the reason of a restart that does not happen.
    pub(in crate::control) fn forget(&mut self, cx: &mut Context, service: ServiceId) {
        if self.0.remove(&service).is_some() {
            self.remember(cx);
        }
    }

    fn remember(&mut self, cx: &mut Context) {
        let record = serde_json::to_string(self).expect("it is plain data");
        cx.remember(Key::FileRestarts, record);
    }
}

impl FileRestarts {
    /// Notes the reason; call before the restart is requested.
    pub(in crate::control) fn note(
        &mut self,
        cx: &mut Context,
        id: ServiceId,
        run: RunId,
        files: &BTreeSet<PathBuf>,
    ) {
        let paths = files.iter().take(FILES_MAX);
        let restart = FileRestart {
            run,
            paths: paths.map(|path| path.display().to_string()).collect(),
            more: files.len().saturating_sub(FILES_MAX) as u64,
        };
        self.0.insert(id, restart);
        self.remember(cx);
    }
}
