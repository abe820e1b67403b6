//! Imports of whole files, compared with what GitLab's package made of the files.

mod bad_input;
mod environment;
mod forms;
mod legacy;
mod lines;
mod omnibus;
mod property;
mod unknown;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use client::Error;
use plan::{Options, Plan, Problems, RealHost};
use tempfile::TempDir;

use super::{
    Import, Request,
    report::{Disposition, Line},
    run,
};

/// A machine with a gitlab.rb, and a root to import into.
struct Machine {
    dir: TempDir,
    request: Request,
}

impl Machine {
    fn new(ruby: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let etc = dir.path().join("etc/mattervisor");
        fs::create_dir_all(&etc).unwrap();
        let file = dir.path().join("gitlab.rb");
        fs::write(&file, ruby).unwrap();
        let request = Request {
            file,
            secrets: None,
            env_dir: None,
            output: Some(etc.join("mattervisor.toml")),
            root: dir.path().to_owned(),
        };
        Self { dir, request }
    }

    fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    fn put(&self, below: &str, text: &str) -> PathBuf {
        let path = self.path(below);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// Adds a gitlab-secrets.json with this block `mattermost`.
    fn secrets(mut self, block: &str) -> Self {
        let text = format!("{{\"gitlab_rails\":{{\"x\":\"y\"}},\"mattermost\":{block}}}");
        self.request.secrets = Some(self.put("secrets.json", &text));
        self
    }

    /// Adds a directory with these variables.
    fn variables(mut self, variables: &[(&str, &str)]) -> Self {
        for (name, value) in variables {
            self.put(&format!("env/{name}"), value);
        }
        self.request.env_dir = Some(self.path("env"));
        self
    }

    fn import(&self) -> Result<Import, Error> {
        run(&self.request)
    }

    fn imported(&self) -> Import {
        self.import()
            .unwrap_or_else(|error| panic!("{error}: {:?}", error.hints))
    }

    fn site(&self) -> String {
        fs::read_to_string(self.path("etc/mattervisor/mattervisor.toml")).unwrap()
    }

    fn secrets_file(&self) -> String {
        fs::read_to_string(self.path("etc/mattervisor/secrets.toml")).unwrap_or_default()
    }

    /// The plan of the files on disk.
    fn plan(&self) -> Plan {
        self.load("").unwrap_or_else(|problems| {
            panic!("{problems}\n{}\n{}", self.site(), self.secrets_file())
        })
    }

    /// The plan with these lines at the top of the site file, or its problems.
    fn load(&self, more: &str) -> Result<Plan, Problems> {
        let site = self.path("etc/mattervisor/mattervisor.toml");
        let written = self.site();
        fs::write(&site, format!("{more}\n{written}")).unwrap();
        let catalog = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../services.d");
        let options = Options {
            root: self.dir.path().to_owned(),
            catalog: Some(catalog),
        };
        let plan = plan::load(&RealHost, &options);
        fs::write(&site, written).unwrap();
        plan
    }
}

/// Imports a file without secrets or variables.
fn imported(ruby: &str) -> (Machine, Import) {
    let machine = Machine::new(ruby);
    let import = machine.imported();
    (machine, import)
}

/// The report's line about a setting.
#[track_caller]
fn line<'i>(import: &'i Import, what: &str) -> &'i Line {
    let lines = &import.report.lines;
    lines
        .iter()
        .find(|it| it.what == what || it.text == what)
        .unwrap_or_else(|| panic!("nothing about {what} in {lines:#?}"))
}

#[track_caller]
fn converted(import: &Import, what: &str) -> Vec<String> {
    match &line(import, what).fate {
        Disposition::Converted(keys) => keys.clone(),
        other => panic!("{what}: {other:?}"),
    }
}

#[track_caller]
fn for_a_person(import: &Import, what: &str) -> String {
    match &line(import, what).fate {
        Disposition::Person(why) => why.clone(),
        other => panic!("{what}: {other:?}"),
    }
}

#[track_caller]
fn not_needed(import: &Import, what: &str) -> String {
    match &line(import, what).fate {
        Disposition::NotNeeded(why) => why.clone(),
        other => panic!("{what}: {other:?}"),
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}
