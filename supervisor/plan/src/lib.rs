//! Checks: site file, service files, settings, templates and secrets become a [`Plan`], or all
//! problems at once.
//!
//! The steps of a [`load()`], each a folder that knows only those above it (`tests/layers.rs` holds
//! that):
//!
//! 1. `report` gathers problems, `model` is the plan that is made, `host` the machine as a plan sees it.
//! 2. `read` turns files into values that know where they are written.
//! 3. `declare` gathers what may be said: the schema.
//! 4. `site` holds what the administrator says to the schema.
//! 5. `resolve` works out the value of each name.
//! 6. `service` renders each service file, by its table of keys.
//! 7. `check` checks the whole.
//! 8. `load` does all that, in this order.
//! 9. `compare` and `secrets` serve those who use a plan.
//!
//! `host` and `secrets` alone touch the disk, and no plan is made by `secrets`.

mod report;

mod model;

mod host;

mod read;

mod declare;

mod site;

mod resolve;

mod service;

mod check;

mod load;

mod compare;

pub mod secrets;

#[cfg(test)]
mod tests;

pub use self::{
    check::{certificates, size::PLAN_BYTES_MAX},
    compare::{
        change::Change,
        describe, file_diff,
        plans::{add_altered, add_owner_changes, changes, site_changes},
        rebinding::{added as added_listens, dropped as dropped_listens},
    },
    host::{
        machine::{Host, RealHost},
        overlay::OverlayHost,
    },
    load::{
        options::{CATALOG_DIR, Options},
        plan::{load, load_with_origins},
        render::{Instead, render_template, render_text},
    },
    model::*,
    read::secrecy::looks_secret,
    report::{
        problem::{Problem, Problems, Severity},
        suggest::nearest,
    },
    resolve::origins::{Origin, Origins},
    secrets::{lost as lost_secrets, store as secrets_file},
    service::cron,
};
pub use api::PlanImpact;
