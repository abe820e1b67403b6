//! TODO

mod check;
mod finding;
mod findings;
mod hosts;
mod public_key;

pub(crate) use check::report;
pub use check::{Life, check, life};
pub use finding::{Finding, Grade};
