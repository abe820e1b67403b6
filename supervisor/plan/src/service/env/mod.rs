//! TODO

pub(crate) mod env_file;
pub(crate) mod environment;
pub(crate) mod lint;
pub(crate) mod unset;
pub(crate) mod visibility;
pub(crate) mod written;
