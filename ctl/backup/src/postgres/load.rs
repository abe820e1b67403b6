//! Restores a dump into a new database, as the role that is to own it: the dump can do no more than
//! that role may.

use super::{
    facts::{Facts, Table},
    feed::Reader,
    queries::tables,
    server::Server,
    session::{Session, literal, quoted},
    tools::Tools,
};
use crate::{Error, Stop, Watch, manifest::Counts};

/// SQL that creates a database with the saved properties that a dump does not hold.
pub(crate) fn create(name: &str, owner: &str, facts: &Facts) -> String {
    let sql = format!(
        "CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING {} LC_COLLATE {} LC_CTYPE {}",
        quoted(name),
        quoted(owner),
        literal(&facts.encoding),
        literal(&facts.collate),
        literal(&facts.ctype),
    );
    let locale = facts.locale.as_deref().map(literal);
    match (facts.locale_provider.as_deref(), locale) {
        (Some("i"), Some(locale)) => sql + " LOCALE_PROVIDER icu ICU_LOCALE " + &locale,
        (Some("b"), Some(locale)) => sql + " LOCALE_PROVIDER builtin BUILTIN_LOCALE " + &locale,
        _ => sql,
    }
}

/// SQL that drops a database, and ends its sessions.
pub(crate) fn drop_database(name: &str) -> String {
    format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quoted(name))
}

/// The server's settings with the owner of the database as role.
pub(crate) fn as_owner(server: &Server) -> Server {
    let mut server = server.clone();
    if server.data_source.is_none() {
        server.user = server.role.clone().or(server.user);
    }
    server
}

/// First version whose `pg_restore` sets parameters that older servers do not know.
const TIMEOUT_MAJOR: u32 = 17;
const TIMEOUT: &str = "SET transaction_timeout = 0;";

/// Starts a program that restores a dump into a database in one transaction. The session is with
/// the same server.
pub(crate) fn restore(
    session: &mut Session,
    server: &Server,
    database: &str,
    tools: &Tools,
    stop: &Stop,
) -> Result<Reader, Error> {
    let major = session.number("SELECT current_setting('server_version_num')::int / 10000")?;
    let owner = as_owner(server);
    let mut command = tools.command("pg_restore");
    command.args([
        "--format=custom",
        "--exit-on-error",
        "--no-owner",
        "--no-privileges",
    ]);
    owner.reach(&mut command, Some(database))?;
    if tools.major < TIMEOUT_MAJOR || major >= u64::from(TIMEOUT_MAJOR) {
        // `--dbname=` with an empty value: the name comes from the environment, where it cannot
        // pass for a connection string.
        command.args(["--no-password", "--single-transaction", "--dbname="]);
        return Reader::of(command, stop);
    }
    command.arg("--file=-");
    let mut psql = tools.command("psql");
    psql.args(["--no-psqlrc", "--no-password", "--quiet"]);
    psql.args(["--single-transaction", "--set=ON_ERROR_STOP=1", "--file=-"]);
    owner.reach(&mut psql, Some(database))?;
    Reader::into(command, psql, TIMEOUT, stop)
}

/// Compares the rows of each table of the session's database with the counts. Answers the actual
/// tables.
pub(crate) fn compare(
    session: &mut Session,
    wanted: &Counts,
    watch: &mut Watch,
) -> Result<Vec<Table>, Error> {
    let found = tables(session, |rows| watch.add(rows))?;
    for table in &wanted.tables {
        let same = |it: &&Table| it.schema == table.schema && it.table == table.table;
        let rows = found.iter().find(same).map(|found| found.rows);
        if rows != Some(table.rows) {
            return Err(Error::Rows {
                table: format!("{}.{}", table.schema, table.table),
                wanted: table.rows,
                found: rows,
            });
        }
    }
    Ok(found)
}

/// Parameters whose value is a list of names.
const LISTS: [&str; 6] = [
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
];

/// SQL statements that set a database's settings again, for all roles and for single ones, each
/// with its name for people. Settings of the old owner are set for the new owner.
pub(crate) fn settings(
    database: &str,
    facts: &Facts,
    owner: Option<&str>,
) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for of in &facts.settings {
        let role = of.role.as_deref().map(|role| match owner {
            Some(owner) if role == facts.owner => owner,
            _ => role,
        });
        let what = match role {
            None => format!("ALTER DATABASE {}", quoted(database)),
            Some(role) => format!(
                "ALTER ROLE {} IN DATABASE {}",
                quoted(role),
                quoted(database)
            ),
        };
        for setting in &of.settings {
            let Some((key, value)) = setting.split_once('=') else {
                continue;
            };
            // The name of an extension's parameter contains a dot.
            let name = key.split('.').map(quoted).collect::<Vec<_>>().join(".");
            let sql = format!("{what} SET {name} TO {}", values(key, value));
            all.push((setting.clone(), sql));
        }
    }
    all
}

fn values(key: &str, value: &str) -> String {
    if !LISTS.contains(&key) {
        return literal(value);
    }
    // `"$user", public`: a quoted name with a comma in it is split wrongly.
    let one = |name: &str| literal(&name.trim().trim_matches('"').replace("\"\"", "\""));
    value.split(',').map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::facts::RoleSettings;

    #[test]
    fn settings_are_set_for_whom_they_were() {
        let of = |role: Option<&str>, settings: &[&str]| RoleSettings {
            role: role.map(str::to_owned),
            settings: settings.iter().map(|it| (*it).to_owned()).collect(),
        };
        let facts = Facts {
            owner: "gitlab_mattermost".to_owned(),
            settings: vec![
                of(None, &["search_path=\"$user\", public", "x.y=it's"]),
                of(Some("gitlab_mattermost"), &["work_mem=8MB"]),
            ],
            ..Facts::default()
        };
        let all = settings("new", &facts, Some("mattermost"));
        let sql: Vec<&str> = all.iter().map(|(_, sql)| sql.as_str()).collect();
        assert_eq!(
            sql,
            [
                "ALTER DATABASE \"new\" SET \"search_path\" TO E'$user', E'public'",
                "ALTER DATABASE \"new\" SET \"x\".\"y\" TO E'it\\'s'",
                "ALTER ROLE \"mattermost\" IN DATABASE \"new\" SET \"work_mem\" TO E'8MB'",
            ]
        );
    }
}
