//! TODO

pub(crate) mod place;
pub(crate) mod problem;
pub(crate) mod suggest;
