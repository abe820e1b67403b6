//! TODO

pub(crate) mod check;
pub(crate) mod death;
pub(crate) mod name;
pub(crate) mod table;
pub(crate) mod value;
pub(crate) mod version;
