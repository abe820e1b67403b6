//! The first member of an archive: what it is of, what is in it, and what is not.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{
    archive,
    files::Troubles,
    postgres::facts::{Facts, Table},
};

/// What an archive says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The form of the archive: [`archive::FORMAT`].
    pub format: u32,
    /// The version of Mattervisor that made it.
    pub made_by: String,
    /// When the moment was that it shows: RFC 3339 in UTC.
    pub created: String,
    /// The machine.
    pub host: String,
    /// Whether Mattermost ran meanwhile.
    pub mode: Mode,
    /// Which Mattermost was installed, as far as was known.
    pub mattermost_version: Option<String>,
    /// The database, and all that a dump does not say of it.
    pub database: Facts,
    /// The first number of the version of the `pg_dump` that dumped it: a `pg_restore` must be as new.
    pub pg_dump_major: u32,
    /// Directories that are saved whole.
    pub trees: Vec<SavedTree>,
    /// Where uploaded files are.
    pub file_driver: String,
    /// Where Mattermost's configuration is.
    pub configuration: Place,
    /// What is left out.
    pub left_out: Vec<LeftOut>,
    /// Secrets that any dump holds.
    pub dump_holds: Vec<SecretKind>,
}

/// Whether Mattermost ran while it was saved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// It ran: the database first, then the files, so that each row has its file.
    #[default]
    Online,
    /// It was stopped.
    Offline,
}

/// A directory that is saved whole, before it was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedTree {
    /// Its name below `files/`.
    pub name: String,
    /// Where it was.
    pub path: PathBuf,
    /// What lay in it.
    pub entries: u64,
    /// Bytes that it took.
    pub bytes: u64,
}

/// Where Mattermost's configuration is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// In `files/config.json`.
    File,
    /// In the dump, with the address and password of the database that it came from: after a restore
    /// elsewhere the environment has to say better.
    Database,
}

/// Something that a whole backup would have.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum LeftOut {
    /// Uploaded files: they are not on this machine.
    UploadedFiles {
        /// Where they are.
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
        /// Which.
        setting: String,
    },
}

/// A kind of secret in a database of Mattermost's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecretKind {
    /// What the server signs with.
    SigningKeys,
    /// Who has one is signed in.
    Sessions,
    /// Hashes of passwords.
    PasswordHashes,
    /// Secrets of second factors.
    MfaSecrets,
    /// Tokens of people and bots.
    AccessTokens,
    /// Webhooks and secrets of applications.
    Integrations,
    /// What plugins keep.
    PluginData,
    /// Mattermost's whole configuration.
    Configuration,
}

impl LeftOut {
    /// In words.
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
    /// What every dump holds.
    pub const ALWAYS: [Self; 7] = [
        Self::SigningKeys,
        Self::Sessions,
        Self::PasswordHashes,
        Self::MfaSecrets,
        Self::AccessTokens,
        Self::Integrations,
        Self::PluginData,
    ];

    /// In words.
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
    /// Reads one; `None`: it is not what we understand.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let manifest: Self = serde_json::from_slice(bytes).ok()?;
        (manifest.format == archive::FORMAT).then_some(manifest)
    }
}

/// `database.json`: what was counted in the dump's own moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Each table, and materialized views.
    pub tables: Vec<Table>,
    /// What `pg_dump` complained of without failing.
    pub warnings: String,
}

/// `report.json`: what is known only when all has been read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Regular files of the saved directories.
    pub files: u64,
    /// Bytes of the dump.
    pub dump_bytes: u64,
    /// What happened to files while they were read.
    pub troubles: Troubles,
}
