//! TODO

pub(crate) mod allowed;
pub(crate) mod catalog;
pub(crate) mod instances;
pub(crate) mod patterns;
pub(crate) mod schema;
pub(crate) mod setting;
