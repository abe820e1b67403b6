//! Exit codes of the daemon.

/// The configuration does not check and none has ever worked (sysexits' `EX_CONFIG`): an init
/// should not try again by itself.
pub(crate) const CONFIGURATION: u8 = 78;
/// Anything else that keeps it from running.
pub(crate) const FAILURE: u8 = 1;
