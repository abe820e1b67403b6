//! `ctl restore`: says what will be replaced, asks for confirmation, asks the supervisor for the
//! job, and follows it. The job continues if the client goes away.

use std::{
    fmt::Write as _,
    io::{BufRead as _, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
};

use api::JobRequest;
use clap::Args;
use client::{
    Error, Kind,
    operation::{JOB_ENDS, Operation, carry_out, new_id},
};
use mattervisor_backup::{
    configuration::Configuration,
    manifest::Manifest,
    name,
    postgres::Live,
    restore::{Given, Safety, explained, safety},
    verify,
};
use serde_json::{Value, json};

use super::{Session, create::told, utc};

/// Stands for a version that is not known.
const UNKNOWN: &str = "of an unknown version";

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The backup, by path or by its name in the directory of backups
    #[arg(value_name = "FILE", required_unless_present_any = ["sql", "files", "undo", "forget"])]
    file: Option<PathBuf>,
    /// Restore the database from a dump of it: plain, with gzip, or custom (-Fc)
    #[arg(long, value_name = "DUMP", conflicts_with = "file")]
    sql: Option<PathBuf>,
    /// Restore data and config.json from a tar archive, plain or with gzip
    #[arg(long, value_name = "ARCHIVE", conflicts_with_all = ["file", "database"])]
    files: Option<PathBuf>,
    /// Do not ask for confirmation
    #[arg(long)]
    yes: bool,
    /// Restore the database alone, under this name beside the live one, to look at
    #[arg(long, value_name = "NAME", conflicts_with_all = ["undo", "forget"])]
    database: Option<String>,
    /// On a new machine: first take over the site file, service files and secrets of the backup
    #[arg(long, requires = "file", conflicts_with = "database")]
    configuration: bool,
    /// Bring back what was there before the last restore
    #[arg(long, conflicts_with_all = ["file", "sql", "files", "forget"])]
    undo: bool,
    /// Remove what was there before the last restore
    #[arg(long, conflicts_with_all = ["file", "sql", "files"])]
    forget: bool,
}

pub(super) async fn run(here: &Session<'_>, arguments: &Arguments) -> Result<u8, Error> {
    if let Some(file) = arguments.file.as_ref().filter(|_| arguments.configuration) {
        let file = path(here, file).map_err(failed)?;
        super::configuration::apply(here, &file, arguments.yes).await?;
    }
    let (operation, question) = asked_for(here, arguments).map_err(failed)?;
    if let Some(question) = question
        && !arguments.yes
        && !agreed(&question)?
    {
        return Err(Error::new(Kind::Failed, "nothing was changed"));
    }
    carry(here, operation).await
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub(super) fn failed(error: mattervisor_backup::Error) -> Error {
    Error::new(Kind::Failed, error.to_string())
}

/// The job's arguments, and the question before the job begins, if anything is to be replaced.
fn asked_for(
    here: &Session<'_>,
    arguments: &Arguments,
) -> Result<(Value, Option<String>), mattervisor_backup::Error> {
    let configuration = here.configuration()?;
    let kept = safety(&configuration, &here.stop)?;
    if arguments.undo {
        let question = kept.map(|kept| undo(&kept, &configuration, here));
        return Ok((json!({ "operation": "undo" }), question));
    }
    if arguments.forget {
        let question = kept.map(|kept| {
            let copy = told_copy(&kept);
            format!("This removes {copy}. Nothing brings that back afterwards.\n")
        });
        return Ok((json!({ "operation": "forget" }), question));
    }
    if arguments.sql.is_some() || arguments.files.is_some() {
        return foreign(here, arguments, &configuration, kept.as_ref());
    }
    let file = arguments.file.clone().unwrap_or_default();
    let file = path(here, &file)?;
    if let Some(database) = &arguments.database {
        let operation = json!({ "operation": "beside", "file": file, "database": database });
        return Ok((operation, None));
    }
    let opened = safe_path::open(&file).map_err(|error| mattervisor_backup::Error::Io {
        doing: format!("open {}", file.display()),
        error,
    })?;
    let manifest = verify::manifest(&opened).map_err(|error| explained(&file, error))?;
    let question = replaced(here, &configuration, &file, &manifest, kept.as_ref());
    Ok((
        json!({ "operation": "restore", "file": file }),
        Some(question),
    ))
}

/// Like [`asked_for`], for files of other programs.
fn foreign(
    here: &Session<'_>,
    arguments: &Arguments,
    configuration: &Configuration,
    kept: Option<&Safety>,
) -> Result<(Value, Option<String>), mattervisor_backup::Error> {
    let absolute = |path: &Option<PathBuf>| path.as_ref().map(std::path::absolute).transpose();
    let (sql, files) = (absolute(&arguments.sql)?, absolute(&arguments.files)?);
    let given = Given {
        sql: sql.as_deref(),
        files: files.as_deref(),
    };
    let told = given.told()?;
    if let Some(database) = &arguments.database {
        let operation = json!({ "operation": "foreign-beside", "sql": sql, "database": database });
        return Ok((operation, None));
    }
    let mut question = String::new();
    let paths = [given.sql, given.files].into_iter().flatten();
    for (path, what) in paths.zip(told) {
        let _ = writeln!(question, "{}\n  {what}", path.display());
    }
    question += if given.sql.is_some() && given.files.is_some() {
        "take the place of\n"
    } else {
        "takes the place of\n"
    };
    if given.sql.is_some() {
        question += &database(here, configuration);
    } else {
        question += "  nothing of the database, which stays as it is\n";
    }
    if given.files.is_some() {
        question += &directories(configuration);
        question += "  as far as the archive has them\n";
    } else {
        question += "  no files: data and config.json stay as they are\n";
    }
    question += &kept_then(kept);
    let operation = json!({ "operation": "foreign", "sql": sql, "files": files });
    Ok((operation, Some(question)))
}

/// The path of a backup: the name of a backup stands for the file of that name in the directory of
/// backups, if no such file exists here.
fn path(here: &Session<'_>, file: &Path) -> Result<PathBuf, mattervisor_backup::Error> {
    let is_name = file.to_str().is_some_and(|it| name::moment(it).is_some());
    if is_name && safe_path::metadata(file).is_err() {
        return Ok(here.target(None)?.path().join(file));
    }
    Ok(std::path::absolute(file)?)
}

fn replaced(
    here: &Session<'_>,
    configuration: &Configuration,
    file: &Path,
    manifest: &Manifest,
    kept: Option<&Safety>,
) -> String {
    let mut out = String::new();
    let (entries, bytes) = manifest.trees.iter().fold((0, 0), |sum, tree| {
        (sum.0 + tree.entries, sum.1 + tree.bytes)
    });
    let saved = &manifest.database;
    let _ = writeln!(
        out,
        "{}\n  made at {} on {}: Mattermost {}, PostgreSQL {}, database {} of {}, {entries} files of {}",
        file.display(),
        utc(&manifest.created),
        manifest.host,
        manifest.mattermost_version.as_deref().unwrap_or(UNKNOWN),
        saved.server_version,
        saved.name,
        text::size(saved.bytes),
        text::size(bytes),
    );
    out += "takes the place of\n";
    out += &database(here, configuration);
    out += &directories(configuration);
    for left in &manifest.left_out {
        let _ = writeln!(out, "  {}", left.words());
    }
    out + &kept_then(kept)
}

/// The live database in one line: what a restore would replace.
fn database(here: &Session<'_>, configuration: &Configuration) -> String {
    let installed = &configuration.mattermost_version;
    let installed = installed.as_deref().unwrap_or(UNKNOWN);
    match Live::ask(&configuration.database, &here.stop) {
        Ok(live) => format!(
            "  Mattermost {installed}, PostgreSQL {}, database {} of {}{}\n",
            live.facts.server_version,
            live.facts.name,
            text::size(live.facts.bytes),
            posts(live.posts, "messages"),
        ),
        Err(error) => {
            format!("  Mattermost {installed}; the database cannot be asked: {error}\n")
        }
    }
}

/// The live files in one line: the directories that a restore would replace.
fn directories(configuration: &Configuration) -> String {
    let trees = configuration.trees.iter();
    let trees: Vec<_> = trees.map(|it| it.path.display().to_string()).collect();
    format!(
        "  {} and config.json in {}\n",
        trees.join(", "),
        configuration.home.display()
    )
}

fn kept_then(kept: Option<&Safety>) -> String {
    let mut out = "Mattermost is stopped while they change places. What is there now is kept: ctl restore --undo brings it back.\n".to_owned();
    if let Some(kept) = kept {
        let copy = told_copy(kept);
        let _ = writeln!(out, "Afterwards an earlier copy is removed: {copy}.");
    }
    out
}

fn posts(count: Option<u64>, what: &str) -> String {
    count.map_or_else(String::new, |count| format!(", {count} {what}"))
}

pub(super) fn told_copy(kept: &Safety) -> String {
    let size = |bytes: Option<u64>| {
        bytes.map_or_else(String::new, |bytes| format!(" ({})", text::size(bytes)))
    };
    let (database, files) = (size(kept.database_bytes), size(kept.files_bytes));
    let (from, at) = (&kept.from, utc(&kept.at));
    let what = if kept.undone {
        format!("what was restored from {from} until that was undone at {at}")
    } else {
        format!("what was there until {from} was restored at {at}")
    };
    match &kept.database {
        Some(name) => format!("{what}: database {name}{database} and files{files}"),
        None => format!("{what}: files{files}, no database"),
    }
}

fn undo(kept: &Safety, configuration: &Configuration, here: &Session<'_>) -> String {
    let written = if kept.database.is_none() {
        "The database stays as it is: the restore did not replace it.".to_owned()
    } else {
        match Live::posts_since(&configuration.database, &kept.at, &here.stop) {
            Ok(Some(0)) => "No messages were written since.".to_owned(),
            Ok(Some(1)) => "1 message was written since; it goes out of use.".to_owned(),
            Ok(Some(count)) => format!("{count} messages were written since; they go out of use."),
            Ok(None) => {
                "The database has no table of messages, so nothing says what was written since."
                    .to_owned()
            }
            Err(error) => format!("How many messages were written since is not known: {error}."),
        }
    };
    format!(
        "This brings back {}.\n{written}\nWhat is there now is kept: another ctl restore --undo brings it back.\n",
        told_copy(kept)
    )
}

/// Asks for confirmation. Without a terminal it fails, because nobody can answer.
pub(super) fn agreed(question: &str) -> Result<bool, Error> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        eprint!("{question}");
        let message = "there is no terminal to ask on, and nothing was changed";
        return Err(Error::new(Kind::Usage, message).hint("give --yes to do it without a question"));
    }
    eprint!("{question}Go on? [y/N] ");
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    let read = stdin.lock().read_line(&mut answer);
    Ok(read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes"))
}

async fn carry(here: &Session<'_>, operation: Value) -> Result<u8, Error> {
    let job = here.configuration().map_err(failed)?.restore.job;
    let context = here.context;
    let request = JobRequest {
        id: new_id(),
        arguments: operation,
        wait: context.wait,
    };
    let body = serde_json::to_vec(&request)
        .map_err(|error| Error::new(Kind::Failed, error.to_string()))?;
    let change = Operation {
        id: request.id,
        path: format!("/v1/jobs/{job}"),
        body,
        ends: JOB_ENDS,
        leave_when_accepted: false,
    };
    let outcome = carry_out(context, &change).await?;
    if !outcome.finished {
        context.note("the restore is on its way: ctl status restore shows how far it is");
        return Ok(0);
    }
    let Some(result) = outcome.job else {
        let message = "the restore has ended, and nothing says how";
        return Err(Error::new(Kind::Failed, message).hint("ctl logs restore shows what it said"));
    };
    told(context, &result)
}
