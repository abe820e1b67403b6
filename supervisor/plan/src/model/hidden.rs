//! The text that stands for a secret.

/// Stands for a secret wherever a value is shown.
pub const HIDDEN: &str = "(secret)";
