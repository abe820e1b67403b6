//! What a dump does not say of its database, and a restore has to set again; and what the
//! administrator should know of it before. Manifests have these types too, so nothing here asks a server.

use serde::{Deserialize, Serialize};

/// What is known of a database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Its name.
    pub name: String,
    /// Whose it is.
    pub owner: String,
    /// The server's version: `150018` is 15.18.
    pub server_version_number: u32,
    /// The same, as the server says it.
    pub server_version: String,
    /// `UTF8`.
    pub encoding: String,
    /// `pg_database.datcollate`: the locale by which texts are sorted.
    pub collate: String,
    /// `pg_database.datctype`.
    pub ctype: String,
    /// `pg_database.datlocprovider`: `c` libc, `i` ICU, `b` built in; none before 15.
    pub locale_provider: Option<String>,
    /// The locale of ICU, or of what is built in.
    pub locale: Option<String>,
    /// The version of the collation at the time; none where it has none.
    pub collation_version: Option<String>,
    /// Who may do what with the database itself; none: the default.
    pub privileges: Option<Vec<String>>,
    /// `ALTER DATABASE … SET`, and `ALTER ROLE … IN DATABASE … SET`.
    pub settings: Vec<RoleSettings>,
    /// Extensions that are in it, with their versions.
    pub extensions: Vec<Extension>,
    /// Indexes that are not valid: a dump leaves them out, and a restore has not got them.
    pub invalid_indexes: Vec<Index>,
    /// Length on the disk, in bytes.
    pub bytes: u64,
    /// Length of tables and what is stored beside them, without indexes, in bytes, as the last VACUUM saw it: to
    /// measure them would wait for whoever has locked one.
    pub table_bytes: u64,
    /// The last of Mattermost's migrations that was applied; none: its table is not there.
    pub migration: Option<u64>,
}

/// What is set for a role, or for everybody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleSettings {
    /// For whom in this database; none: everybody.
    pub role: Option<String>,
    /// `key=value`.
    pub settings: Vec<String>,
}

/// An extension.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extension {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// An index that is not valid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    /// Where it is.
    pub schema: String,
    /// Its name.
    pub index: String,
    /// Of which table.
    pub table: String,
}

/// A table, and its rows in one snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Where it is.
    pub schema: String,
    /// Its name.
    pub table: String,
    /// Its rows; of a partitioned table's parts each is a table of its own here.
    pub rows: u64,
}
