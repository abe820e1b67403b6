//! What is looked at again and again beside the services: disks and programs, files that change,
//! addresses.
//!
//! The looking is a job, since a file system may hang; here is when to look, and what a finding
//! means.

pub(in crate::control) mod file_restarts;
pub(in crate::control) mod file_watch;
pub(in crate::control) mod host_checks;
pub(in crate::control) mod inotify;
pub(in crate::control) mod listening;

/// One component a field.
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
