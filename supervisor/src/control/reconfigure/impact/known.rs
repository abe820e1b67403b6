//! What is read to work out what a plan does.

use crate::control::{holds::Holds, runs::starts::Starts};

/// What is known of services beside the engine's part.
#[derive(Clone, Copy, Debug)]
pub(in crate::control) struct Known<'a> {
    pub(in crate::control) holds: &'a Holds,
    pub(in crate::control) starts: &'a Starts,
}
