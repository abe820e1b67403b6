//! TODO

pub(crate) mod inputs;
pub(crate) mod options;
pub(crate) mod plan;
pub(crate) mod render;
