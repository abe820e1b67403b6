//! Reads the configuration: a plan or all problems. Secrets that are gone are put back on the way,
//! those that never were are made.

mod source;

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use api::CheckReply;
use plan::{
    MissingSecret, Options, Paths, Plan, Problem, RealHost, Severity,
    lost_secrets::{self, Known, Mended},
};
use safe_path::Dir;

pub(crate) use source::{Loaded, NotLoaded, Source};

use crate::plan_store::{self, Applied, Inputs, Kept};

/// A longer file is none of the configuration: it is not read, and not kept.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Names in a directory that are looked at.
const NAMES_MAX: usize = 1 << 16;
/// Directories below `services.d` that are looked into.
const DEPTH_MAX: usize = 4;

/// Finds the plan that is asked for.
pub(crate) fn of(source: &Source, options: &Options) -> Result<Loaded, NotLoaded> {
    let paths = Paths::new(options);
    let loaded = match source {
        Source::Files(running) => load(options, Some(running)),
        Source::FilesAsTheyAre(running) => load_only(options, Some(running)),
        Source::FirstFiles => match still_rejected(&paths) {
            Some(applied) => {
                return Ok(Loaded {
                    mark: Some(applied.mark),
                    rejected: applied.rejected,
                    ..of_files(applied.plan)
                });
            }
            None => load(options, None),
        },
        Source::Kept(running) => {
            let kept = plan_store::before(&paths.state_dir, running);
            return Ok(back_to(kept.ok_or(NotLoaded::NothingKept)?, &paths));
        }
        Source::Before(before) => return Ok(back_to(Kept::clone(before), &paths)),
    };
    let mended = loaded.map_err(NotLoaded::Problems)?;
    Ok(Loaded {
        put_back: mended.put_back,
        ..of_files(mended.plan)
    })
}

fn of_files(plan: Plan) -> Loaded {
    Loaded {
        plan: Box::new(plan),
        put_back: Vec::new(),
        kept: None,
        rejected: None,
        mark: None,
    }
}

/// A plan that takes the place of what the files say.
fn back_to(kept: Kept, paths: &Paths) -> Loaded {
    Loaded {
        kept: Some(kept.told()),
        rejected: Some(inputs(paths)),
        ..of_files(kept.plan)
    }
}

/// The plan that was gone back to, if the files say what they said then.
fn still_rejected(paths: &Paths) -> Option<Applied> {
    let applied = plan_store::read(&paths.state_dir)?;
    (*applied.rejected.as_ref()? == inputs(paths)).then_some(applied)
}

/// All that the administrator has written. What cannot be read is not there, as far as it goes to
/// tell whether something has changed.
fn inputs(paths: &Paths) -> Inputs {
    let mut files = vec![paths.site_file(), paths.secrets_file()];
    // An absent file has no content.
    let _ = files_below(&paths.etc_dir.join("services.d"), DEPTH_MAX, &mut files);
    let read = |path: PathBuf| {
        let bytes = safe_path::read(&path, FILE_BYTES_MAX).ok()?;
        Some((path, String::from_utf8_lossy(&bytes).into_owned()))
    };
    files
        .into_iter()
        .filter_map(read)
        .collect::<BTreeMap<_, _>>()
}

fn files_below(dir: &Path, depth: usize, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for name in Dir::names_of(dir, NAMES_MAX)? {
        let path = dir.join(name);
        let Ok(found) = safe_path::metadata(&path) else {
            continue;
        };
        if found.is_file() {
            files.push(path);
        } else if depth > 0 && found.is_dir() {
            files_below(&path, depth - 1, files)?;
        }
    }
    Ok(())
}

/// Makes the plan from the files as they are now. Secrets that are gone are put back first, those
/// that never were are generated; both are stored.
fn load(options: &Options, running: Option<&Plan>) -> Result<Mended, Vec<Problem>> {
    let mended = load_only(options, running)?;
    if mended.put_back.is_empty() && mended.plan.missing_secrets.is_empty() {
        return Ok(mended);
    }
    store_secrets(&Paths::new(options).secrets_file(), &mended)?;
    let mut again = load_only(options, running)?;
    // The secrets are there again; that they were missing is still to be told.
    let told = mended.plan.remarks.into_iter();
    let told = told.filter(|it| !again.plan.remarks.contains(it));
    again.plan.remarks.extend(told.collect::<Vec<_>>());
    again.put_back = mended.put_back;
    Ok(again)
}

/// Makes the plan from the files as they are now, and nothing else: secrets that never were have
/// placeholders, those that are gone have their values.
pub(crate) fn load_only(options: &Options, running: Option<&Plan>) -> Result<Mended, Vec<Problem>> {
    let known = || Known::of(running, &Paths::new(options).state_dir);
    lost_secrets::load_mended(&RealHost, options, known).map_err(|problems| problems.0)
}

/// Says what is wrong with the files; makes nothing.
pub(crate) fn check(options: &Options, running: Option<&Plan>) -> CheckReply {
    let (ok, problems) = match load_only(options, running) {
        Ok(mended) => (true, mended.plan.remarks),
        Err(problems) => (
            !problems.iter().any(|it| it.severity == Severity::Error),
            problems,
        ),
    };
    CheckReply {
        ok,
        problems: problems.into_iter().map(to_api).collect(),
    }
}

pub(crate) fn to_api(problem: Problem) -> api::Problem {
    let (service, variable) = problem.variable.unzip();
    api::Problem {
        severity: problem.severity,
        file: problem.file.display().to_string(),
        line: problem.line.unwrap_or(0),
        key: problem.key,
        message: problem.message,
        hint: problem.hint,
        service,
        variable,
    }
}

fn store_secrets(path: &Path, mended: &Mended) -> Result<(), Vec<Problem>> {
    let failed = |message: String| {
        let hint = "secrets that are missing are made and put back there; make it writable for the supervisor";
        vec![Problem {
            severity: Severity::Error,
            file: path.to_owned(),
            line: None,
            column: None,
            key: String::new(),
            message,
            hint: Some(hint.to_owned()),
            variable: None,
            denied: false,
        }]
    };
    let new = mended.plan.missing_secrets.iter().map(made);
    let new: Vec<_> = new.collect::<Result<_, String>>().map_err(failed)?;
    plan::secrets_file::rewrite(path, |text| mended.text(text, &new).map(Some))
        .map_err(|failure| failed(failure.to_string()))?;
    for (service, key) in &mended.put_back {
        let file = path.display();
        tracing::warn!(
            "secret {service}.{key} was gone from {file}: put it back, as it was applied last"
        );
    }
    for (service, key, _) in &new {
        tracing::info!("generated secret {service}.{key} in {}", path.display());
    }
    Ok(())
}

/// A new secret.
fn made(missing: &MissingSecret) -> Result<(String, String, String), String> {
    let mut random = [0; 256];
    File::open("/dev/urandom")
        .and_then(|mut it| it.read_exact(&mut random))
        .map_err(|error| format!("cannot read random bytes: {error}"))?;
    let value = plan::secrets::generate(&missing.spec, &random)?;
    Ok((missing.service.clone(), missing.key.clone(), value))
}
