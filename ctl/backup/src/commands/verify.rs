//! `ctl backup verify`: reads backups as a whole and says whether they are good.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use clap::Args;
use mattervisor_backup::{
    Error, Refusal, Watch,
    manifest::{LeftOut, Mode, Place},
    name,
    postgres::Server,
    target::Target,
    verify::{self, Depth, Verified},
};

use super::{Session, utc};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Backups, by path or by their name in the directory of backups [default: the newest one]
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Restore each into a database of its own, count its rows, and drop it again
    #[arg(long)]
    deep: bool,
}

pub(super) fn run(here: &Session<'_>, arguments: &Arguments) -> Result<u8, Error> {
    let server = if arguments.deep {
        Some(here.configuration()?.database)
    } else {
        None
    };
    let files = files(here, &arguments.files)?;
    let mut code = 0;
    let mut all = Vec::new();
    for file in &files {
        match one(here, file, server.as_ref()) {
            Ok(verified) if here.is_json() => all.push(verified),
            Ok(verified) => here.print(&said(&verified)),
            Err(Error::Cancelled) => return Err(Error::Cancelled),
            Err(error) => {
                here.error(&error);
                code = 1;
            }
        }
    }
    if here.is_json() {
        here.json(&all)?;
    }
    Ok(code)
}

fn files(here: &Session<'_>, named: &[PathBuf]) -> Result<Vec<PathBuf>, Error> {
    if named.is_empty() {
        let target = here.target(None)?;
        let newest = target.backups()?.pop();
        let path = target.path().to_owned();
        return match newest {
            Some(newest) => Ok(vec![path.join(newest)]),
            None => Err(Refusal::NoBackup { path }.into()),
        };
    }
    let found = named.iter().map(|file| {
        let is_name = file
            .to_str()
            .is_some_and(|name| name::moment(name).is_some());
        if is_name && safe_path::metadata(file).is_err() {
            return Ok(here.target(None)?.path().join(file));
        }
        Ok(std::path::absolute(file)?)
    });
    found.collect()
}

/// Verifies one backup. The result for a backup in the directory is stored beside it, unless
/// another program works there.
fn one(here: &Session<'_>, file: &Path, server: Option<&Server>) -> Result<Verified, Error> {
    let mut watch = Watch::new(here.stop.clone(), |_| {});
    let parts = file
        .parent()
        .zip(file.file_name().and_then(|name| name.to_str()));
    if let Some((directory, name)) = parts
        && name::moment(name).is_some()
        && let Ok(held) = Target::open(directory).and_then(Target::hold)
    {
        return verify::noted(&held, name, server, &mut watch);
    }
    verify::path(file, server, &mut watch)
}

fn said(verified: &Verified) -> String {
    let Verified {
        file,
        bytes,
        manifest,
        report,
        dump,
        ..
    } = verified;
    let mut out = String::new();
    let how = match dump {
        Depth::Sums => "all sums are right; no pg_restore here is new enough to read the dump",
        Depth::Read => "all sums are right, and pg_restore has read the dump",
        Depth::Restored => "all sums are right, and the dump was restored with all its rows",
    };
    let mode = match manifest.mode {
        Mode::Online => "online",
        Mode::Offline => "offline",
    };
    let _ = writeln!(
        out,
        "{}: good, {}: {how}",
        file.display(),
        text::size(*bytes)
    );
    let mattermost = manifest
        .mattermost_version
        .as_deref()
        .unwrap_or("of an unknown version");
    let _ = writeln!(
        out,
        "  made {mode} at {} on {}: Mattermost {mattermost}, PostgreSQL {}, {} files",
        utc(&manifest.created),
        manifest.host,
        manifest.database.server_version,
        report.files
    );
    if manifest.configuration == Place::Database {
        out += "  Mattermost's configuration is in the database: it has the address and password of that database\n";
    }
    left_out(&mut out, verified);
    for index in &manifest.database.invalid_indexes {
        let _ = writeln!(
            out,
            "  index {}.{} was not valid, and is not in the dump: mend it by REINDEX INDEX CONCURRENTLY, and make another backup",
            index.schema, index.index
        );
    }
    for (trouble, told) in report.troubles.iter() {
        let _ = writeln!(out, "  {} × {}", told.count, trouble.words());
        for name in &told.names {
            let _ = writeln!(out, "      {name}");
        }
    }
    out
}

fn left_out(out: &mut String, verified: &Verified) {
    let manifest = &verified.manifest;
    for left in &manifest.left_out {
        let _ = match left {
            LeftOut::UploadedFiles { driver } => writeln!(
                out,
                "  UPLOADED FILES ARE NOT IN IT: Mattermost keeps them elsewhere ({driver})"
            ),
            LeftOut::File { name } => writeln!(out, "  left out: {name}"),
            LeftOut::Setting { file, setting } => writeln!(out, "  left out: {setting} of {file}"),
        };
    }
    let secrets = |left: &LeftOut| !matches!(left, LeftOut::UploadedFiles { .. });
    if manifest.left_out.iter().any(secrets) {
        let holds = manifest.dump_holds.iter().map(|kind| kind.words());
        let holds = holds.collect::<Vec<_>>().join(", ");
        let _ = writeln!(out, "  it is not free of secrets: the dump holds {holds}");
    }
}
