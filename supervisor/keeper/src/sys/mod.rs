//! The only place with `unsafe`: system calls that no library wraps safely, one topic a file.
//!
//! Everything else in the workspace is built with `unsafe_code` denied.
#![expect(
    unsafe_code,
    reason = "raw system calls; each block says why it is sound"
)]

pub(crate) mod caps;
pub(crate) mod child;
pub(crate) mod fd_setup;
pub(crate) mod file;
pub(crate) mod inherited;
pub(crate) mod memory;
pub(crate) mod pidfd;
pub(crate) mod record_file;
pub(crate) mod signals;
pub(crate) mod socket;
pub(crate) mod spawn;
pub(crate) mod wait;
