//! The connection to `PostgreSQL`: waited for at the start, and renewed when it breaks.

use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};
use tokio_postgres::{Client, NoTls};

use crate::{log::Log, moods::Moods};

/// Longest wait for one connection or one ping, as in the real server.
const PING_LIMIT: Duration = Duration::from_secs(10);
/// Oldest `PostgreSQL` that the server accepts, as a `server_version_num`.
const OLDEST: i32 = 140_000;

/// A database, with at most one connection.
pub(crate) struct Database {
    source: String,
    client: Mutex<Option<Client>>,
}

impl Database {
    /// Keeps the address of the database; does not connect.
    pub(crate) fn new(source: &str) -> Self {
        Self {
            source: source.to_owned(),
            client: Mutex::new(None),
        }
    }

    /// Tries until the database answers; an error after the last try.
    pub(crate) async fn wait(&self, moods: &Moods, log: &Log, name: &str) -> Result<(), String> {
        let mut last = String::new();
        for attempt in 1..=moods.db_retries.max(1) {
            log.info(
                "Pinging SQL",
                &[("database", name), ("attempt", &attempt.to_string())],
            );
            match self.connect().await {
                Ok(client) => {
                    *self.client.lock().await = Some(client);
                    return Ok(());
                }
                Err(error) => last = error,
            }
            log.error("Failed to ping DB", &[("database", name), ("error", &last)]);
            if attempt < moods.db_retries {
                tokio::time::sleep(moods.db_pause).await;
            }
        }
        Err(format!(
            "failed to initialize platform: cannot create store: failed to ping DB: {last}"
        ))
    }

    /// Refuses a server that is too old, applies the migrations and notes this start.
    pub(crate) async fn prepare(&self, moods: &Moods, log: &Log, note: bool) -> Result<(), String> {
        let guard = self.client.lock().await;
        let client = guard.as_ref().ok_or("no connection")?;
        let row = client
            .query_one("SHOW server_version_num", &[])
            .await
            .map_err(words)?;
        let version: i32 = row.get::<_, String>(0).parse().unwrap_or(0);
        if version < OLDEST {
            return Err(format!(
                "minimum Postgres version requirements not met: {version} < {OLDEST}"
            ));
        }
        super::migrations::apply(client, moods, log)
            .await
            .map_err(words)?;
        if note {
            let pid = i32::try_from(std::process::id()).unwrap_or(0);
            let query = "INSERT INTO standin_starts (pid, version) VALUES ($1, $2)";
            client
                .execute(query, &[&pid, &crate::release::version()])
                .await
                .map_err(words)?;
        }
        Ok(())
    }

    /// Writes a row and deletes it, over a new connection if the old one has broken.
    pub(crate) async fn check(&self) -> Result<(), String> {
        match tokio::time::timeout(PING_LIMIT, self.write_and_delete()).await {
            Ok(result) => result,
            Err(_) => Err("the database did not answer".to_owned()),
        }
    }

    /// The connection, renewed if it has broken; `None` if the database cannot be reached.
    pub(crate) async fn client(&self) -> MutexGuard<'_, Option<Client>> {
        let mut guard = self.client.lock().await;
        if guard.as_ref().is_none_or(Client::is_closed) {
            *guard = self.connect().await.ok();
        }
        guard
    }

    /// Stores a message that came over a websocket.
    pub(crate) async fn keep_frame(&self, message: &str) -> Result<(), String> {
        let guard = self.client.lock().await;
        let client = guard.as_ref().ok_or("no connection")?;
        let query = "INSERT INTO standin_frames (message) VALUES ($1)";
        client.execute(query, &[&message]).await.map_err(words)?;
        Ok(())
    }

    async fn write_and_delete(&self) -> Result<(), String> {
        let mut guard = self.client.lock().await;
        if guard.as_ref().is_none_or(Client::is_closed) {
            *guard = Some(self.connect().await?);
        }
        let client = guard.as_ref().ok_or("no connection")?;
        let name = format!("health_check_{}", std::process::id());
        let put = "INSERT INTO systems (name, value) VALUES ($1, now()::text) \
             ON CONFLICT (name) DO UPDATE SET value = excluded.value";
        let outcome = match client.execute(put, &[&name]).await {
            Ok(_) => {
                client
                    .execute("DELETE FROM systems WHERE name = $1", &[&name])
                    .await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = outcome {
            *guard = None;
            return Err(words(error));
        }
        Ok(())
    }

    async fn connect(&self) -> Result<Client, String> {
        let config: tokio_postgres::Config =
            without_pq_words(&self.source).parse().map_err(words)?;
        let attempt = tokio::time::timeout(PING_LIMIT, config.connect(NoTls)).await;
        let (client, connection) = attempt
            .map_err(|_| "connection timed out".to_owned())?
            .map_err(words)?;
        tokio::spawn(async move {
            // The end of the connection shows as `is_closed` at the next use.
            let _ = connection.await;
        });
        Ok(client)
    }
}

/// The error with its causes, which are the part that helps.
pub(crate) fn words(error: impl std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Leaves out the parameters that only Go's driver knows.
fn without_pq_words(source: &str) -> String {
    const ONLY_PQ: &str = "binary_parameters=";
    if let Some((address, query)) = source.split_once('?') {
        let kept: Vec<&str> = query
            .split('&')
            .filter(|pair| !pair.starts_with(ONLY_PQ))
            .collect();
        return if kept.is_empty() {
            address.to_owned()
        } else {
            format!("{address}?{}", kept.join("&"))
        };
    }
    let kept: Vec<&str> = source
        .split(' ')
        .filter(|pair| !pair.starts_with(ONLY_PQ))
        .collect();
    kept.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_gos_driver_are_left_out_of_both_forms() {
        assert_eq!(
            without_pq_words(
                "postgres://u@h/d?sslmode=disable&connect_timeout=10&binary_parameters=yes"
            ),
            "postgres://u@h/d?sslmode=disable&connect_timeout=10"
        );
        assert_eq!(
            without_pq_words("postgres://u@h/d?binary_parameters=yes"),
            "postgres://u@h/d"
        );
        assert_eq!(
            without_pq_words("user=u host=/run/x dbname=d binary_parameters=yes"),
            "user=u host=/run/x dbname=d"
        );
    }
}
