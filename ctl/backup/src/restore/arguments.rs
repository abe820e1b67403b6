//! What a restore is asked for.

use std::path::PathBuf;

use serde::Deserialize;

/// The arguments of a request.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(
    tag = "operation",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case",
    deny_unknown_fields
)]
pub(super) enum Arguments {
    /// Put a backup in the place of what there is.
    Restore {
        /// The backup.
        file: PathBuf,
    },
    /// Restore the database alone, beside the live one.
    Beside {
        /// The backup.
        file: PathBuf,
        /// What the database is to be called.
        database: String,
    },
    /// Put what other programs have saved in the place of what there is.
    Foreign {
        /// A dump of the database.
        #[serde(default)]
        sql: Option<PathBuf>,
        /// A tar archive of files.
        #[serde(default)]
        files: Option<PathBuf>,
    },
    /// Restore a dump of another program's alone, beside the live database.
    ForeignBeside {
        /// The dump.
        sql: PathBuf,
        /// What the database is to be called.
        database: String,
    },
    /// Put the safety copy in the place of what there is.
    Undo,
    /// Remove the safety copy.
    Forget,
}
