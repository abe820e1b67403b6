//! A machine in memory, as the [`Host`] of a load.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
};

use crate::{Host, Options, Plan, Problems, Severity, load};

/// Files with their modes, and errors of some of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Machine {
    files: BTreeMap<PathBuf, (Vec<u8>, u32)>,
    faults: BTreeMap<PathBuf, io::ErrorKind>,
    links: BTreeSet<PathBuf>,
    missing: BTreeSet<PathBuf>,
    uid: u32,
    capabilities: Vec<String>,
    now: i64,
    /// Numbers of files' groups; 100 for a file that has none here.
    groups: BTreeMap<PathBuf, u32>,
}

const ETC: &str = "/etc/mattervisor";
const CATALOG: &str = "/cat/services.d";

impl Machine {
    /// A machine with an empty catalogue and no site file.
    pub(crate) fn new() -> Self {
        let mut machine = Self {
            capabilities: vec!["net_bind_service".to_owned()],
            ..Self::default()
        };
        machine.put(&format!("{CATALOG}/catalog.toml"), "");
        machine
    }

    pub(crate) fn put(&mut self, path: &str, content: impl AsRef<[u8]>) -> &mut Self {
        self.files
            .insert(path.into(), (content.as_ref().to_vec(), 0o644));
        self
    }

    pub(crate) fn mode(&mut self, path: &str, mode: u32) -> &mut Self {
        self.files.get_mut(Path::new(path)).unwrap().1 = mode;
        self
    }

    pub(crate) fn group(&mut self, path: &str, gid: u32) -> &mut Self {
        self.groups.insert(path.into(), gid);
        self
    }

    pub(crate) fn fault(&mut self, path: &str, kind: io::ErrorKind) -> &mut Self {
        self.put(path, "");
        self.faults.insert(path.into(), kind);
        self
    }

    /// Sets the time, in seconds of the Unix epoch.
    pub(crate) fn now(&mut self, now: i64) -> &mut Self {
        self.now = now;
        self
    }

    pub(crate) fn uid(&mut self, uid: u32) -> &mut Self {
        self.uid = uid;
        self
    }

    /// Removes all capabilities, as in a restricted container.
    pub(crate) fn without_capabilities(&mut self) -> &mut Self {
        self.capabilities.clear();
        self
    }

    pub(crate) fn remove(&mut self, path: &str) -> &mut Self {
        self.files.remove(Path::new(path));
        self
    }

    /// Makes this path certainly missing.
    pub(crate) fn missing(&mut self, path: &str) -> &mut Self {
        self.missing.insert(path.into());
        self
    }

    pub(crate) fn dangling(&mut self, path: &str) -> &mut Self {
        self.links.insert(path.into());
        self.fault(path, io::ErrorKind::NotFound)
    }

    /// Adds a service file to the catalogue.
    pub(crate) fn shipped(&mut self, name: &str, content: &str) -> &mut Self {
        self.put(&format!("{CATALOG}/{name}.toml"), content)
    }

    /// Adds a service file of the administrator.
    pub(crate) fn own(&mut self, name: &str, content: &str) -> &mut Self {
        self.put(&format!("{ETC}/services.d/{name}.toml"), content)
    }

    pub(crate) fn catalog(&mut self, content: &str) -> &mut Self {
        self.shipped("catalog", content)
    }

    pub(crate) fn site(&mut self, content: &str) -> &mut Self {
        self.put(&format!("{ETC}/mattervisor.toml"), content);
        self.mode(&format!("{ETC}/mattervisor.toml"), 0o600)
    }

    pub(crate) fn secrets(&mut self, content: &str) -> &mut Self {
        self.put(&format!("{ETC}/secrets.toml"), content);
        self.mode(&format!("{ETC}/secrets.toml"), 0o600)
    }

    pub(crate) fn load(&self) -> Result<Plan, Problems> {
        let options = Options {
            root: "/".into(),
            catalog: Some(CATALOG.into()),
        };
        load(self, &options)
    }

    /// The plan of a configuration that must be valid.
    pub(crate) fn plan(&self) -> Plan {
        self.load().unwrap_or_else(|problems| panic!("{problems}"))
    }

    /// Errors of the configuration, as text.
    pub(crate) fn errors(&self) -> String {
        match self.load() {
            Ok(_) => "no error".to_owned(),
            Err(mut problems) => {
                problems
                    .0
                    .retain(|problem| problem.severity == Severity::Error);
                problems.to_string()
            }
        }
    }

    /// Warnings and notes of a valid configuration.
    pub(crate) fn remarks(&self) -> String {
        Problems(self.plan().remarks).to_string()
    }
}

impl Host for Machine {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        if let Some(kind) = self.faults.get(path) {
            return Err((*kind).into());
        }
        self.files
            .get(path)
            .map(|(bytes, _)| bytes.clone())
            .ok_or(io::ErrorKind::NotFound.into())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let files: Vec<PathBuf> = self
            .files
            .keys()
            .filter(|path| path.parent() == Some(dir))
            .cloned()
            .collect();
        if files.is_empty() {
            Err(io::ErrorKind::NotFound.into())
        } else {
            Ok(files)
        }
    }

    fn mode(&self, path: &Path) -> io::Result<(u32, u32)> {
        self.files
            .get(path)
            .map(|(_, mode)| (*mode, self.groups.get(path).copied().unwrap_or(100)))
            .ok_or(io::ErrorKind::NotFound.into())
    }

    fn exists(&self, path: &Path) -> bool {
        self.files.contains_key(path)
    }

    fn is_missing(&self, path: &Path) -> bool {
        self.missing.contains(path)
    }

    fn is_link(&self, path: &Path) -> bool {
        self.links.contains(path)
    }

    fn glob(&self, pattern: &str) -> Vec<PathBuf> {
        let Ok(pattern) = glob::Pattern::new(pattern) else {
            return Vec::new();
        };
        let strict = glob::MatchOptions {
            require_literal_separator: true,
            ..Default::default()
        };
        self.files
            .keys()
            .filter(|path| pattern.matches_path_with(path, strict))
            .cloned()
            .collect()
    }

    fn unix_seconds(&self) -> i64 {
        self.now
    }

    fn uid(&self) -> u32 {
        self.uid
    }

    fn capabilities(&self) -> Vec<String> {
        self.capabilities.clone()
    }

    fn cpus(&self) -> u32 {
        4
    }

    fn memory_bytes(&self) -> u64 {
        8 << 30
    }

    fn program_dir(&self) -> PathBuf {
        PathBuf::from("/usr/lib/mattervisor")
    }
}
