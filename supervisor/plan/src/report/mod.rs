//! TODO

pub(crate) mod problem;
pub(crate) mod suggest;
