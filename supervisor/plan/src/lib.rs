//! Checks: site file, service files, settings, templates and secrets become a [`Plan`], or all
//! problems at once. Pure but for the [`Host`], and for `secrets_file`, which no plan is made by.
//!
//! The way of a [`load()`]: `source` reads files into values that know their place; `decl`, `setting`,
//! `form`, `instances` and `catalog` gather what may be said; `site`, `unknown`, `daemon`, `guard` and `secrecy` check what the administrator says;
//! `resolve` works out values by `names`, `defaults`, `find`, `enable` and `template`; `service` with
//! `reader`, `environment`, `env_file`, `ready`, `probes`, `policy`, `process`, `attributes`,
//! `schedule`, `log`, `files`, `certificates`, `credentials`, `status_files`, `asserts`, `tools` and `template_file` renders each service;
//! `known_variables` holds an environment to what its program knows; `graph` and `size` check the whole. Everything reports into one `problem::Report`.
//!
//! What has many problems is reported with all of them. What follows from a problem that was
//! already reported is not: its value is `Failed`, and silent.

mod asserts;
mod attributes;
mod catalog;
pub mod certificates;
mod changes;
mod context;
mod credentials;
pub mod cron;
mod daemon;
mod decl;
mod defaults;
mod duration;
mod enable;
mod env_file;
mod environment;
mod fields;
pub mod file_lines;
mod files;
mod find;
mod form;
mod graph;
mod guard;
mod host;
mod instances;
mod job;
mod known_variables;
mod listens;
mod load;
mod locals;
mod log;
pub mod lost_secrets;
mod maintenance;
mod model;
mod names;
mod near;
mod origins;
mod patterns;
mod places;
mod policy;
mod probes;
mod problem;
mod process;
mod reader;
mod ready;
mod rebinding;
mod reload;
pub mod reload_token;
mod render;
mod resolve;
mod rewritten;
mod schedule;
mod secrecy;
pub mod secrets;
pub mod secrets_file;
mod service;
mod setting;
pub mod shown;
pub mod signal;
mod site;
mod size;
mod source;
mod stale_sockets;
mod status_files;
mod syntax;
mod template;
mod template_file;
#[cfg(test)]
mod tests;
mod tools;
mod unknown;
mod unset_env;
mod unworkable;
mod value;
mod variables;

pub use changes::{Change, ChangeKind, add_altered, add_owner_changes, changes, site_changes};
pub use host::{Host, RealHost};
pub use load::{CATALOG_DIR, Options, load, load_with_origins};
pub use model::*;
pub use near::nearest;
pub use origins::{Origin, Origins};
pub use problem::{Problem, Problems, Severity};
pub use rebinding::{added as added_listens, dropped as dropped_listens};
pub use render::{Instead, render_template, render_text};
pub use rewritten::Rewritten;
pub use secrecy::looks_secret;
pub use size::PLAN_BYTES_MAX;
pub use variables::Variables;
