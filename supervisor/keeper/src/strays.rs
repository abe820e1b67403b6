//! Children of the keeper that belong to no known run: a daemon of a service that has left cgroup,
//! session, group and log pipe and emptied its environment; in a container also an orphan of a
//! process that was started from outside. Strays are never killed, for their owner is unknown; they
//! are named in the daemon's log and to the control process.
//!
//! Limits: looked for after each sweep of a run, forgotten when reaped; at most [`STRAYS_MAX`] are
//! named.

use proc::Family;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::{
    clock,
    kit::Kit,
    message::{Notice, Stray},
    runs::Runs,
    stderr_log::warning,
};

/// Strays beyond this number are not named.
const STRAYS_MAX: usize = 64;

/// Known strays, by pid.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Strays {
    known: BTreeMap<i32, Stray>,
}

impl Strays {
    /// Looks for strays after a sweep. True: the set of strays has changed.
    pub(crate) fn look(&mut self, kit: &Kit, runs: &Runs) -> bool {
        let own = i32::try_from(std::process::id()).unwrap_or(0);
        let before: Vec<i32> = self.known.keys().copied().collect();
        let mut strays = BTreeMap::new();
        for pid in Family::look().children(own) {
            if strays.len() == STRAYS_MAX || runs.is_ours(kit, pid) {
                continue;
            }
            let Some(stat) = proc::stat(pid).filter(|stat| stat.state != b'Z') else {
                continue;
            };
            if runs.has_process(pid, &stat) {
                continue;
            }
            let stray = self.known.remove(&pid).unwrap_or_else(|| {
                let name = proc::name(pid);
                warning!(
                    "pid {pid} ({name}) belongs to no service that can be told; leaves it alone"
                );
                Stray {
                    pid,
                    command: name,
                    started_unix_ms: clock::unix_ms_of_ticks(stat.start),
                }
            });
            strays.insert(pid, stray);
        }
        self.known = strays;
        !self.known.keys().eq(&before)
    }

    /// Forgets a reaped child that belonged to no run. True: the child was a stray.
    pub(crate) fn ended(&mut self, pid: i32) -> bool {
        self.known.remove(&pid).is_some()
    }

    /// Whether no stray is known.
    pub(crate) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// The notice that names all strays to the control process.
    pub(crate) fn notice(&self) -> Notice {
        let strays = self.known.values().cloned().collect();
        Notice::Strays { strays }
    }
}
