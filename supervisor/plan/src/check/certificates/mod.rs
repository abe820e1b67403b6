//! Checks of a certificate and its key.
//!
//! `check` asks one question after the other of the pair, `findings` answers them, `hosts` and
//! `public_key` know names and keys; `finding` is what is told. A certificate is looked at when the
//! plan is made and by the supervisor while it runs: both get the same sentences. Nothing here
//! refuses a plan, for what a program cannot use its own validator refuses. Sees files through
//! [`crate::Host`] alone and is told the time.

mod check;
mod finding;
mod findings;
mod hosts;
mod public_key;

pub(crate) use check::report;
pub use check::{Life, check, life};
pub use finding::{Finding, Grade};
