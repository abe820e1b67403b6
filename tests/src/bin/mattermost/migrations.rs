//! Makes the tables under a lock, as the real server does.
//!
//! The lock is a row that expires by itself; a server that is killed in the middle of a migration
//! leaves the row, and the next start waits until the row has expired.

use std::time::Duration;

use tokio_postgres::{Client, Error};

use crate::{log::Log, moods::Moods, release};

/// The migration since which the table refuses a message without `rootid`.
pub(crate) const POSTS_ROOTID: i64 = 7;
/// Prefix of each migration's file name.
const FOLDER: &str = "migrations/postgres/";
/// Duration of a migration, unless `STANDIN_MIGRATE_MS` is set.
const USUAL: Duration = Duration::from_millis(20);

/// File and SQL of every migration, oldest first. A release does not carry a migration whose file
/// name is overwritten.
static ALL: &[(&str, &str)] = &[
    (
        "migrations/postgres/000001_create_systems.up.sql",
        "CREATE TABLE IF NOT EXISTS systems (name varchar(64) PRIMARY KEY, value varchar(1024))",
    ),
    (
        "migrations/postgres/000002_create_standin_starts.up.sql",
        "CREATE TABLE IF NOT EXISTS standin_starts (id bigserial PRIMARY KEY, \
         at timestamptz NOT NULL DEFAULT now(), pid integer NOT NULL, version varchar(32) NOT NULL)",
    ),
    (
        "migrations/postgres/000003_create_standin_frames.up.sql",
        "CREATE TABLE IF NOT EXISTS standin_frames (id bigserial PRIMARY KEY, \
         at timestamptz NOT NULL DEFAULT now(), message text NOT NULL)",
    ),
    (
        "migrations/postgres/000004_create_users.up.sql",
        "CREATE TABLE IF NOT EXISTS users (id varchar(26) PRIMARY KEY, username varchar(64) NOT NULL UNIQUE, \
         email varchar(128) NOT NULL UNIQUE, auth_service varchar(32) NOT NULL, auth_data varchar(128) UNIQUE, \
         roles varchar(256) NOT NULL)",
    ),
    (
        "migrations/postgres/000005_create_sessions.up.sql",
        "CREATE TABLE IF NOT EXISTS sessions (token varchar(26) PRIMARY KEY, \
         user_id varchar(26) NOT NULL REFERENCES users (id))",
    ),
    (
        "migrations/postgres/000006_create_posts.up.sql",
        "CREATE TABLE IF NOT EXISTS posts (id varchar(26) PRIMARY KEY, message text NOT NULL)",
    ),
    (
        "migrations/postgres/000007_posts_rootid.up.sql",
        "ALTER TABLE posts ADD COLUMN IF NOT EXISTS rootid varchar(26); \
         UPDATE posts SET rootid = '' WHERE rootid IS NULL; \
         ALTER TABLE posts ALTER COLUMN rootid SET NOT NULL",
    ),
];

/// A migration that this release carries.
struct Migration {
    number: i64,
    name: &'static str,
    sql: &'static str,
}

fn all() -> impl Iterator<Item = Migration> {
    // No constants: the bytes in the program's file count.
    std::hint::black_box(ALL).iter().filter_map(|(file, sql)| {
        let file = file.strip_prefix(FOLDER)?.strip_suffix(".up.sql")?;
        let (number, name) = file.split_once('_')?;
        let number = number.parse().ok()?;
        Some(Migration { number, name, sql })
    })
}

/// Number of the newest migration.
pub(crate) fn newest() -> i64 {
    all().last().map_or(0, |migration| migration.number)
}

/// Whether this release carries the migration of that number.
pub(crate) fn carried(number: i64) -> bool {
    all().any(|migration| migration.number == number)
}

/// Applies the migrations that are missing.
pub(crate) async fn apply(client: &Client, moods: &Moods, log: &Log) -> Result<(), Error> {
    if !release::has_numbered_migrations() {
        return raise_version(client).await;
    }
    client
        .batch_execute(
            "SELECT pg_advisory_lock(827391);\
             CREATE TABLE IF NOT EXISTS db_lock (id varchar(64) PRIMARY KEY, expireat bigint NOT NULL);\
             CREATE TABLE IF NOT EXISTS db_migrations (version bigint PRIMARY KEY, name varchar NOT NULL);\
             SELECT pg_advisory_unlock(827391)",
        )
        .await?;
    take_lock(client, moods, log).await?;
    let count = u32::try_from(all().count()).unwrap_or(1);
    let asked = moods.migrate.map(|all| all / count);
    for Migration { number, name, sql } in all() {
        sleep_under_lock(client, moods, asked.unwrap_or_default()).await?;
        let query = "SELECT 1 FROM db_migrations WHERE version = $1";
        if client.query_opt(query, &[&number]).await?.is_some() {
            continue;
        }
        log.debug(&format!("== {name}: migrating"), &[]);
        if asked.is_none() {
            sleep_under_lock(client, moods, USUAL).await?;
        }
        client.batch_execute(sql).await?;
        let query = "INSERT INTO db_migrations (version, name) VALUES ($1, $2)";
        client.execute(query, &[&number, &name]).await?;
        log.debug(&format!("== {name}: migrated"), &[]);
    }
    client
        .execute("DELETE FROM db_lock WHERE id = 'migrations'", &[])
        .await?;
    Ok(())
}

/// Migrates as releases before the numbered migrations do: makes the tables, and puts the version
/// into the table of systems.
async fn raise_version(client: &Client) -> Result<(), Error> {
    for migration in all() {
        client.batch_execute(migration.sql).await?;
    }
    let query = "INSERT INTO systems (name, value) VALUES ('Version', $1) \
         ON CONFLICT (name) DO UPDATE SET value = greatest(systems.value, excluded.value)";
    client.execute(query, &[&release::version()]).await?;
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

/// Takes the lock if it is free or has expired; `ours` says that this process has the lock already.
async fn extend_lock(client: &Client, moods: &Moods, ours: bool) -> Result<bool, Error> {
    let life = i64::try_from(moods.lock.as_millis()).unwrap_or(15_000);
    let query = "INSERT INTO db_lock AS held (id, expireat) \
         VALUES ('migrations', (extract(epoch FROM clock_timestamp()) * 1000)::bigint + $1) \
         ON CONFLICT (id) DO UPDATE SET expireat = excluded.expireat \
         WHERE $2 OR held.expireat < (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
    Ok(client.execute(query, &[&life, &ours]).await? == 1)
}

/// Passes time as a long migration would, and keeps the lock.
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
