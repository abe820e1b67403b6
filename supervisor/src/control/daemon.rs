//! The daemon's own life, apart from that of its services: its start, its end, what its init hears,
//! who comes after this control process.

use crate::control::{
    Now, boot::Boot, init_notify::InitNotify, shutdown::Shutdown, state_warnings::StateWarnings,
    succession::reexec::Reexec, watermark::Watermark,
};

/// One component a field.
#[derive(Debug)]
pub(super) struct Daemon {
    /// What the init hears.
    pub(super) init_notify: InitNotify,
    /// How the daemon ends.
    pub(super) shutdown: Shutdown,
    /// Another control process that is to take over.
    pub(super) reexec: Reexec,
    /// Up to which moment all is heard.
    pub(super) watermark: Watermark,
    /// What has happened to the supervisor's own files.
    pub(super) state_warnings: StateWarnings,
}

impl Daemon {
    pub(super) fn new(now: Now, boot: &Boot) -> Self {
        Self {
            init_notify: InitNotify::new(now.moment),
            shutdown: Shutdown::default(),
            reexec: Reexec::default(),
            watermark: Watermark::default(),
            state_warnings: StateWarnings::new(boot.warnings.clone()),
        }
    }
}
