//! Where a server is, and as whom it is asked.

use std::{path::PathBuf, process::Command};

use serde::Deserialize;

use super::source;
use crate::Error;

/// A server and a database on it. What it says reaches programs by their environment alone: no password
/// is in anybody's command line, and a name is never taken for more than a name.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// A directory of a unix socket, or a host.
    #[serde(default)]
    pub host: Option<String>,
    /// Port of the server.
    #[serde(default)]
    pub port: Option<u16>,
    /// Who asks: the superuser, where the server is ours.
    #[serde(default)]
    pub user: Option<String>,
    /// The database.
    #[serde(default)]
    pub database: Option<String>,
    /// Owner of the database.
    #[serde(default)]
    pub role: Option<String>,
    /// Another server, as Mattermost is told of it: a URL or `key=value` pairs. It wins over the above.
    #[serde(default)]
    pub data_source: Option<String>,
    /// Directory of the server's own programs, if the supervisor runs the server.
    #[serde(default)]
    pub programs: Option<PathBuf>,
}

/// Longest wait for a connection, in seconds.
const CONNECT_SECONDS: &str = "30";
/// No limit that the server sets for ordinary clients is for us.
pub(super) const OPTIONS: &str = "-c statement_timeout=0 -c lock_timeout=0 \
    -c idle_in_transaction_session_timeout=0 -c client_min_messages=warning";

impl Server {
    /// Puts into a program's environment where the server is. `database` is another one than its own.
    ///
    /// # Errors
    /// [`Error::Source`] if `data_source` cannot be read.
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
