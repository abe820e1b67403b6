//! TODO

pub mod certificates;
pub(crate) mod graph;
pub(crate) mod places;
pub(crate) mod ports;
pub(crate) mod size;
pub(crate) mod unworkable;
