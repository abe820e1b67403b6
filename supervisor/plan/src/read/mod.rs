//! TODO

pub(crate) mod document;
pub(crate) mod expression;
pub(crate) mod fields;
pub(crate) mod form;
pub(crate) mod ident;
pub(crate) mod secrecy;
pub(crate) mod secret_spec;
pub mod signal;
pub(crate) mod toml_hints;
pub(crate) mod typed;
pub(crate) mod units;
