//! Reads the configuration: a plan or all problems, with missing secrets made on the way.

use std::{fs::File, io::Read, path::Path};

use api::CheckReply;
use plan::{Options, Paths, Plan, Problem, RealHost, Severity};

use crate::store::write_atomically;

/// Makes the plan from the files as they are now. Secrets that are missing are generated and
/// stored first, once.
pub(crate) fn load(options: &Options) -> Result<Plan, Vec<Problem>> {
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

fn to_api(problem: Problem) -> api::Problem {
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
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(failed(format!("cannot read it: {error}"))),
    };
    let text = plan::secrets::insert_into(&text, &values).map_err(failed)?;
    write_atomically(&path, text.as_bytes())
        .map_err(|error| failed(format!("cannot write it: {error}")))?;
    tracing::info!("generated {} secrets in {}", values.len(), path.display());
    Ok(())
}
