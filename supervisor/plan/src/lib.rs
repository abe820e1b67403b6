//! Checks: site file, service files, settings, templates and secrets become a [`Plan`], or all
//! problems at once. Pure but for the [`Host`], and for `secrets_file`, which no plan is made by.
//!
//! What has many problems is reported with all of them. What follows from a problem that was
//! already reported is not: its value is `Failed`, and silent.

mod check;
mod compare;
mod declare;
mod host;
mod load;
mod model;
mod read;

mod report;
mod resolve;
pub mod secrets;
mod service;
mod site;
#[cfg(test)]
mod tests;

pub use check::certificates;
pub use check::size::PLAN_BYTES_MAX;
pub use compare::change::{Change, ChangeKind};
pub use compare::plans::{add_altered, add_owner_changes, changes, site_changes};
pub use compare::rebinding::{added as added_listens, dropped as dropped_listens};
pub use compare::{describe as shown, file_diff as file_lines};
pub use host::{
    machine::{Host, RealHost},
    overlay::Rewritten,
};
pub use load::{
    options::Options,
    plan::{load, load_with_origins},
    render::{Instead, render_template, render_text},
};
pub use model::*;
pub use model::{reload_token, variables::Variables};
pub use read::{secrecy::looks_secret, signal};

pub use report::{
    problem::{Problem, Problems, Severity},
    suggest::nearest,
};
pub use resolve::origins::{Origin, Origins};
pub use secrets::{lost as lost_secrets, store as secrets_file};
pub use service::cron;
