//! Backups of Mattermost, and their restore.

pub mod archive;
pub mod configuration;
pub mod create;
mod error;
pub mod files;
pub mod job;
mod known;
pub mod list;
pub mod manifest;
pub mod name;
pub mod postgres;
mod process;
pub mod prune;
pub mod restore;
pub mod secrets;
pub mod site;
pub mod target;
pub mod verify;
mod watch;

pub use error::{Error, Refusal};
pub use watch::{Progress, Stop, Unit, Watch};
