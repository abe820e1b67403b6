//! The manifest, first member of an archive: origin and content of the backup, and what is left
//! out.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{
    archive,
    files::Troubles,
    postgres::facts::{Facts, Table},
};

/// The manifest of an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The form of the archive: [`archive::FORMAT`].
    pub format: u32,
    /// The version of Mattervisor that made it.
    pub made_by: String,
    /// The snapshot's moment: RFC 3339 in UTC.
    pub created: String,
    /// Host name of the machine.
    pub host: String,
    /// Whether Mattermost ran during the backup.
    pub mode: Mode,
    /// Which Mattermost was installed, as far as was known.
    pub mattermost_version: Option<String>,
    /// The database, and the facts about it that a dump does not hold.
    pub database: Facts,
    /// Major version of the `pg_dump` that made the dump: `pg_restore` must be at least as new.
    pub pg_dump_major: u32,
    /// Directories that are saved whole.
    pub trees: Vec<SavedTree>,
    /// The driver of uploaded files.
    pub file_driver: String,
    /// Where Mattermost's configuration is.
    pub configuration: Place,
    /// Parts that are left out.
    pub left_out: Vec<LeftOut>,
    /// Secrets that any dump holds.
    pub dump_holds: Vec<SecretKind>,
}

/// Whether Mattermost ran during the backup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Mattermost ran: the database was saved first, then the files, so that each row has its file.
    #[default]
    Online,
    /// Mattermost was stopped.
    Offline,
}

/// A directory that is saved whole, before it was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedTree {
    /// Name of the directory below `files/`.
    pub name: String,
    /// Path of the directory on the machine.
    pub path: PathBuf,
    /// Number of its entries.
    pub entries: u64,
    /// Size of its files, in bytes.
    pub bytes: u64,
}

/// Where Mattermost's configuration is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// In `files/config.json`.
    File,
    /// In the dump, with the address and password of the original database: after a restore
    /// elsewhere the environment has to override them.
    Database,
}

/// Something that a complete backup would hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum LeftOut {
    /// Uploaded files: they are not on this machine.
    UploadedFiles {
        /// Their driver.
        driver: String,
    },
    /// A file of secrets.
    File {
        /// Its name in the archive.
        name: String,
    },
    /// A secret in a file that is saved without it.
    Setting {
        /// The file's name in the archive.
        file: String,
        /// Name of the setting.
        setting: String,
    },
}

/// A kind of secret in Mattermost's database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecretKind {
    /// Keys with which the server signs.
    SigningKeys,
    /// Session tokens: anyone who has one is signed in.
    Sessions,
    /// Hashes of passwords.
    PasswordHashes,
    /// Secrets of second factors.
    MfaSecrets,
    /// Tokens of people and bots.
    AccessTokens,
    /// Webhooks and secrets of applications.
    Integrations,
    /// Data of plugins.
    PluginData,
    /// Mattermost's whole configuration.
    Configuration,
}

impl LeftOut {
    /// A sentence for people.
    pub fn words(&self) -> String {
        match self {
            Self::UploadedFiles { driver } => format!(
                "uploaded files are not in the backup: Mattermost keeps them elsewhere ({driver})"
            ),
            Self::File { name } => format!("the backup is without {name}"),
            Self::Setting { file, setting } => format!("the backup is without {setting} of {file}"),
        }
    }
}

impl SecretKind {
    /// The kinds that every dump holds.
    pub const ALWAYS: [Self; 7] = [
        Self::SigningKeys,
        Self::Sessions,
        Self::PasswordHashes,
        Self::MfaSecrets,
        Self::AccessTokens,
        Self::Integrations,
        Self::PluginData,
    ];

    /// Words for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::SigningKeys => "the server's signing keys",
            Self::Sessions => "sessions",
            Self::PasswordHashes => "hashes of passwords",
            Self::MfaSecrets => "secrets of second factors",
            Self::AccessTokens => "access tokens",
            Self::Integrations => "webhooks and secrets of applications",
            Self::PluginData => "what plugins keep",
            Self::Configuration => "Mattermost's configuration",
        }
    }
}

impl Manifest {
    /// Parses a manifest; `None` if it is not valid.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let manifest: Self = serde_json::from_slice(bytes).ok()?;
        (manifest.format == archive::FORMAT).then_some(manifest)
    }
}

/// `database.json`: row counts in the dump's snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// All tables and materialized views.
    pub tables: Vec<Table>,
    /// Warnings of `pg_dump`.
    pub warnings: String,
}

/// `report.json`: facts that are known only once everything has been read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Regular files of the saved directories.
    pub files: u64,
    /// Bytes of the dump.
    pub dump_bytes: u64,
    /// Troubles of the files that were read.
    pub troubles: Troubles,
}
