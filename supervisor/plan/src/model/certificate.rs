//! Certificates that a service serves, and files that other programs change.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::files::OnChange;

/// A certificate with its key, checked before use and watched for renewal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// The certificate with its chain, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
    /// The host name that the certificate must cover; none: any.
    pub host: Option<String>,
    /// The key's passphrase; with one, nothing checks whether key and certificate belong together.
    pub password_file: Option<PathBuf>,
    /// The service that makes and renews it: it may be absent at first, and is told of only when
    /// its renewal is late.
    #[serde(default)]
    pub renewed_by: Option<String>,
    /// The hint for a certificate that is missing.
    pub hint: Option<String>,
}

/// A file that another program writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchedFile {
    /// Absolute; the file need not exist.
    pub path: PathBuf,
    /// Effect of a changed file on the running service.
    pub on_change: OnChange,
}
