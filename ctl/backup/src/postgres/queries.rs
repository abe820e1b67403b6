//! Queries the [`Facts`] of a database, and the row counts of its tables.

use serde::Deserialize;
use serde_json::Value;

use super::{
    facts::{Facts, Table},
    session::{Session, quoted},
};
use crate::Error;

const DATABASE: &str = "SELECT current_setting('server_version_num')::int AS server_version_number, \
    current_setting('server_version') AS server_version, pg_get_userbyid(d.datdba) AS owner, \
    pg_encoding_to_char(d.encoding) AS encoding, pg_database_size(d.oid) AS bytes, \
    (SELECT coalesce(sum(c.relpages::bigint), 0) * current_setting('block_size')::int FROM pg_catalog.pg_class c \
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'm', 't') \
        AND n.nspname NOT IN ('pg_catalog', 'information_schema')) AS table_bytes, \
    d.datacl::text[] AS privileges, to_jsonb(d) - 'datacl' AS more \
    FROM pg_catalog.pg_database d WHERE d.datname = current_database()";
const SETTINGS: &str = "SELECT r.rolname AS role, s.setconfig AS settings \
    FROM pg_catalog.pg_db_role_setting s JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase \
    LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole WHERE d.datname = current_database() ORDER BY r.rolname NULLS FIRST";
const EXTENSIONS: &str =
    "SELECT extname AS name, extversion AS version FROM pg_catalog.pg_extension ORDER BY extname";
const INVALID: &str = "SELECT n.nspname AS schema, c.relname AS index, t.relname AS \"table\" \
    FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid \
    JOIN pg_catalog.pg_class t ON t.oid = i.indrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    WHERE NOT i.indisvalid AND c.relkind = 'i' ORDER BY 1, 2";
const TABLES: &str = "SELECT n.nspname AS schema, c.relname AS \"table\", 0 AS rows \
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' AND (c.relkind = 'r' OR c.relispopulated) \
    AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_toast%' ORDER BY 1, 2";

/// `pg_database`'s own columns, whose names differ between versions.
#[derive(Deserialize)]
struct Row {
    server_version_number: u32,
    server_version: String,
    owner: String,
    encoding: String,
    bytes: u64,
    table_bytes: u64,
    privileges: Option<Vec<String>>,
    more: More,
}

#[derive(Deserialize)]
struct More {
    datname: String,
    datcollate: String,
    datctype: String,
    datlocprovider: Option<String>,
    daticulocale: Option<String>,
    datlocale: Option<String>,
    datcollversion: Option<String>,
}

/// The facts of the session's database.
///
/// # Errors
/// As for [`Session::ask`].
pub(crate) fn facts(session: &mut Session) -> Result<Facts, Error> {
    let Row {
        server_version_number,
        server_version,
        owner,
        encoding,
        bytes,
        table_bytes,
        privileges,
        more,
    } = one(session.json(DATABASE)?)?;
    let migration = match session.table("db_migrations")? {
        Some(table) => session.json(&format!("SELECT max(version) AS newest FROM {table}"))?,
        None => Vec::new(),
    };
    let migration = migration.first().and_then(|row| row["newest"].as_u64());
    Ok(Facts {
        name: more.datname,
        owner,
        server_version_number,
        server_version,
        encoding,
        collate: more.datcollate,
        ctype: more.datctype,
        locale_provider: more.datlocprovider,
        locale: more.datlocale.or(more.daticulocale),
        collation_version: more.datcollversion,
        privileges,
        settings: all(session.json(SETTINGS)?)?,
        extensions: all(session.json(EXTENSIONS)?)?,
        invalid_indexes: all(session.json(INVALID)?)?,
        bytes,
        table_bytes,
        migration,
    })
}

/// The row count of each table, as the session's transaction sees it.
///
/// # Errors
/// As for [`Session::ask`].
pub(crate) fn tables(
    session: &mut Session,
    mut counted: impl FnMut(u64) -> Result<(), Error>,
) -> Result<Vec<Table>, Error> {
    let mut tables: Vec<Table> = all(session.json(TABLES)?)?;
    for table in &mut tables {
        let (schema, name) = (quoted(&table.schema), quoted(&table.table));
        table.rows = session.number(&format!("SELECT count(*) FROM ONLY {schema}.{name}"))?;
        counted(table.rows)?;
    }
    Ok(tables)
}

fn all<T: for<'de> Deserialize<'de>>(rows: Vec<Value>) -> Result<Vec<T>, Error> {
    let read = rows.into_iter().map(serde_json::from_value);
    read.collect::<Result<_, _>>()
        .map_err(|_| Error::Unanswered)
}

fn one<T: for<'de> Deserialize<'de>>(rows: Vec<Value>) -> Result<T, Error> {
    all(rows)?.pop().ok_or(Error::Unanswered)
}
