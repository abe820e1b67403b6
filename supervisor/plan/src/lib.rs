//! Checks: site file, service files, settings, templates and secrets become a [`Plan`], or all
//! problems at once. Pure but for the [`Host`].

mod host;
mod model;

pub use host::Host;
pub use model::*;
