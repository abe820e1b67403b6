//! `[variables]`: whether a program knows the variables that its service gets, and can read their
//! values.
//!
//! `table` reads the program's table a line at a time, `version` compares versions, `death` knows
//! which values a program dies of, `value` and `name` say what is wrong with one; `check` asks
//! them.

pub(crate) mod check;
pub(crate) mod death;
pub(crate) mod name;
pub(crate) mod table;
pub(crate) mod value;
pub(crate) mod version;
