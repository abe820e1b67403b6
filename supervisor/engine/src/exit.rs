//! How a process ends: the one word of the kernel's that every other module rests on.

use serde::{Deserialize, Serialize};

/// How a main process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}
