//! The input for the impact of a plan.

use crate::control::{holds::Holds, runs::starts::Starts};

/// State of services beside the engine's part.
#[derive(Clone, Copy, Debug)]
pub(in crate::control) struct Known<'a> {
    pub(in crate::control) holds: &'a Holds,
    pub(in crate::control) starts: &'a Starts,
}
