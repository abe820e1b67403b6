//! Reads files from the disk into an archive, and reports what happened to them meanwhile.

mod content;
mod limits;
mod owners;
mod survey;
mod tree;
mod trouble;

pub(crate) use limits::{DEPTH_MAX, OURS, is_ours};
pub use survey::{Survey, survey};
pub use tree::Saver;
pub use trouble::{Told, Trouble, Troubles};
