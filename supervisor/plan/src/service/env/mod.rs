//! TODO

pub(crate) mod env_file;
pub(crate) mod environment;
pub(crate) mod lint;
