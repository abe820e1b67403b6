//! Repeated checks beside the services: disks and programs, changed files, listening addresses.
//!
//! A job does each check, since a file system may hang; this folder decides when to check and what
//! a finding means.

pub(in crate::control) mod file_restarts;
pub(in crate::control) mod file_watch;
pub(in crate::control) mod host_checks;
pub(in crate::control) mod inotify;
pub(in crate::control) mod listening;

/// The monitors, one per field.
#[derive(Debug, Default)]
pub(in crate::control) struct Monitors {
    /// Whether services listen where a plan has moved them.
    pub(in crate::control) listening: listening::Listening,
    /// Disks that fill up, programs that were replaced.
    pub(in crate::control) host_checks: host_checks::HostChecks,
    /// Watched files and certificates.
    pub(in crate::control) file_watch: file_watch::FileWatch,
    /// Runs that are restarted because files have changed.
    pub(in crate::control) file_restarts: file_restarts::FileRestarts,
}
