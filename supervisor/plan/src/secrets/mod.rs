//! Secrets that are made, kept and put back. Users of a plan call this; no plan is made by it.
//!
//! `generate` makes values and writes them into the text of `secrets.toml`, `store` changes that
//! file under a lock, `lost` puts back what is gone from it.
//!
//! Invariant: a secret that was ever applied is not made anew.

pub(crate) mod generate;
pub mod lost;
pub mod store;

pub use self::generate::{Assignment, generate, insert_into, set_in};
pub use crate::read::secret_spec::Spec;
