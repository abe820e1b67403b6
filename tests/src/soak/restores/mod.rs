//! Backups, restores and their undoing under kills: at each step, of each who takes part, on each
//! version of `PostgreSQL` that is here.
//!
//! Theory: a job stops itself as it begins the step that is wanted (the file `hold` in its
//! directory), so who is killed is killed there, and not about there. Then the state is compared
//! with the two that may be: that from before, and the one that was asked for; and the same is
//! asked for once more, without a hand's turn between.

mod campaign;
mod content;
mod machine;
mod strike;

use std::{collections::BTreeMap, path::PathBuf};

pub use campaign::{Operation, campaign};
pub use strike::Victim;

use crate::programs;

/// How much there is to save.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Rows in `posts`.
    pub rows: u32,
    /// Files, besides the odd ones.
    pub files: u32,
}

/// Programs of each version of `PostgreSQL` that is here: the distribution's, and those that
/// `./dev` gets.
pub fn versions() -> BTreeMap<u32, PathBuf> {
    programs::postgres_versions()
}
