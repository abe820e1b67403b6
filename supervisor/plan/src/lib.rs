//! Checks: site file, service files, settings, templates and secrets become a [`Plan`], or all
//! problems at once. Pure but for the [`Host`].

mod changes;
mod decl;
mod duration;
mod fields;
mod files;
mod find;
mod graph;
mod host;
mod load;
mod model;
mod near;
mod probes;
mod problem;
mod reader;
mod resolve;
pub mod secrets;
mod service;
pub mod signal;
mod site;
mod source;
mod template;
#[cfg(test)]
mod tests;
mod value;

pub use changes::{Change, ChangeKind, changes};
pub use host::{Host, RealHost};
pub use load::{Options, load};
pub use model::*;
pub use near::nearest;
pub use problem::{Problem, Problems, Severity};
