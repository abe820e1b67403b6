//! Problems: what is wrong, in which file and line, and what to do about it.
//!
//! Every later step reports into one [`problem::Report`] and goes on, so that an administrator sees
//! all mistakes of all files at once. What follows from a mistake that was reported is not
//! reported: its value is `Failed`, and silent.
//!
//! This step comes first, for all others report: `place` says where something is written, `problem`
//! gathers, `suggest` finds the name that was meant.

pub(crate) mod place;
pub(crate) mod problem;
pub(crate) mod suggest;
