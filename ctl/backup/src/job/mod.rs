//! The job: the part of this program that the supervisor runs.
//!
//! The request lies in `MATTERVISOR_JOB_DIR/request.json`, and the result goes to `result.json`
//! there. The supervisor restarts a run that died with the same request; the new run finds in
//! `journal.json` which backup the request is about, and has nothing left to do if that backup
//! exists.

mod arguments;
pub(crate) mod directory;
mod hold;
pub(crate) mod lease;
pub(crate) mod notify;
mod socket;

use std::path::Path;

use jiff::Timestamp;
use serde_json::json;

use api::{JobOrder, JobResult};
use arguments::Arguments;
use directory::{Directory, arguments};
use lease::Lease;

use crate::{
    Error, Stop, Watch,
    configuration::Configuration,
    create::{self, Options},
    name,
    prune::{self, Pruned},
    target::{Held, Target},
    verify,
};

/// Runs the requested job, and answers its exit code: 0 done, 1 failed, with nothing left open.
pub fn run(configuration: &Path, stop: Stop) -> u8 {
    match attempt(configuration, stop) {
        Ok(true) => 0,
        Ok(false) => 1,
        Err(error) => {
            eprintln!("mattervisor-backup: {error}");
            1
        }
    }
}

/// Runs the job and writes its result. Answers whether the job succeeded.
fn attempt(configuration: &Path, stop: Stop) -> Result<bool, Error> {
    let directory = Directory::of_environment()?;
    let order = directory.order()?;
    let mut watch = Watch::new(stop, directory.teller()?);
    let asked = arguments::<Arguments>(&order);
    let aside = asked.as_ref().is_ok_and(Arguments::is_aside);
    let done = asked.and_then(|asked| work(configuration, &directory, &order, asked, &mut watch));
    let result = match done {
        Ok(done) => JobResult { aside, ..done },
        Err(error) => JobResult {
            aside,
            message: error.to_string(),
            ..JobResult::default()
        },
    };
    eprintln!("mattervisor-backup: {}", result.message);
    let ok = result.ok;
    directory.result(&order, result)?;
    Ok(ok)
}

fn work(
    configuration: &Path,
    directory: &Directory,
    order: &JobOrder,
    asked: Arguments,
    watch: &mut Watch,
) -> Result<JobResult, Error> {
    let mut configuration = Configuration::read(configuration)?;
    let Arguments::Create {
        to,
        mode,
        without_secrets,
        verify,
        prune,
    } = asked;
    if let Some(to) = to {
        // The required mount concerns only the configured directory.
        configuration.require_mount = None;
        configuration.to = to;
    }
    let options = Options {
        mode,
        without_secrets,
    };
    let held = create::hold(&configuration)?;
    let journal = directory.journal(order, held.target())?;
    let made = journal.made();
    let name = name::of(made);
    // An earlier run of this request may have finished the backup and died before it wrote the
    // result.
    let created = if journal.is_done(held.target())? {
        None
    } else {
        let mut lease = Lease::new(&configuration.job, &configuration.stop, watch.stop());
        Some(create::create(
            &configuration,
            options,
            &held,
            made,
            &mut lease,
            watch,
        )?)
    };
    let verified = if verify || created.is_none() {
        Some(verify::noted(&held, &name, None, watch)?)
    } else {
        None
    };
    let report = created.as_ref().map(|created| &created.report);
    let report = report.or(verified.as_ref().map(|verified| &verified.report));
    let lost = report.map_or(0, |report| report.troubles.lost());
    let pruned = if prune && verify && lost == 0 {
        Some(clean(&held, &configuration)?)
    } else {
        None
    };
    Ok(JobResult {
        ok: lost == 0,
        message: message(held.target(), &name, lost),
        report: json!({
            "file": held.target().path().join(&name),
            "created": created,
            "verified": verified.is_some(),
            "pruned": pruned,
        }),
        ..JobResult::default()
    })
}

fn clean(held: &Held, configuration: &Configuration) -> Result<Pruned, Error> {
    let pruned = prune::prune(held.target(), configuration.keep, Timestamp::now())?;
    prune::remove(held, &pruned)?;
    Ok(pruned)
}

fn message(target: &Target, name: &str, lost: u64) -> String {
    let path = target.path().join(name);
    let path = path.display();
    match lost {
        0 => format!("made {path}"),
        1 => format!("made {path}, but 1 file could not be saved: ctl backup verify names it"),
        lost => format!(
            "made {path}, but {lost} files could not be saved: ctl backup verify names them"
        ),
    }
}
