//! The daemon's own life, apart from that of its services: start, end, notifications to the init,
//! and the replacement of this control process.

use crate::control::{
    Now,
    boot::Boot,
    init_notify::InitNotify,
    shutdown::Shutdown,
    state_warnings::StateWarnings,
    succession::{keeper_reexec::KeeperReexec, reexec::Reexec},
    watermark::Watermark,
};

/// The components of the daemon, one per field.
#[derive(Debug)]
pub(super) struct Daemon {
    /// Notifications to the init.
    pub(super) init_notify: InitNotify,
    /// The shutdown of the daemon.
    pub(super) shutdown: Shutdown,
    /// The replacement of this control process.
    pub(super) reexec: Reexec,
    /// The replacement of the keeper's program.
    pub(super) keeper_reexec: KeeperReexec,
    /// The moment up to which everything has been heard.
    pub(super) watermark: Watermark,
    /// Trouble with the supervisor's own files.
    pub(super) state_warnings: StateWarnings,
}

impl Daemon {
    pub(super) fn new(now: Now, boot: &Boot) -> Self {
        Self {
            init_notify: InitNotify::new(now.moment),
            shutdown: Shutdown::default(),
            reexec: Reexec::default(),
            keeper_reexec: KeeperReexec::default(),
            watermark: Watermark::default(),
            state_warnings: StateWarnings::new(boot.warnings.clone()),
        }
    }
}
