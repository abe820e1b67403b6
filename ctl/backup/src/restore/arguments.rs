//! The arguments of a restore request.

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
    /// Replace the live database and files by those of a backup.
    Restore {
        /// Path of the backup.
        file: PathBuf,
    },
    /// Restore the database alone, beside the live one.
    Beside {
        /// Path of the backup.
        file: PathBuf,
        /// Name for the restored database.
        database: String,
    },
    /// Replace the live database and files by those of other programs.
    Foreign {
        /// A dump of the database.
        #[serde(default)]
        sql: Option<PathBuf>,
        /// A tar archive of files.
        #[serde(default)]
        files: Option<PathBuf>,
    },
    /// Restore another program's dump alone, beside the live database.
    ForeignBeside {
        /// Path of the dump.
        sql: PathBuf,
        /// Name for the restored database.
        database: String,
    },
    /// Replace the live database and files by the safety copy.
    Undo,
    /// Remove the safety copy.
    Forget,
}
