//! Why a backup, or what is asked about one, comes to nothing.

use std::{io, path::Path};

use crate::archive;

/// The reason.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Somebody has asked to stop.
    #[error("cancelled")]
    Cancelled,
    /// The system has refused something.
    #[error("cannot {doing}: {error}")]
    Io {
        /// What was tried.
        doing: String,
        /// What the system said.
        error: io::Error,
    },
    /// An archive's own fault.
    #[error(transparent)]
    Archive(archive::Error),
}

impl Error {
    /// For `map_err`: what was tried with a path.
    pub(crate) fn with<'a>(verb: &'a str, path: &'a Path) -> impl FnOnce(io::Error) -> Self + 'a {
        move |error| Self::Io {
            doing: format!("{verb} {}", path.display()),
            error,
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io {
            doing: "go on".to_owned(),
            error,
        }
    }
}

impl From<archive::Error> for Error {
    fn from(error: archive::Error) -> Self {
        Self::Archive(error)
    }
}
