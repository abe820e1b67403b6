//! What stands for a secret.

/// What stands for a secret wherever it would be shown.
pub const HIDDEN: &str = "(secret)";
