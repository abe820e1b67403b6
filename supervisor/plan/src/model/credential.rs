//! Files that only root may read and a service needs.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A file that is copied to where the service may read it (root's, the service's group, 0640),
/// before each start and reload; as systemd's `LoadCredential=`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// The file that is copied; absolute.
    pub source: PathBuf,
    /// Path of the copy; absolute. Another source has another path, so that a plan that fails
    /// leaves the copies of the one that runs alone.
    pub path: PathBuf,
    /// Command that makes the source where it is missing, as the supervisor's own user. Empty: no
    /// command.
    pub make: Vec<String>,
}
