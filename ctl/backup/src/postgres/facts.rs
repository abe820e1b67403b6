//! Facts of a database that its dump does not hold: what a restore has to set again, and what the
//! administrator should know. Manifests store these types too, so nothing here queries a server.

use serde::{Deserialize, Serialize};

/// The facts of a database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Name of the database.
    pub name: String,
    /// Owner of the database.
    pub owner: String,
    /// The server's version: `150018` is 15.18.
    pub server_version_number: u32,
    /// The server's version, as text.
    pub server_version: String,
    /// The encoding, such as `UTF8`.
    pub encoding: String,
    /// `pg_database.datcollate`: the locale by which texts are sorted.
    pub collate: String,
    /// `pg_database.datctype`.
    pub ctype: String,
    /// `pg_database.datlocprovider`: `c` libc, `i` ICU, `b` built in; `None` before 15.
    pub locale_provider: Option<String>,
    /// Locale of ICU or of the built-in provider.
    pub locale: Option<String>,
    /// Version of the collation; `None` if it has none.
    pub collation_version: Option<String>,
    /// Privileges on the database itself; `None` for the defaults.
    pub privileges: Option<Vec<String>>,
    /// `ALTER DATABASE … SET`, and `ALTER ROLE … IN DATABASE … SET`.
    pub settings: Vec<RoleSettings>,
    /// Installed extensions, with their versions.
    pub extensions: Vec<Extension>,
    /// Indexes that are not valid: a dump leaves them out, so a restore lacks them.
    pub invalid_indexes: Vec<Index>,
    /// Size on the disk, in bytes.
    pub bytes: u64,
    /// Size of tables and TOAST without indexes, in bytes, as the last VACUUM saw it: measuring
    /// them would wait for the locks of other sessions.
    pub table_bytes: u64,
    /// Version of the last applied migration of Mattermost; `None` if its table does not exist.
    pub migration: Option<u64>,
}

/// Settings for one role, or for all roles.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleSettings {
    /// The role; `None` means all roles.
    pub role: Option<String>,
    /// The settings, each as `key=value`.
    pub settings: Vec<String>,
}

/// An extension.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extension {
    /// Name of the extension.
    pub name: String,
    /// Version of the extension.
    pub version: String,
}

/// An index that is not valid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    /// Schema of the index.
    pub schema: String,
    /// Name of the index.
    pub index: String,
    /// Table of the index.
    pub table: String,
}

/// A table, and its number of rows in one snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Schema of the table.
    pub schema: String,
    /// Name of the table.
    pub table: String,
    /// Number of rows; each partition is a table of its own here.
    pub rows: u64,
}
