//! `ctl restore FILE --configuration`: replaces this machine's site file, service files and secrets
//! by those of a backup, before the data are restored.
//!
//! Order: the supervisor answers, the whole backup is read, a person confirms the changes; then the
//! files are replaced, a dry-run reconfiguration checks them, and a real one applies them. If the
//! dry run refuses them, the old files are put back.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use client::{Error, Kind};
use mattervisor_backup::{
    Watch,
    secrets::Names,
    site::{self, Change, Replaced, Saved},
};

use super::{
    Session,
    restore::{agreed, failed},
};

/// Table of the settings that are secret, in the catalogue.
const VARIABLES: &str = "mattermost/variables.tsv";

/// Puts the configuration into place and applies it.
pub(super) async fn apply(here: &Session<'_>, file: &Path, yes: bool) -> Result<(), Error> {
    let context = here.context;
    let running: Result<api::StatusReply, Error> = context.client.get("/v1/services").await;
    running.map_err(|error| {
        error.hint(
            "start the supervisor first, with whatever site file it has: systemctl start mattervisor",
        )
    })?;
    context.note(&format!("reading all of {}", file.display()));
    let saved = read(here, file).map_err(failed)?;
    let root = std::path::absolute(&context.root);
    let root = root.map_err(|error| Error::new(Kind::Failed, error.to_string()))?;
    let etc = root.join("etc/mattervisor");
    saved.same_database(&etc).map_err(failed)?;
    let changes = saved.changes(&etc).map_err(failed)?;
    if changes.is_empty() {
        context.note("the configuration of the backup is that of this machine already");
        return Ok(());
    }
    let question = question(here, &saved, &etc, &changes).map_err(failed)?;
    if yes {
        eprint!("{question}");
    } else if !agreed(&question)? {
        return Err(Error::new(Kind::Failed, "nothing was changed"));
    }
    let mut replaced = Replaced::default();
    let put = saved.apply(&etc, &changes, &mut replaced).map_err(failed);
    if let Err(error) = put.and_then(|()| reconfigure(here, &["--dry-run"])) {
        replaced.put_back(&etc).map_err(failed)?;
        let message = format!("the configuration of the backup cannot be this machine's: {error}");
        return Err(Error::new(Kind::Failed, message).hint(
            "nothing was changed; take over by hand what fits from configuration/ in the backup, and restore without --configuration",
        ));
    }
    for copy in replaced.copies() {
        context.note(&format!("what was there is kept as {}", copy.display()));
    }
    reconfigure(here, &[]).map_err(|error| {
        let message = format!("the configuration of the backup is in place, and {error}");
        Error::new(Kind::Failed, message)
            .hint("ctl status shows what does not run; mend that, then run the same command again")
    })
}

fn read(here: &Session<'_>, file: &Path) -> Result<Saved, mattervisor_backup::Error> {
    let (opened, manifest) = site::open(file)?;
    let mut watch = Watch::new(here.stop.clone(), |_| {});
    Saved::read(&opened, &manifest, &mut watch)
}

/// The question to the person: what changes in each file. For secrets it says only that they
/// change.
fn question(
    here: &Session<'_>,
    saved: &Saved,
    etc: &Path,
    changes: &[(PathBuf, Change)],
) -> Result<String, mattervisor_backup::Error> {
    let catalog = here.context.catalog.clone();
    let catalog = catalog.unwrap_or_else(|| PathBuf::from(plan::CATALOG_DIR));
    // Without the table nothing tells which lines may be shown.
    let names = Names::read(&catalog.join(VARIABLES)).ok();
    let mut out = String::from("The configuration of the backup becomes this machine's:\n");
    for (path, change) in changes {
        let what = match change {
            Change::New => "new",
            Change::Other => "replaced, and kept under a name with a number",
        };
        let _ = writeln!(out, "{} ({what})", etc.join(path).display());
        let told = match &names {
            Some(names) => saved.told(etc, path, names)?,
            None => None,
        };
        match told {
            Some(lines) if lines.is_empty() => out += "  other secrets\n",
            Some(lines) => {
                for line in lines.lines() {
                    let _ = writeln!(out, "  {line}");
                }
            }
            None => out += "  its lines are not shown\n",
        }
    }
    for name in &saved.skipped {
        let _ = writeln!(out, "{name} is not a regular file, and is left out");
    }
    out += "The supervisor checks it all before it is applied.\n";
    Ok(out)
}

/// Runs `ctl reconfigure`, which itself reports what it does and what is wrong.
fn reconfigure(here: &Session<'_>, more: &[&str]) -> Result<(), Error> {
    let context = here.context;
    let own = std::env::current_exe().ok();
    let beside = own
        .as_deref()
        .and_then(Path::parent)
        .map(|dir| dir.join("ctl"));
    let program = beside.filter(|path| safe_path::metadata(path).is_ok());
    let mut command = Command::new(program.unwrap_or_else(|| PathBuf::from("ctl")));
    command.arg("--root").arg(&context.root);
    if let Some(catalog) = &context.catalog {
        command.arg("--catalog").arg(catalog);
    }
    command.arg("reconfigure").args(more);
    // Stdout is ours alone: a program may parse it.
    command.stdin(Stdio::null()).stdout(std::io::stderr());
    #[expect(
        clippy::disallowed_methods,
        reason = "a command line, which has nothing else to wait for"
    )]
    let ended = command.status();
    match ended {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(Error::new(
            Kind::Failed,
            "ctl reconfigure has failed, as it says above",
        )),
        Err(error) => {
            let message = format!("ctl reconfigure cannot be run: {error}");
            Err(Error::new(Kind::Failed, message))
        }
    }
}
