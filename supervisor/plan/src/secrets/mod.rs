//! TODO

pub(crate) mod generate;
pub mod lost;
pub mod store;

pub use self::generate::{Assignment, generate, insert_into, set_in};
pub use crate::read::secret_spec::Spec;
