//! Backups of Mattermost.

pub mod archive;
mod error;
pub mod files;
mod watch;

pub use error::Error;
pub use watch::{Progress, Stop, Unit, Watch};
