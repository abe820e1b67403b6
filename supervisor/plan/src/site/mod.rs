//! TODO

pub(crate) mod daemon;
pub(crate) mod secrets;
pub(crate) mod unknown_keys;
pub(crate) mod unset_env;
pub(crate) mod values;
