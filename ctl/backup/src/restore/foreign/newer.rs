//! Checks that the installed Mattermost knows the database of a dump. An older Mattermost starts on
//! a newer database without a complaint, and saves no message.
//!
//! Each Mattermost since 6.4 carries its migrations by the names of their files, and the database
//! stores the names of the applied ones. Names count, because a number may belong to another
//! migration in another release.

use std::{io::Read, path::Path};

use super::{super::checks::is_older, fault::Fault};
use crate::{Error, Refusal, configuration::Configuration, postgres::Session};

/// Prefix of the file names of migrations.
const FILE: &[u8] = b"postgres/0";
/// Longest file name of a migration, in bytes.
const FILE_BYTES: usize = 256;
const CHUNK_BYTES: usize = 1 << 20;
/// The migration that identifies a 10.11 whose last three migrations have other numbers, and the
/// releases that fail on it: from the first, up to but without the second.
const MISNUMBERED: (u64, &str) = (142, "add_schemeid_to_roles");
const STOPS: [&str; 2] = ["11.0", "11.7.3"];

/// Refuses the session's database if the installed Mattermost does not know it. `live` is the
/// number of the newest migration of the live database.
pub(super) fn refuse(
    session: &mut Session,
    configuration: &Configuration,
    live: Option<u64>,
) -> Result<(), Error> {
    let installed = configuration.mattermost_version.as_deref();
    let Some(table) = session.table("db_migrations")? else {
        return by_version(session, installed);
    };
    let newest = session.json(&format!(
        "SELECT version, name FROM {table} ORDER BY version DESC LIMIT 1"
    ))?;
    let Some(newest) = newest.first() else {
        return Ok(());
    };
    let number = newest["version"].as_u64().unwrap_or_default();
    let name = newest["name"].as_str().unwrap_or_default();
    let numbered = format!(
        "SELECT count(*) FROM {table} WHERE version = {} AND name = '{}'",
        MISNUMBERED.0, MISNUMBERED.1
    );
    if let Some(installed) = installed
        && is_between(installed, STOPS)
        && session.number(&numbered)? > 0
    {
        let installed = installed.to_owned();
        return Err(Fault::Misnumbered { installed }.into());
    }
    let carried = configuration.program.as_deref().map(|it| carries(it, name));
    let knows = match carried {
        Some(Ok(Carries::This)) => true,
        Some(Ok(Carries::Others)) => false,
        // The program does not show its migrations: those of the live database stand for them.
        Some(Ok(Carries::None) | Err(_)) | None => live.is_none_or(|live| number <= live),
    };
    if knows {
        return Ok(());
    }
    let installed = installed.map_or_else(
        || "the Mattermost".to_owned(),
        |it| format!("Mattermost {it}"),
    );
    let name = name.to_owned();
    Err(Fault::Newer {
        installed,
        number,
        name,
    }
    .into())
}

/// Up to 6.3 the database stores the version itself.
fn by_version(session: &mut Session, installed: Option<&str>) -> Result<(), Error> {
    let Some(table) = session.table("systems")? else {
        return Ok(());
    };
    let found = session.json(&format!("SELECT value FROM {table} WHERE name = 'Version'"))?;
    let version = found.first().and_then(|row| row["value"].as_str());
    if let (Some(version), Some(installed)) = (version, installed)
        && is_older(installed, version)
    {
        let (backup, installed) = (version.to_owned(), installed.to_owned());
        return Err(Refusal::Older { backup, installed }.into());
    }
    Ok(())
}

fn is_between(version: &str, [from, to]: [&str; 2]) -> bool {
    let numbers = |version: &str| -> Option<Vec<u32>> {
        let parts = version.split('.').take(3);
        parts.map(|part| part.parse().ok()).collect()
    };
    match (numbers(version), numbers(from), numbers(to)) {
        (Some(version), Some(from), Some(to)) => version >= from && version < to,
        _ => false,
    }
}

/// Whether a program carries a migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Carries {
    This,
    Others,
    None,
}

/// Whether a program carries the migration of this name.
fn carries(program: &Path, name: &str) -> Result<Carries, Error> {
    let mut file = safe_path::open(program).map_err(Error::with("open", program))?;
    let wanted = format!("_{name}.up.sql");
    let mut found = Carries::None;
    let mut buffer = vec![0; CHUNK_BYTES + FILE_BYTES];
    let mut kept = 0;
    loop {
        let read = file.read(&mut buffer[kept..])?;
        let bytes = &buffer[..kept + read];
        let places = bytes.windows(FILE.len()).enumerate();
        for (place, _) in places.filter(|(_, it)| *it == FILE) {
            let rest = &bytes[place + FILE.len()..];
            let digits = rest.iter().take_while(|it| it.is_ascii_digit()).count();
            if rest[digits..].starts_with(wanted.as_bytes()) {
                return Ok(Carries::This);
            }
            found = Carries::Others;
        }
        if read == 0 {
            return Ok(found);
        }
        // A name may span two reads.
        let end = bytes.len();
        let from = end.saturating_sub(FILE_BYTES);
        buffer.copy_within(from..end, 0);
        kept = end - from;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_program_shows_its_migrations_wherever_they_lie() {
        for before in [
            0,
            CHUNK_BYTES - 20,
            CHUNK_BYTES + FILE_BYTES - 12,
            CHUNK_BYTES * 2,
        ] {
            let mut file = tempfile::NamedTempFile::new().expect("a file");
            let mut bytes = vec![b'x'; before];
            bytes.extend_from_slice(b"migrations/postgres/000142_some.thing.up.sql and more");
            file.write_all(&bytes).expect("it is written");
            let of = |name| carries(file.path(), name).expect("it is read");
            assert_eq!(of("some.thing"), Carries::This, "{before}");
            assert_eq!(of("thing"), Carries::Others, "{before}");
        }
        let file = tempfile::NamedTempFile::new().expect("a file");
        assert_eq!(
            carries(file.path(), "x").expect("it is read"),
            Carries::None
        );
    }

    #[test]
    fn versions_that_stop_are_known() {
        for (version, stops) in [
            ("10.11.17", false),
            ("11.0.0", true),
            ("11.7.2", true),
            ("11.7.3", false),
            ("dev", false),
        ] {
            assert_eq!(is_between(version, STOPS), stops, "{version}");
        }
    }
}
