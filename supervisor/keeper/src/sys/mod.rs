//! The only place with `unsafe`: system calls that no library wraps safely, one topic a file.
//!
//! Everything else in the workspace is built with `unsafe_code` denied.
#![expect(
    unsafe_code,
    reason = "raw system calls; each block says why it is sound"
)]

pub(crate) mod caps;
pub(crate) mod child;
#[path = "spawn.rs"]
pub(crate) mod clone;
pub(crate) mod file;
pub(crate) mod inherited;
pub(crate) mod memory;
#[path = "record_file.rs"]
pub(crate) mod note;
pub(crate) mod pidfd;
#[path = "fd_setup.rs"]
pub(crate) mod place;
pub(crate) mod signals;
pub(crate) mod socket;
pub(crate) mod wait;
