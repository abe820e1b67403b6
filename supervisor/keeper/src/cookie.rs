//! The variable of its environment that says whose a process is: a daemon that has left cgroup,
//! session, group and log pipe before anybody looked still has it.

use std::sync::OnceLock;

use crate::message::RunId;

/// What a cookie begins with.
pub(crate) const COOKIE: &str = "MATTERVISOR_RUN=";

/// A variable that every process of a run starts with: a daemon that has left cgroup, session,
/// group and log pipe before anybody looked still has it.
pub(crate) fn cookie(run: RunId) -> String {
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    format!("{}{run}", mark(own, own_start()))
}

/// What the cookies of all runs of a keeper begin with. A pid alone would be another's after a
/// while, or in another namespace.
pub(crate) fn mark(keeper: i32, start: u64) -> String {
    format!("{COOKIE}{keeper}-{start}-")
}

/// When this process was started, in ticks since boot.
fn own_start() -> u64 {
    static START: OnceLock<u64> = OnceLock::new();
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    *START.get_or_init(|| proc::stat(own).map_or(0, |stat| stat.start))
}
