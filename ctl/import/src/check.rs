//! Checks a draft against the catalogue with [`plan::load`], the code that loads the files later.

use std::{
    io,
    path::{Path, PathBuf},
};

use plan::{Host, Options, Paths, Plan, Problem, Severity, load};

use super::{
    catalogue::FILES,
    draft::{Draft, Text},
};

/// Directory in which [`Memory`] shows the embedded catalogue.
const CATALOG: &str = "/usr/share/mattervisor/services.d";

/// A machine with nothing on it but the catalogue and the files of the draft.
struct Memory {
    site: (PathBuf, String),
    secrets: (PathBuf, Option<String>),
}

impl Memory {
    fn text(&self, path: &Path) -> Option<&str> {
        if path == self.site.0 {
            return Some(&self.site.1);
        }
        if path == self.secrets.0 {
            return self.secrets.1.as_deref();
        }
        let name = path.strip_prefix(CATALOG).ok()?.to_str()?;
        let found = FILES.iter().find(|(known, _)| *known == name);
        found.map(|(_, text)| *text)
    }
}

impl Host for Memory {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let text = self.text(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(text.as_bytes().to_vec())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let below = dir
            .strip_prefix(CATALOG)
            .map_err(|_| io::ErrorKind::NotFound)?;
        let files = FILES.iter().map(|(name, _)| Path::new(name));
        let mut found: Vec<PathBuf> = files
            .filter(|name| name.parent() == Some(below))
            .map(|name| Path::new(CATALOG).join(name))
            .collect();
        found.sort();
        Ok(found)
    }

    fn mode(&self, path: &Path) -> io::Result<(u32, u32)> {
        let ours = path == self.site.0 || path == self.secrets.0;
        self.text(path)
            .map(|_| (if ours { 0o600 } else { 0o644 }, 0))
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn exists(&self, path: &Path) -> bool {
        self.text(path).is_some()
    }

    /// Takes the programs that a service looks for as installed.
    fn glob(&self, pattern: &str) -> Vec<PathBuf> {
        let program = pattern.contains("bin/");
        program
            .then(|| PathBuf::from(pattern.replace('*', "16")))
            .into_iter()
            .collect()
    }

    fn uid(&self) -> u32 {
        0
    }

    fn capabilities(&self) -> Vec<String> {
        vec!["net_bind_service".to_owned()]
    }

    fn cpus(&self) -> u32 {
        2
    }

    fn memory_bytes(&self) -> u64 {
        4 << 30
    }

    fn unix_seconds(&self) -> i64 {
        jiff::Timestamp::now().as_second()
    }

    fn program_dir(&self) -> PathBuf {
        PathBuf::from("/usr/lib/mattervisor")
    }
}

/// A problem of one entry, or of the whole draft.
pub(super) struct Wrong {
    /// The entry's number in the draft.
    pub(super) entry: Option<usize>,
    pub(super) severity: Severity,
    pub(super) message: String,
}

/// Loads a draft: the plan with its remarks, or the draft's problems. `merged`: the text of
/// secrets.toml after the import, where there is a secrets.toml already.
pub(super) fn check(
    draft: &Draft,
    source: &str,
    merged: Option<&str>,
) -> Result<(Plan, Vec<Wrong>), Vec<Wrong>> {
    let options = Options {
        root: "/".into(),
        catalog: Some(CATALOG.into()),
    };
    let paths = Paths::new(&options);
    let site = draft.site(source);
    let secrets = draft.secrets_file();
    let own = draft.secrets().next().is_some();
    let memory = Memory {
        site: (paths.site_file(), site.text.clone()),
        secrets: (
            paths.secrets_file(),
            merged
                .map(str::to_owned)
                .or_else(|| own.then(|| secrets.text.clone())),
        ),
    };
    let place = |problem: Problem| {
        let text = |text: &Text| {
            let line = usize::try_from(problem.line?).ok()?;
            text.lines.iter().find(|it| it.0 == line).map(|it| it.1)
        };
        let entry = if problem.file == memory.site.0 {
            text(&site)
        } else if problem.file == memory.secrets.0 && merged.is_none() {
            text(&secrets)
        } else {
            None
        };
        Wrong {
            entry,
            severity: problem.severity,
            message: match &problem.hint {
                Some(hint) => format!("{}; {hint}", problem.message),
                None => problem.message.clone(),
            },
        }
    };
    match load(&memory, &options) {
        Ok(mut plan) => {
            let remarks = std::mem::take(&mut plan.remarks);
            let remarks = remarks.into_iter().map(place).collect();
            Ok((plan, remarks))
        }
        Err(problems) => Err(problems.0.into_iter().map(place).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_in_the_program_loads_by_itself() {
        let (plan, _) = check(&Draft::default(), "gitlab.rb", None)
            .unwrap_or_else(|wrong| panic!("{}", wrong[0].message));
        assert!(plan.services.contains_key("mattermost"));
        assert!(!plan.services["mattermost"].enabled);
    }
}
