//! Secrets that were applied once and are gone now: the whole file, or a key of it.
//!
//! A secret that is gone may lie in a database or encrypt one, so it is never made anew: it
//! is put back from the plans that are known ([`Known`]): the one that runs, the one that was
//! applied last, those that worked. A value that is made by `generate` is put back wherever it is
//! missing; all values of `secrets.toml`, if that is gone or empty. A value that no plan knows,
//! though something has been applied here before, is an error with a hint. Only a secret that never
//! existed is left to be made ([`crate::model::Plan::missing_secrets`]).
//!
//! Nothing is written here: [`Mended::text`] is the text that `secrets.toml` gets.

use std::{
    io,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::{
    host::{machine::Host, overlay::OverlayHost},
    load::{options::Options, plan::load},
    model::{MissingSecret, Paths, Plan, Secrets},
    read::secret_spec::Spec,
    report::problem::{Problem, Problems, Severity},
    secrets::generate,
};

/// Longest file of the state directory that is read.
const STATE_BYTES_MAX: u64 = 256 << 20;
/// Most names of the state directory that are read.
const NAMES_MAX: usize = 4096;
/// Names that only a supervisor leaves in its state directory.
const TRACES: &[&str] = &[
    "plan.json",
    "kept-plans.json",
    "holds.json",
    "schedule.json",
    "changes",
];
/// First line of a secrets file that was put back.
const HEADER: &str = "# The file was lost: put back by the supervisor, from the configuration that was applied last.\n";

/// Secrets of plans that were applied here.
#[derive(Debug, Default)]
pub struct Known {
    /// Secrets of each known plan, the best one first.
    plans: Vec<Secrets>,
    /// Something was applied before, and no plan of it can be read.
    forgotten: bool,
}

/// A plan as it lies in the state directory, as far as it goes here.
#[derive(Deserialize)]
struct Stored {
    plan: StoredPlan,
}

#[derive(Deserialize)]
struct StoredPlan {
    secrets: Secrets,
}

impl Known {
    /// Gathers the secrets of the plan that runs and of those in the state directory.
    #[must_use]
    pub fn of(running: Option<&Plan>, state_dir: &Path) -> Self {
        let running = running.filter(|plan| !plan.services.is_empty());
        let mut plans: Vec<Secrets> = running.map(|it| it.secrets.clone()).into_iter().collect();
        let stored = |text: String| serde_json::from_str(&text).map(|it: Stored| vec![it]);
        let kept = |text: String| serde_json::from_str::<Vec<Stored>>(&text);
        let applied =
            read(&state_dir.join("plan.json")).map(|it| it.and_then(|it| stored(it).ok()));
        let worked =
            read(&state_dir.join("kept-plans.json")).map(|it| it.and_then(|it| kept(it).ok()));
        let mut closed = false;
        for found in [applied, worked] {
            match found {
                Ok(found) => plans.extend(found.into_iter().flatten().map(|it| it.plan.secrets)),
                Err(error) => closed |= error.kind() == io::ErrorKind::PermissionDenied,
            }
        }
        // A file without permission to read it says nothing about what was applied.
        let forgotten = plans.is_empty() && !closed && has_traces(state_dir);
        Self { plans, forgotten }
    }

    fn value(&self, missing: &MissingSecret) -> Option<&str> {
        let mut plans = self.plans.iter();
        plans.find_map(|plan| plan.get(&missing.service, &missing.key))
    }
}

/// None: the file does not exist.
fn read(path: &Path) -> io::Result<Option<String>> {
    match safe_path::read(path, STATE_BYTES_MAX) {
        Ok(bytes) => Ok(String::from_utf8(bytes).ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn has_traces(state_dir: &Path) -> bool {
    let names = safe_path::Dir::names_of(state_dir, NAMES_MAX).unwrap_or_default();
    let mut names = names.iter().map(|name| name.to_string_lossy());
    names.any(|name| TRACES.iter().any(|it| name.starts_with(it)))
}

/// A plan, and what has to be put back for it.
#[derive(Debug)]
pub struct Mended {
    /// The plan, as if nothing had been lost.
    pub plan: Plan,
    /// Secrets that are put back: section and key. Each has a warning among the plan's remarks.
    pub put_back: Vec<(String, String)>,
    /// Text of the file, where it is blank.
    whole: String,
    /// Values that are added to a file that is not blank.
    values: Vec<(String, String, String)>,
}

impl Mended {
    /// What `secrets.toml` is to be, with these new secrets too; it is `now` at this moment.
    ///
    /// # Errors
    /// It cannot take them, in words.
    pub fn text(&self, now: &str, new: &[(String, String, String)]) -> Result<String, String> {
        let base = if is_blank(now) { &self.whole } else { now };
        let values = [self.values.as_slice(), new].concat();
        generate::insert_into(base, &values)
    }
}

/// Makes the plan from the files, with secrets that are gone put back. What is known is asked for
/// only where some may be.
///
/// # Errors
/// As [`load()`], and a secret that nobody knows any more.
pub fn load_mended(
    host: &dyn Host,
    options: &Options,
    known: impl FnOnce() -> Known,
) -> Result<Mended, Problems> {
    let paths = Paths::new(options);
    let path = paths.secrets_file();
    let text = match host.read(&path).map(String::from_utf8) {
        Ok(Ok(text)) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        // `load` reports what is wrong with the file.
        Ok(Err(_)) | Err(_) => return Ok(Mended::nothing(load(host, options)?)),
    };
    let mut mended = Mended::nothing(Plan::empty(paths.clone()));
    let known = if is_blank(&text) {
        let known = known();
        (mended.whole, mended.put_back) = lost_file(host, &paths, &known);
        mended.plan = if mended.whole.is_empty() {
            load(host, options)?
        } else {
            load(
                &OverlayHost::new(host, &path, mended.whole.clone()),
                options,
            )?
        };
        known
    } else {
        mended.plan = load(host, options)?;
        if mended.plan.missing_secrets.is_empty() {
            return Ok(mended);
        }
        known()
    };
    let (back, new): (Vec<_>, Vec<_>) = std::mem::take(&mut mended.plan.missing_secrets)
        .into_iter()
        .partition(|it| known.value(it).is_some());
    if known.forgotten && !new.is_empty() {
        return Err(Problems(new.iter().map(|it| refused(&path, it)).collect()));
    }
    for missing in back {
        let value = known.value(&missing).unwrap_or_default().to_owned();
        let name = (missing.service.clone(), missing.key.clone());
        mended.put_back.push(name);
        mended.values.push((missing.service, missing.key, value));
    }
    mended.plan.missing_secrets = new;
    if !mended.values.is_empty() {
        let text = mended.text(&text, &[]).map_err(|why| unfit(&path, &why))?;
        let missing = std::mem::take(&mut mended.plan.missing_secrets);
        mended.plan = load(&OverlayHost::new(host, &path, text), options)?;
        debug_assert_eq!(mended.plan.missing_secrets, missing);
    }
    let remarks = mended.put_back.iter().map(|it| remark(&path, it));
    mended.plan.remarks.extend(remarks);
    Ok(mended)
}

impl Mended {
    fn nothing(plan: Plan) -> Self {
        Self {
            plan,
            put_back: Vec::new(),
            whole: String::new(),
            values: Vec::new(),
        }
    }
}

/// Whether an editor or a copy went wrong and left nothing. A file with a comment is not blank.
fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

/// The last known text of the file without what the site file has, and its keys.
fn lost_file(host: &dyn Host, paths: &Paths, known: &Known) -> (String, Vec<(String, String)>) {
    let Some(Secrets(all)) = known.plans.iter().find(|plan| !plan.is_empty()) else {
        return (String::new(), Vec::new());
    };
    let site = host.read(&paths.site_file()).unwrap_or_default();
    let site: toml::Table = toml::from_str(&String::from_utf8_lossy(&site)).unwrap_or_default();
    let said = |section: &str, key: &str| site.get(section).is_some_and(|it| it.get(key).is_some());
    let (mut back, mut names) = (toml::Table::new(), Vec::new());
    for (section, value) in all {
        let Some(keys) = value.as_table() else {
            continue;
        };
        let mut kept = keys.clone();
        kept.retain(|key, _| !said(section, key));
        names.extend(kept.keys().map(|key| (section.clone(), key.clone())));
        if !kept.is_empty() {
            back.insert(section.clone(), kept.into());
        }
    }
    match toml::to_string(&back) {
        Ok(text) if !names.is_empty() => (format!("{HEADER}{text}"), names),
        _ => (String::new(), Vec::new()),
    }
}

fn problem(path: &Path, severity: Severity, key: String, message: &str, hint: String) -> Problem {
    Problem {
        severity,
        file: PathBuf::from(path),
        line: None,
        column: None,
        key,
        message: message.to_owned(),
        hint: Some(hint),
        variable: None,
        denied: false,
    }
}

fn remark(path: &Path, (service, key): &(String, String)) -> Problem {
    problem(
        path,
        Severity::Warning,
        format!("{service}.{key}"),
        "this secret is gone from the files; the value that was applied last counts, and a reconfigure or start of the supervisor puts it back here",
        "find out how it got lost; to have another value, write it here".to_owned(),
    )
}

fn refused(path: &Path, missing: &MissingSecret) -> Problem {
    let MissingSecret { service, key, spec } = missing;
    let make = Spec::parse(spec).map(Spec::command).unwrap_or_default();
    problem(
        path,
        Severity::Error,
        format!("{service}.{key}"),
        "this secret is gone, and so is all that knew its value; it is not made anew, for there may be data that needs the old one",
        format!(
            "write the old value here, from a backup of this file or of plan.json in the state directory; a new one, where nothing needs the old: {make}"
        ),
    )
}

fn unfit(path: &Path, why: &str) -> Problems {
    let hint = "secrets that are gone are put back there".to_owned();
    Problems(vec![problem(
        path,
        Severity::Error,
        String::new(),
        why,
        hint,
    )])
}
