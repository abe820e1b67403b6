//! Gathers an environment from the running supervisor, or from the files.

use std::collections::BTreeSet;

use api::{
    CheckReply, ConfigKey, DiffReply, PlanReply, Problem, ServiceStatus, VariableDiff,
    VariableSource,
};
use client::{Context, Error, Kind, escaped};
use plan::{Origin, Origins, Paths, Plan, Problems, RealHost, Service};

use super::{Entry, Environment};
use crate::commands::check_config;

/// The files as this process can read them.
struct Files {
    plan: Result<Plan, Problems>,
    origins: Origins,
}

impl Files {
    fn read(context: &Context) -> Result<Self, Error> {
        let options = check_config::options(context)?;
        let (plan, origins) = plan::load_with_origins(&RealHost, &options);
        Ok(Self { plan, origins })
    }

    fn service(&self, name: &str) -> Option<&Service> {
        let plan = self.plan.as_ref().ok()?;
        plan.services.get(name).map(|service| &**service)
    }

    fn origin(&self, service: &str, variable: &str) -> Option<&Origin> {
        self.origins.get(service)?.get(variable)
    }
}

/// The environment without secrets: the running one, or that of the files.
pub(super) async fn masked(context: &Context, name: &str) -> Result<Environment, Error> {
    match running(context, name).await {
        Err(error) if error.kind == Kind::Unreachable => {
            let files = Files::read(context)?;
            let mut found = from_files(context, &files, name)?;
            hide(&mut found, files.service(name));
            found.notes.push(
                "This is what the files say: no supervisor answers. --reveal shows what is hidden."
                    .to_owned(),
            );
            Ok(found)
        }
        other => other,
    }
}

/// The environment of the files with secrets, and its differences from the running one.
pub(super) async fn revealed(context: &Context, name: &str) -> Result<Environment, Error> {
    readable(context)?;
    let mut found = from_files(context, &Files::read(context)?, name)?;
    match differences(context, name).await {
        Ok(differs) => {
            found.notes.push(if differs.is_empty() {
                "This is what the files say, and what runs.".to_owned()
            } else {
                "This is what the files say; what runs differs.".to_owned()
            });
            found.differs = differs;
        }
        Err(error) if error.kind == Kind::Unreachable => {
            let note = "This is what the files say: no supervisor answers.";
            found.notes.push(note.to_owned());
        }
        Err(error) => found.notes.push(format!(
            "This is what the files say; what runs is not known: {error}"
        )),
    }
    Ok(found)
}

/// Fails if this user cannot read the files: else each secret would be reported as missing.
fn readable(context: &Context) -> Result<(), Error> {
    let paths = Paths::new(&check_config::options(context)?);
    for path in [paths.site_file(), paths.secrets_file()] {
        if let Err(error) = std::fs::File::open(&path)
            && error.kind() == std::io::ErrorKind::PermissionDenied
        {
            let message = format!("cannot read {}: permission denied", path.display());
            return Err(Error::new(Kind::NotAllowed, message)
                .hint("--reveal reads the files, since the supervisor hands out no secret: sudo ctl env …"));
        }
    }
    Ok(())
}

/// The running environment.
async fn running(context: &Context, name: &str) -> Result<Environment, Error> {
    let path = format!("/v1/plan?services={}", escaped(name));
    let reply: PlanReply = context.client.get(&path).await?;
    let Some(service) = reply.services.into_iter().next() else {
        return Err(Error::new(
            Kind::UnknownService,
            format!("there is no service '{name}'"),
        ));
    };
    let value = |key: &str| {
        service
            .keys
            .iter()
            .find(|it| it.key == key)
            .map(|it| &it.value)
    };
    if value("enable").and_then(serde_json::Value::as_bool) == Some(false) {
        let path = format!("/v1/services/{}", escaped(name));
        let status: Option<ServiceStatus> = context.client.find(&path).await.ok().flatten();
        return Err(disabled(name, status.and_then(|it| it.reason).as_deref()));
    }
    let working_dir = value("working_dir").and_then(serde_json::Value::as_str);
    let working_dir = working_dir.unwrap_or("/").into();
    let variables = service.keys.iter().filter_map(entry).collect();
    let mut found = Environment {
        service: service.name,
        from: "supervisor",
        variables,
        differs: Vec::new(),
        findings: Vec::new(),
        notes: vec!["This is what runs. --reveal shows what is hidden.".to_owned()],
        working_dir,
    };
    let check: CheckReply = context.client.get("/v1/check").await?;
    found.findings = about(check.problems, name);
    match differences(context, name).await {
        Ok(differs) => found.differs = differs,
        Err(error) if error.kind == Kind::Failed => {
            found.notes.push("The files do not check, so it is not known what they would change: ctl check-config".to_owned());
        }
        Err(error) => return Err(error),
    }
    // The files add settings and places, if this user can read the files.
    enrich(&mut found, &Files::read(context)?);
    Ok(found)
}

fn entry(key: &ConfigKey) -> Option<Entry> {
    let name = key.key.strip_prefix("env.")?;
    let value = (!key.secret).then(|| key.value.as_str().unwrap_or_default().to_owned());
    Some(Entry {
        name: name.to_owned(),
        real: value.clone(),
        value,
        secret: key.secret,
        source: kind(key.source.unwrap_or(VariableSource::ServiceFile)),
        ..Entry::default()
    })
}

/// The variables of the running environment that the files would change.
async fn differences(context: &Context, name: &str) -> Result<Vec<VariableDiff>, Error> {
    let path = format!("/v1/diff?services={}", escaped(name));
    let diff: DiffReply = context.client.get(&path).await?;
    let services = diff.services.into_iter();
    Ok(services.flat_map(|it| it.variables).collect())
}

/// Adds settings, places and hidden values from the files, where the files have the running value.
fn enrich(found: &mut Environment, files: &Files) {
    let Some(service) = files.service(&found.service) else {
        return;
    };
    for entry in &mut found.variables {
        let variable = service.env.get(&entry.name);
        let Some(variable) = variable.filter(|it| kind(it.source) == entry.source) else {
            continue;
        };
        let same = match &entry.value {
            Some(value) => *value == variable.value,
            None => !found.differs.iter().any(|it| it.name == entry.name),
        };
        if same {
            entry.real = Some(variable.value.clone());
            place(entry, files.origin(&found.service, &entry.name));
        }
    }
}

const fn kind(source: VariableSource) -> &'static str {
    match source {
        VariableSource::Supervisor => "supervisor",
        VariableSource::ServiceFile => "computed",
        VariableSource::EnvFiles => "env file",
        VariableSource::Setting => "setting",
        VariableSource::SiteFile => "env map",
    }
}

fn place(entry: &mut Entry, origin: Option<&Origin>) {
    let Some(origin) = origin else {
        return;
    };
    entry.setting.clone_from(&origin.setting);
    entry.file = Some(origin.file.display().to_string());
    entry.line = origin.line;
    if origin
        .file
        .file_name()
        .is_some_and(|name| name == "secrets.toml")
    {
        entry.source = "secret";
    } else if origin.setting.is_some() && !origin.given {
        entry.source = "default";
    }
}

fn from_files(context: &Context, files: &Files, name: &str) -> Result<Environment, Error> {
    let plan = files.plan.as_ref().map_err(refused)?;
    let Some(service) = plan.services.get(name) else {
        let near = plan::nearest(name, plan.services.keys().map(String::as_str));
        let error = Error::new(
            Kind::UnknownService,
            format!("there is no service '{name}'"),
        );
        return Err(error.hint(match near {
            Some(near) => format!("did you mean '{near}'?"),
            None => format!(
                "looked in {} and {}",
                plan.paths.catalog_dir.display(),
                plan.paths.etc_dir.join("services.d").display()
            ),
        }));
    };
    if !service.enabled {
        return Err(disabled(name, Some(&service.enable_hint)));
    }
    let variables = service.env.iter().map(|(variable, it)| {
        let mut entry = Entry {
            name: variable.clone(),
            value: Some(it.value.clone()),
            real: Some(it.value.clone()),
            secret: it.is_hidden(),
            source: kind(it.source),
            ..Entry::default()
        };
        place(&mut entry, files.origin(name, variable));
        entry
    });
    let mut found = Environment {
        service: name.to_owned(),
        from: "files",
        variables: variables.collect(),
        differs: Vec::new(),
        findings: about(
            plan.remarks
                .iter()
                .cloned()
                .map(check_config::to_api)
                .collect(),
            name,
        ),
        notes: Vec::new(),
        working_dir: service.working_dir.clone(),
    };
    let missing = |entry: &Entry| {
        let setting = entry.setting.as_deref().and_then(|it| it.split_once('.'));
        plan.missing_secrets
            .iter()
            .any(|it| setting == Some((it.service.as_str(), it.key.as_str())))
    };
    // The plan has a placeholder for a secret that is not made yet.
    for entry in found.variables.iter_mut().filter(|entry| missing(entry)) {
        entry.value = None;
        entry.real = None;
        entry.source = "secret";
        let setting = entry.setting.as_deref().unwrap_or_default();
        found.notes.push(format!(
            "{setting} is made and stored in {} at the first start.",
            Paths::new(&check_config::options(context)?)
                .secrets_file()
                .display()
        ));
    }
    Ok(found)
}

/// Hides the values that the supervisor would hide, also those that contain a secret.
fn hide(found: &mut Environment, service: Option<&Service>) {
    let shown = service.map(plan::describe::service).unwrap_or_default();
    let hidden = shown.into_iter().filter(|it| it.secret);
    let hidden: BTreeSet<String> = hidden.map(|it| it.key).collect();
    for entry in &mut found.variables {
        if entry.secret || hidden.contains(&format!("env.{}", entry.name)) {
            entry.secret = true;
            entry.value = None;
        }
    }
}

fn about(problems: Vec<Problem>, service: &str) -> Vec<Problem> {
    let ours = |problem: &Problem| problem.service.as_deref() == Some(service);
    problems.into_iter().filter(ours).collect()
}

fn disabled(name: &str, hint: Option<&str>) -> Error {
    let message = format!("{name} is disabled on this host, so it has no environment");
    let error = Error::new(Kind::Failed, message);
    match hint.filter(|hint| !hint.is_empty()) {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

fn refused(problems: &Problems) -> Error {
    let first = problems
        .0
        .iter()
        .find(|it| it.severity == plan::Severity::Error);
    let first = first.map(ToString::to_string).unwrap_or_default();
    let message = format!("the configuration does not check, so there is no environment:\n{first}");
    Error::new(Kind::Failed, message).hint("all that is wrong: ctl check-config")
}
