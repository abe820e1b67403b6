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
    /// A change of its owner changes the owner of all in it that was the former owner's.
    #[serde(default)]
    pub recursive: bool,
}

/// A file that the plan renders.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenderedFile {
    /// Absolute.
    pub path: PathBuf,
    /// What it will contain.
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
    /// Where the candidate is written for that: beside `path`.
    pub candidate: PathBuf,
    /// What a change of it means for a running service.
    pub on_change: OnChange,
    /// Written only where it is missing, never changed again.
    pub create_only: bool,
    /// Content must not be shown.
    pub secret: bool,
    /// Lines of it that must not be shown, without the blanks around them: an administrator wrote
    /// them, and nothing knows what is in them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub private: BTreeSet<String>,
}

/// What a changed file means for a running service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnChange {
    /// Reload it.
    Reload,
    /// Restart it.
    Restart,
    /// It notices by itself, or only at its next start.
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
