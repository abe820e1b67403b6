//! The tables, made under a lock as the real server makes them.
//!
//! The lock is a row that expires by itself; a server that is killed in mid-migration leaves it, and
//! the next start waits until it has expired.

use std::time::Duration;

use tokio_postgres::{Client, Error};

use crate::{log::Log, moods::Moods};

/// Number, name and SQL of every migration, oldest first.
const ALL: &[(i64, &str, &str)] = &[
    (
        1,
        "create_systems",
        "CREATE TABLE IF NOT EXISTS systems (name varchar(64) PRIMARY KEY, value varchar(1024))",
    ),
    (
        2,
        "create_standin_starts",
        "CREATE TABLE IF NOT EXISTS standin_starts (id bigserial PRIMARY KEY, \
         at timestamptz NOT NULL DEFAULT now(), pid integer NOT NULL, version varchar(32) NOT NULL)",
    ),
    (
        3,
        "create_standin_frames",
        "CREATE TABLE IF NOT EXISTS standin_frames (id bigserial PRIMARY KEY, \
         at timestamptz NOT NULL DEFAULT now(), message text NOT NULL)",
    ),
    (
        4,
        "create_users",
        "CREATE TABLE IF NOT EXISTS users (id varchar(26) PRIMARY KEY, username varchar(64) NOT NULL UNIQUE, \
         email varchar(128) NOT NULL UNIQUE, auth_service varchar(32) NOT NULL, auth_data varchar(128) UNIQUE, \
         roles varchar(256) NOT NULL)",
    ),
    (
        5,
        "create_sessions",
        "CREATE TABLE IF NOT EXISTS sessions (token varchar(26) PRIMARY KEY, \
         user_id varchar(26) NOT NULL REFERENCES users (id))",
    ),
];

/// Number of the newest migration.
pub(crate) fn newest() -> i64 {
    ALL.last().map_or(0, |(number, _, _)| *number)
}

/// Applies what is missing.
pub(crate) async fn apply(client: &Client, moods: &Moods, log: &Log) -> Result<(), Error> {
    client
        .batch_execute(
            "SELECT pg_advisory_lock(827391);\
             CREATE TABLE IF NOT EXISTS db_lock (id varchar(64) PRIMARY KEY, expireat bigint NOT NULL);\
             CREATE TABLE IF NOT EXISTS db_migrations (version bigint PRIMARY KEY, name varchar NOT NULL);\
             SELECT pg_advisory_unlock(827391)",
        )
        .await?;
    take_lock(client, moods, log).await?;
    let pause = moods.migrate / u32::try_from(ALL.len()).unwrap_or(1);
    for (number, name, sql) in ALL {
        sleep_under_lock(client, moods, pause).await?;
        let query = "SELECT 1 FROM db_migrations WHERE version = $1";
        if client.query_opt(query, &[number]).await?.is_some() {
            continue;
        }
        log.debug(&format!("== {name}: migrating"), &[]);
        client.batch_execute(sql).await?;
        let query = "INSERT INTO db_migrations (version, name) VALUES ($1, $2)";
        client.execute(query, &[number, name]).await?;
        log.debug(&format!("== {name}: migrated"), &[]);
    }
    client
        .execute("DELETE FROM db_lock WHERE id = 'migrations'", &[])
        .await?;
    Ok(())
}

async fn take_lock(client: &Client, moods: &Moods, log: &Log) -> Result<(), Error> {
    let mut told = false;
    while !extend_lock(client, moods, false).await? {
        if !told {
            log.info("Waiting for the migration lock", &[]);
            told = true;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    Ok(())
}

/// Takes the lock if it is free or has expired; `ours` says that we have it already.
async fn extend_lock(client: &Client, moods: &Moods, ours: bool) -> Result<bool, Error> {
    let life = i64::try_from(moods.lock.as_millis()).unwrap_or(15_000);
    let query = "INSERT INTO db_lock AS held (id, expireat) \
         VALUES ('migrations', (extract(epoch FROM clock_timestamp()) * 1000)::bigint + $1) \
         ON CONFLICT (id) DO UPDATE SET expireat = excluded.expireat \
         WHERE $2 OR held.expireat < (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
    Ok(client.execute(query, &[&life, &ours]).await? == 1)
}

/// Passes time as a long migration would, keeping the lock.
async fn sleep_under_lock(client: &Client, moods: &Moods, time: Duration) -> Result<(), Error> {
    let mut left = time;
    while !left.is_zero() {
        let step = left.min(moods.lock / 3);
        tokio::time::sleep(step).await;
        left -= step;
        extend_lock(client, moods, true).await?;
    }
    Ok(())
}
