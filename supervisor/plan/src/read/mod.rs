//! TODO

pub(crate) mod document;
pub(crate) mod fields;
pub(crate) mod form;
pub(crate) mod secrecy;
pub mod signal;
pub(crate) mod toml_hints;
pub(crate) mod typed;
pub(crate) mod units;
