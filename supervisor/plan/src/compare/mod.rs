//! TODO

pub(crate) mod change;
pub mod describe;
pub mod file_diff;
pub(crate) mod plans;
pub(crate) mod rebinding;
