//! TODO

pub(crate) mod machine;
pub(crate) mod overlay;
