//! Where the files of a plan lie.

use std::path::{Path, PathBuf};

use crate::model::Paths;

/// Where the catalogue is when nothing is said.
pub const CATALOG_DIR: &str = "/usr/share/mattervisor/services.d";

/// Where the files of a plan lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The root under which everything lies; `/` when installed.
    pub root: PathBuf,
    /// The catalogue's `services.d`; none: `/usr/share/mattervisor/services.d`.
    pub catalog: Option<PathBuf>,
}

impl Paths {
    /// The paths under a root; relative ones are taken from the current directory.
    pub fn new(options: &Options) -> Self {
        // Services have working directories of their own, so a relative path is taken from ours.
        let whole = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let root = whole(&options.root);
        Self {
            etc_dir: root.join("etc/mattervisor"),
            state_dir: root.join("var/lib/mattervisor"),
            log_dir: root.join("var/log/mattervisor"),
            run_dir: root.join("run/mattervisor"),
            catalog_dir: whole(options.catalog.as_deref().unwrap_or(Path::new(CATALOG_DIR))),
            root,
        }
    }

    /// The site file.
    pub fn site_file(&self) -> PathBuf {
        self.etc_dir.join("mattervisor.toml")
    }

    /// `secrets.toml`, mode 0600.
    pub fn secrets_file(&self) -> PathBuf {
        self.etc_dir.join("secrets.toml")
    }
}
