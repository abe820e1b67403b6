//! Address of a server, and the role that connects to it.

use std::{path::PathBuf, process::Command};

use serde::Deserialize;

use super::source;
use crate::Error;

/// A server and a database on it. Programs learn the values by their environment alone: no password
/// stands on a command line, and no name can pass for an option or a connection string.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Directory of a unix socket, or a host name.
    #[serde(default)]
    pub host: Option<String>,
    /// Port of the server.
    #[serde(default)]
    pub port: Option<u16>,
    /// The role that connects: the superuser, if the supervisor runs the server.
    #[serde(default)]
    pub user: Option<String>,
    /// Name of the database.
    #[serde(default)]
    pub database: Option<String>,
    /// Owner of the database.
    #[serde(default)]
    pub role: Option<String>,
    /// Mattermost's data source for another server: a URL or `key=value` pairs. It overrides the
    /// fields above.
    #[serde(default)]
    pub data_source: Option<String>,
    /// Directory of the server's own programs, if the supervisor runs the server.
    #[serde(default)]
    pub programs: Option<PathBuf>,
}

/// Longest time for a connection to be made, in seconds.
const CONNECT_SECONDS: &str = "30";
/// Disables the server's limits for ordinary clients.
pub(super) const OPTIONS: &str = "-c statement_timeout=0 -c lock_timeout=0 \
    -c idle_in_transaction_session_timeout=0 -c client_min_messages=warning";

impl Server {
    /// Sets the environment of a program that connects to the server. `database` overrides the
    /// server's own.
    ///
    /// # Errors
    /// [`Error::Source`] if `data_source` cannot be parsed.
    pub(crate) fn reach(&self, command: &mut Command, database: Option<&str>) -> Result<(), Error> {
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        command
            .env("PGCONNECT_TIMEOUT", CONNECT_SECONDS)
            .env("PGOPTIONS", OPTIONS)
            .env("PGCLIENTENCODING", "UTF8")
            .env("PGAPPNAME", "mattervisor-backup")
            .env("LC_ALL", "C");
        if let Some(text) = &self.data_source {
            for (name, value) in source::variables(text)? {
                command.env(name, value);
            }
        } else {
            let port = self.port.map(|port| port.to_string());
            let own = [
                ("PGHOST", &self.host),
                ("PGPORT", &port),
                ("PGUSER", &self.user),
                ("PGDATABASE", &self.database),
            ];
            for (name, value) in own {
                if let Some(value) = value {
                    command.env(name, value);
                }
            }
        }
        if let Some(database) = database {
            command.env("PGDATABASE", database);
        }
        Ok(())
    }
}
