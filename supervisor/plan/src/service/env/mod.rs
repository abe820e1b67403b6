//! The environment of a service: PATH < `[env]` < `env_files` < settings < `SERVICE.unset_env` <
//! `SERVICE.env`.
//!
//! `environment` lays the layers, `env_file` and `unset` are two of them, `written` is the result with the
//! place of each variable. `visibility` says what may be shown, and `lint` holds the variables to the table of
//! those that the program knows.

pub(crate) mod env_file;
pub(crate) mod environment;
pub(crate) mod lint;
pub(crate) mod unset;
pub(crate) mod visibility;
pub(crate) mod written;
