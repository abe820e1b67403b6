//! TODO

pub(crate) mod generate;
pub mod lost;
pub mod store;

pub use generate::*;
