//! The state of a site that a refused configuration must not change.

use std::{collections::BTreeMap, fs, path::PathBuf};

use api::ServiceState;
use mattervisor_tests::Site;

/// Every file of the site with its content, except the history of changes and `kept-plans.json`,
/// which a refusal or the passing of time may change.
pub(super) fn files(site: &Site) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut left = vec![site.path("var/lib"), site.path("run"), site.path("etc")];
    while let Some(dir) = left.pop() {
        for entry in fs::read_dir(&dir).unwrap().flatten() {
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            if kind.is_dir() && path.file_name().is_none_or(|name| name != "changes") {
                left.push(path);
            } else if kind.is_file() && !path.ends_with("kept-plans.json") {
                let content = fs::read(&path).unwrap();
                found.insert(path, content);
            }
        }
    }
    found.insert(
        "second.conf".into(),
        fs::read(site.path("var/second.conf")).unwrap(),
    );
    found
}

/// Name, state and pid of every enabled service.
pub(super) fn running(site: &Site) -> Vec<(String, ServiceState, Option<i32>)> {
    let services = site.status().services.into_iter();
    let running = services.filter(|it| it.enabled);
    running.map(|it| (it.name, it.state, it.pid)).collect()
}

/// Asserts that `check-config` fails with `said` in its output, and that `reconfigure` fails with
/// the same first error.
pub(super) fn check(site: &Site, name: &str, said: &str) {
    let checked = site.ctl(&["check-config"]);
    assert_eq!(checked.code, 1, "{name}: {}", checked.both());
    let first = checked
        .stdout
        .lines()
        .find(|line| line.contains(": error: "));
    let first = first.unwrap_or_else(|| panic!("{name}: {}", checked.both()));
    assert!(checked.stdout.contains(said), "{name}: {}", checked.both());
    let told = site.ctl(&["reconfigure"]);
    assert_eq!(told.code, 1, "{name}: {}", told.both());
    assert!(
        told.stderr.contains(first) && told.stderr.contains("nothing has changed"),
        "{name}: {first} is not in {}",
        told.both()
    );
}

/// A snapshot of the site, with which each refusal is compared.
pub(super) struct Refusal {
    files: BTreeMap<PathBuf, Vec<u8>>,
    running: Vec<(String, ServiceState, Option<i32>)>,
}

impl Refusal {
    pub(super) fn of(site: &Site) -> Self {
        site.wait_until_stored();
        Self {
            files: files(site),
            running: running(site),
        }
    }

    pub(super) fn nothing_has_changed(&self, site: &Site, name: &str) {
        assert_eq!(running(site), self.running, "{name}");
        let now = files(site);
        let names = |files: &BTreeMap<PathBuf, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&now), names(&self.files), "{name}");
        for (path, content) in &now {
            assert!(
                self.files[path] == *content,
                "{name}: {} has changed",
                path.display()
            );
        }
    }
}
