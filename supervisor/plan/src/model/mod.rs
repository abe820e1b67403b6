//! The plan: exactly what will run on this host, checked and rendered.
//!
//! Durations are milliseconds, sizes bytes, paths absolute. Only data: what reads, compares and
//! describes it is above, and it knows nothing of that.

pub(crate) mod capability;
pub(crate) mod certificate;
pub(crate) mod credential;
pub(crate) mod files;
pub(crate) mod hidden;
pub(crate) mod log;
pub(crate) mod notify;
pub(crate) mod plan;
pub(crate) mod policy;
pub(crate) mod ready;
pub mod reload_token;
pub(crate) mod secrets;
pub(crate) mod service;
pub(crate) mod status_file;
pub(crate) mod variable;
pub(crate) mod variables;

pub use self::{
    certificate::*, credential::*, files::*, hidden::HIDDEN, log::*, notify::*, plan::*, policy::*,
    ready::*, secrets::*, service::*, status_file::*, variable::*,
};
