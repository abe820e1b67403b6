//! The environment variable that marks the processes of a run: a daemon that left cgroup, session,
//! group and log pipe unseen still has the variable.

use std::sync::OnceLock;

use crate::message::RunId;

/// Prefix of every cookie.
pub(crate) const COOKIE: &str = "MATTERVISOR_RUN=";

/// The cookie of a run, which every process of the run starts with.
pub(crate) fn cookie(run: RunId) -> String {
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    format!("{}{run}", mark(own, own_start()))
}

/// Prefix of the cookies of all runs of a keeper. A pid alone would not do: another process may
/// have it later, or in another namespace.
pub(crate) fn mark(keeper: i32, start: u64) -> String {
    format!("{COOKIE}{keeper}-{start}-")
}

/// When this process was started, in ticks since boot.
fn own_start() -> u64 {
    static START: OnceLock<u64> = OnceLock::new();
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    *START.get_or_init(|| proc::stat(own).map_or(0, |stat| stat.start))
}
