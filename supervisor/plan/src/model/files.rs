//! Directories and files that a service has on disk.

use std::{collections::BTreeSet, fmt, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::hidden::HIDDEN;

/// A directory that must exist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directory {
    /// Absolute.
    pub path: PathBuf,
    /// Mode bits.
    pub mode: u32,
    /// Owner; none: the service's user.
    pub user: Option<String>,
    /// Group; none: the service's group.
    pub group: Option<String>,
    /// When the owner of the directory changes, all in it that was the former owner's changes with
    /// it.
    #[serde(default)]
    pub recursive: bool,
}

/// A file that the plan renders.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenderedFile {
    /// Absolute.
    pub path: PathBuf,
    /// Content of the file.
    pub content: String,
    /// Mode bits.
    pub mode: u32,
    /// Owner; none: the service's user.
    pub user: Option<String>,
    /// Group; none: the service's group.
    pub group: Option<String>,
    /// Command that checks the candidate before it is swapped in; the candidate's path is
    /// already in it. Empty: none.
    pub validate: Vec<String>,
    /// Path of the candidate: beside `path`.
    pub candidate: PathBuf,
    /// Effect of changed content on a running service.
    pub on_change: OnChange,
    /// The file is written only where it is missing, and never changed again.
    pub create_only: bool,
    /// The content must not be shown.
    pub secret: bool,
    /// Lines of the content that must not be shown, without the blanks around them: an
    /// administrator wrote them, and they may hold secrets.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub private: BTreeSet<String>,
}

/// Effect of a changed file on a running service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnChange {
    /// Reload it.
    Reload,
    /// Restart it.
    Restart,
    /// The program notices by itself, or at its next start.
    Nothing,
}

impl RenderedFile {
    /// Whether all of its content may be shown.
    fn is_open(&self) -> bool {
        !self.secret && self.private.is_empty()
    }
}

impl fmt::Debug for RenderedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RenderedFile")
            .field("path", &self.path)
            .field(
                "content",
                if self.is_open() {
                    &self.content
                } else {
                    &HIDDEN
                },
            )
            .field("mode", &format_args!("{:04o}", self.mode))
            .field("user", &self.user)
            .field("group", &self.group)
            .field("validate", &self.validate)
            .field("on_change", &self.on_change)
            .field("create_only", &self.create_only)
            .finish_non_exhaustive()
    }
}
