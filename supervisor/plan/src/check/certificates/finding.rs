//! Findings about a certificate, and from when on its end is one.

/// Seconds before its end from which a certificate is told of, at most; a short-lived one is told
/// of in the last third of its life.
pub(super) const SOON_S: i64 = 30 * DAY_S;
pub(super) const DAY_S: i64 = 86_400;
/// Certificates of one file that are looked at.
pub(super) const CHAIN_MAX: usize = 16;

/// Something to be told of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file that it is about.
    pub path: std::path::PathBuf,
    /// The fault, lower case, without the file's name.
    pub text: String,
    /// How bad it is.
    pub grade: Grade,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// The certificate should be mended, though no client notices yet.
    Warning,
    /// The certificate ends soon: days that are left.
    Soon(i64),
    /// Clients do not trust it, though a program may serve it.
    Degraded,
    /// A program cannot use it: it cannot be read, or key and certificate do not belong together.
    Unusable,
}

impl Finding {
    /// With the file's name, as a sentence of its own.
    pub fn sentence(&self) -> String {
        format!("{}: {}", self.path.display(), self.text)
    }
}
