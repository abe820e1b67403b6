//! Runs that are restarted because files have changed, until they end: what is told of their ends.
//!
//! Owner: the control process. The keeper remembers one before the restart is asked for, so that a
//! successor knows why the run goes down. Limits: one a service, [`FILES_MAX`] paths each.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use api::{ExitCause, FILES_MAX};
use engine::{RunId, ServiceId};
use serde::{Deserialize, Serialize};

use crate::control::{Context, record_keys::Key};

/// By service.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(in crate::control) struct FileRestarts(BTreeMap<ServiceId, FileRestart>);

#[derive(Debug, Serialize, Deserialize)]
struct FileRestart {
    run: RunId,
    paths: Vec<String>,
    /// So many more.
    more: u64,
}

impl FileRestarts {
    /// What an earlier control process knew.
    pub(in crate::control) fn restore(record: Option<&String>) -> Self {
        let known = record.and_then(|record| serde_json::from_str(record).ok());
        known.unwrap_or_default()
    }

    /// Why a run is restarted, if files are why.
    pub(in crate::control) fn cause(&self, service: ServiceId, run: RunId) -> Option<ExitCause> {
        let known = self.0.get(&service).filter(|it| it.run == run)?;
        Some(ExitCause::Files {
            paths: known.paths.clone(),
            more: known.more,
        })
    }
}

impl FileRestarts {
    /// The run has ended, and that is told.
    pub(in crate::control) fn ended(&mut self, cx: &mut Context, service: ServiceId, run: RunId) {
        if self.0.get(&service).is_some_and(|it| it.run == run) {
            self.forget(cx, service);
        }
    }

    /// The service is not restarted after all.
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
    /// Before the restart is asked for.
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
