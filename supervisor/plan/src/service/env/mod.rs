//! The environment of a service: PATH < `[env]` < `env_files` < settings < `SERVICE.unset_env` <
//! `SERVICE.env`.
//!
//! `environment` lays the layers in this order; `computed`, `env_file`, `settings` and `unset` are
//! one each. `written` is the result with the place of each variable. `visibility` decides which
//! values may be shown, and `lint` holds the variables to the table of those that the program
//! knows.

pub(crate) mod computed;
pub(crate) mod env_file;
pub(crate) mod environment;
pub(crate) mod lint;
pub(crate) mod settings;
pub(crate) mod unset;
pub(crate) mod visibility;
pub(crate) mod written;
