//! Two plans, or one and its reader.
//!
//! `plans` says what a new plan means for each service ([`change`]), with `rebinding` for addresses
//! that no reload can move; `file_diff` shows lines of rendered files and `describe` a whole plan.
//!
//! Each key's entry in [`crate::service::keys`] finds its differences. No secret leaves here.

pub(crate) mod change;
pub mod describe;
pub mod file_diff;
pub(crate) mod plans;
pub(crate) mod rebinding;
