//! Reads the configuration: a plan or all problems, with missing secrets made on the way.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use api::CheckReply;
use plan::{Options, Paths, Plan, Problem, RealHost, Severity};
use safe_path::Dir;

use crate::{
    applied::{self, Applied, Inputs},
    control::{Loaded, NotLoaded, Source},
};

/// A longer file is none of the configuration: it is not read, and not kept.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Names in a directory that are looked at.
const NAMES_MAX: usize = 1 << 16;
/// Directories below `services.d` that are looked into.
const DEPTH_MAX: usize = 4;

/// Finds the plan that is asked for.
pub(crate) fn of(source: &Source, options: &Options) -> Result<Loaded, NotLoaded> {
    let paths = Paths::new(options);
    let of_files = |plan| Loaded {
        plan: Box::new(plan),
        kept: None,
        rejected: None,
        mark: None,
    };
    let loaded = match source {
        Source::Files => load(options),
        Source::FilesAsTheyAre => load_only(options),
        Source::FirstFiles => match still_rejected(&paths) {
            Some(applied) => {
                return Ok(Loaded {
                    mark: Some(applied.mark),
                    rejected: applied.rejected,
                    ..of_files(applied.plan)
                });
            }
            None => load(options),
        },
        Source::Kept(running) => {
            let kept = applied::before(&paths.state_dir, running);
            let kept = kept.ok_or(NotLoaded::NothingKept)?;
            return Ok(Loaded {
                kept: Some(kept.told()),
                rejected: Some(inputs(&paths)),
                ..of_files(kept.plan)
            });
        }
    };
    loaded.map(of_files).map_err(NotLoaded::Problems)
}

/// The plan that was gone back to, if the files say what they said then.
fn still_rejected(paths: &Paths) -> Option<Applied> {
    let applied = applied::read(&paths.state_dir)?;
    (*applied.rejected.as_ref()? == inputs(paths)).then_some(applied)
}

/// All that the administrator has written. What cannot be read is not there, as far as it goes to
/// tell whether something has changed.
fn inputs(paths: &Paths) -> Inputs {
    let mut files = vec![paths.site_file(), paths.secrets_file()];
    // One that is not there has none.
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

/// Makes the plan from the files as they are now. Secrets that are missing are generated and
/// stored first, once.
fn load(options: &Options) -> Result<Plan, Vec<Problem>> {
    let plan = load_once(options)?;
    if plan.missing_secrets.is_empty() {
        return Ok(plan);
    }
    store_missing(&Paths::new(options).etc_dir, &plan)?;
    load_once(options)
}

/// Makes the plan from the files as they are now, and nothing else: secrets that are missing have
/// placeholders.
pub(crate) fn load_only(options: &Options) -> Result<Plan, Vec<Problem>> {
    load_once(options)
}

fn load_once(options: &Options) -> Result<Plan, Vec<Problem>> {
    plan::load(&RealHost, options).map_err(|problems| problems.0)
}

/// Says what is wrong with the files; makes nothing.
pub(crate) fn check(options: &Options) -> CheckReply {
    let (ok, problems) = match load_once(options) {
        Ok(plan) => (true, plan.remarks),
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
        severity: problem.severity.to_string(),
        file: problem.file.display().to_string(),
        line: problem.line.unwrap_or(0),
        key: problem.key,
        message: problem.message,
        hint: problem.hint,
        service,
        variable,
    }
}

fn store_missing(etc_dir: &Path, plan: &Plan) -> Result<(), Vec<Problem>> {
    let path = etc_dir.join("secrets.toml");
    let failed = |message: String| {
        vec![Problem {
            severity: Severity::Error,
            file: path.clone(),
            line: None,
            column: None,
            key: String::new(),
            message,
            hint: Some(
                "secrets that are missing are generated there; make it writable for the supervisor"
                    .to_owned(),
            ),
            variable: None,
        }]
    };
    let mut values = Vec::new();
    for missing in &plan.missing_secrets {
        let mut random = [0; 256];
        let read = File::open("/dev/urandom").and_then(|mut it| it.read_exact(&mut random));
        read.map_err(|error| failed(format!("cannot read random bytes: {error}")))?;
        let value = plan::secrets::generate(&missing.spec, &random).map_err(failed)?;
        values.push((missing.service.clone(), missing.key.clone(), value));
    }
    plan::secrets_file::rewrite(&path, |text| {
        plan::secrets::insert_into(text, &values).map(Some)
    })
    .map_err(|failure| failed(failure.to_string()))?;
    let (count, s) = (values.len(), if values.len() == 1 { "" } else { "s" });
    tracing::info!("generated {count} secret{s} in {}", path.display());
    Ok(())
}
