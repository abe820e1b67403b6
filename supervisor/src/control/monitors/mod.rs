//! What is looked at again and again beside the services: disks and programs, files that change, addresses.
//!
//! The looking is a job, since a file system may hang; here is when to look, and what a finding means.

pub(in crate::control) mod file_restarts;
pub(in crate::control) mod file_watch;
pub(in crate::control) mod host_checks;
pub(in crate::control) mod inotify;
pub(in crate::control) mod listening;
