//! Backups, restores and their undoing under kills: at each step, of each participant, on each
//! version of `PostgreSQL` that is installed.
//!
//! Theory: a job stops itself as it begins the wanted step (the file `hold` in its directory), so
//! that a kill hits exactly this step. Then the state must equal one of two: the state from before,
//! or the state that was asked for. The same operation, asked for once more, must then work without
//! any repair by hand.

mod campaign;
mod content;
mod machine;
mod strike;

use std::{collections::BTreeMap, path::PathBuf};

pub use campaign::{Operation, campaign};
pub use strike::Victim;

use crate::programs;

/// How much content there is to save.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Rows in `posts`.
    pub rows: u32,
    /// Files, besides the odd ones.
    pub files: u32,
}

/// Programs of each version of `PostgreSQL` that is installed: the distribution's, and the versions
/// that `./dev` fetches.
pub fn versions() -> BTreeMap<u32, PathBuf> {
    programs::postgres_versions()
}
