//! The machine, as far as a plan may see it.
//!
//! Invariant: nothing else in this crate that makes a plan touches the disk, so a test gives it a
//! machine in memory, and `ctl` one on which a file has another text ([`overlay::OverlayHost`]).
//!
//! `machine` is the trait and the real machine.

pub(crate) mod machine;
pub(crate) mod overlay;
