//! A tar archive of Mattermost's `data` and `config.json`, at its top or together in one directory.
//!
//! The members are renamed to the names that a backup of ours would give them, so one unpacker
//! serves both.

use std::{collections::BTreeSet, path::Path};

use super::{
    content::{Content, Foreign},
    fault::Fault,
};
use client::render::shown;

use crate::{
    Error, Step, Unit, Watch,
    archive::{Entry, EntryKind, ForeignFault, each_foreign},
    manifest::SavedTree,
    restore::unpack::Unpack,
};

const CONFIG: &str = "config.json";
/// Mattermost's directories that are restored, named as in GitLab's package.
const TREES: [&str; 3] = ["data", "plugins", "client-plugins"];
/// Mattermost's home in GitLab's package.
const GITLAB: &str = "var/opt/gitlab/mattermost";
/// Most names that a message lists.
const TOLD: usize = 8;
/// Most directories of an archive that are considered as Mattermost's home.
const HOMES_MAX: usize = 64;

/// A tar archive of another program.
pub(super) struct Files {
    file: Foreign,
}

/// The content of the archive.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// Path of Mattermost's home in the archive; empty, or with a slash at its end.
    before: String,
    pub(super) trees: Vec<SavedTree>,
    pub(super) config: bool,
    /// Names that are not restored.
    pub(super) left: Vec<String>,
}

impl Files {
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let file = Foreign::open(path)?;
        match file.content {
            Content::Tar => Ok(Self { file }),
            _ => Err(file.misplaced()),
        }
    }

    /// A line about the archive.
    pub(super) fn told(&self) -> String {
        format!("a tar archive of {}", text::size(self.file.length))
    }

    /// Reads the whole archive, and unpacks nothing.
    pub(super) fn survey(&self, watch: &mut Watch) -> Result<Survey, Error> {
        watch.step(Step::CheckFiles, Some(self.file.length), Unit::Bytes);
        let mut homes = Homes::default();
        self.each(watch, |name, entry| {
            homes.see(name, entry.kind);
            Ok(())
        })?;
        let path = self.file.path.clone();
        let Some(before) = homes.choose() else {
            let found = homes.told();
            return Err(Fault::NoData { path, found }.into());
        };
        let mut survey = Survey {
            before,
            ..Survey::default()
        };
        self.each(watch, |name, entry| {
            survey.see(name, entry);
            Ok(())
        })?;
        Ok(survey)
    }

    /// Unpacks the archive.
    pub(super) fn unpack(
        &self,
        survey: &Survey,
        unpack: &mut Unpack,
        watch: &mut Watch,
    ) -> Result<(), Error> {
        watch.step(Step::UnpackFiles, Some(self.file.length), Unit::Bytes);
        self.each(watch, |name, entry| {
            let Some(own) = survey.ours(name) else {
                return Ok(());
            };
            // The target of a hard link is renamed like the member itself.
            if let (EntryKind::HardLink, Some(target)) = (entry.kind, &entry.target) {
                let target = plain(target);
                let below = target.strip_prefix(survey.before.as_bytes());
                entry.target = below.map(|below| [b"files/", below].concat());
            }
            entry.name = [b"files/", own].concat();
            let name = String::from_utf8_lossy(&entry.name).into_owned();
            unpack.file(&name, entry)
        })
    }

    /// Calls back for each member, with its name relative to the archive's top.
    fn each(
        &self,
        watch: &mut Watch,
        mut shown: impl FnMut(&[u8], &mut Entry<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let (input, at) = self.file.read()?;
        let path = || self.file.path.clone();
        let wrong = |fault| match fault {
            ForeignFault::Cut(missing) => {
                let path = path();
                Fault::CutArchive { path, missing }.into()
            }
            ForeignFault::Sparse(name) => {
                let path = path();
                Fault::Sparse { path, name }.into()
            }
            ForeignFault::Read(error) => self.unreadable(error),
        };
        each_foreign(input, wrong, |entry| {
            watch.reach(at.get())?;
            let name = plain(&entry.name).to_vec();
            if name.is_empty() {
                return Ok(());
            }
            shown(&name, entry)
        })
    }

    fn unreadable(&self, error: std::io::Error) -> Error {
        if error.raw_os_error().is_none() && !self.file.is_gzip(&error) {
            let path = self.file.path.clone();
            let error = crate::archive::Error::Form(error.to_string()).into();
            let error = Box::new(error);
            return Error::Bad { path, error };
        }
        self.file.error(error)
    }
}

/// The name without leading `/` and `./`, and without a trailing `/`.
fn plain(name: &[u8]) -> &[u8] {
    let mut name = name;
    loop {
        let shorter = name.strip_prefix(b"./").or(name.strip_prefix(b"/"));
        match shorter {
            Some(shorter) => name = shorter,
            None => break,
        }
    }
    let name = name.strip_suffix(b"/").unwrap_or(name);
    if name == b"." { b"" } else { name }
}

/// Directories that could be Mattermost's home.
#[derive(Default)]
struct Homes {
    /// Directories with an entry `data`.
    data: BTreeSet<String>,
    /// Directories with an entry `config.json`.
    config: BTreeSet<String>,
    top: BTreeSet<String>,
}

impl Homes {
    fn see(&mut self, name: &[u8], kind: EntryKind) {
        let name = String::from_utf8_lossy(name);
        let parts: Vec<&str> = name.split('/').collect();
        let add = |to: &mut BTreeSet<String>, home: String| {
            if to.len() < HOMES_MAX || home.is_empty() || home == GITLAB {
                to.insert(home);
            }
        };
        if let Some(first) = parts.first()
            && self.top.len() <= TOLD
        {
            self.top.insert(shown(first).into_owned());
        }
        for (number, _) in parts.iter().enumerate().filter(|(_, it)| **it == TREES[0]) {
            if number + 1 < parts.len() || kind == EntryKind::Directory {
                add(&mut self.data, parts[..number].join("/"));
            }
        }
        if parts.last() == Some(&CONFIG) && kind == EntryKind::File {
            add(&mut self.config, parts[..parts.len() - 1].join("/"));
        }
    }

    /// Chooses the top, else the home in GitLab's package, else the only directory that has both
    /// entries.
    fn choose(&self) -> Option<String> {
        for known in ["", GITLAB] {
            if self.data.contains(known) || self.config.contains(known) {
                return Some(before(known));
            }
        }
        let mut both = self.data.intersection(&self.config);
        let one = both.next()?;
        both.next().is_none().then(|| before(one))
    }

    fn told(&self) -> String {
        let mut names: Vec<&str> = self.top.iter().take(TOLD).map(String::as_str).collect();
        if names.is_empty() {
            names.push("nothing");
        }
        if self.top.len() > TOLD {
            names.push("others");
        }
        names.join(", ")
    }
}

fn before(home: &str) -> String {
    if home.is_empty() {
        String::new()
    } else {
        format!("{home}/")
    }
}

impl Survey {
    /// The name relative to Mattermost's home, if the entry is restored.
    fn ours<'n>(&self, name: &'n [u8]) -> Option<&'n [u8]> {
        let own = name.strip_prefix(self.before.as_bytes())?;
        let first = own.split(|it| *it == b'/').next()?;
        let is_tree = TREES.iter().any(|tree| tree.as_bytes() == first);
        (is_tree || own == CONFIG.as_bytes()).then_some(own)
    }

    /// Remarks for the person, after the restore.
    pub(super) fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        if self.config {
            words.push(
                "config.json is the archive's, and what the environment sets wins over it, the address of the database for one: ctl env mattermost --against-config shows each key"
                    .to_owned(),
            );
        } else {
            words.push("config.json was not touched".to_owned());
        }
        for tree in TREES {
            if !self.trees.iter().any(|it| it.name == tree) {
                words.push(format!("{tree} was not touched"));
            }
        }
        if !self.left.is_empty() {
            let mut left = self.left.clone();
            if left.len() > TOLD {
                left.truncate(TOLD);
                left.push("others".to_owned());
            }
            words.push(format!(
                "not restored from the archive: {}",
                left.join(", ")
            ));
        }
        words
    }

    fn see(&mut self, name: &[u8], entry: &Entry<'_>) {
        let Some(own) = self.ours(name) else {
            let above = [name, b"/"].concat();
            if self.left.len() <= TOLD && !self.before.as_bytes().starts_with(&above) {
                self.leave(name);
            }
            return;
        };
        let own = String::from_utf8_lossy(own);
        let first = own.split('/').next().unwrap_or_default();
        if own == CONFIG {
            self.config = true;
            return;
        }
        let known = self.trees.iter().position(|tree| tree.name == first);
        let known = known.unwrap_or_else(|| {
            self.trees.push(SavedTree {
                name: first.to_owned(),
                path: format!("{}{first}", self.before).into(),
                entries: 0,
                bytes: 0,
            });
            self.trees.len() - 1
        });
        let tree = &mut self.trees[known];
        tree.entries += u64::from(entry.kind == EntryKind::File);
        if entry.kind == EntryKind::File {
            tree.bytes += entry.length;
        }
    }

    /// Notes the first component of a name that is left out, once.
    fn leave(&mut self, name: &[u8]) {
        let below = name.strip_prefix(self.before.as_bytes()).unwrap_or(name);
        let first = below.split(|it| *it == b'/').next().unwrap_or_default();
        let first = shown(&String::from_utf8_lossy(first)).into_owned();
        if !self.left.contains(&first) {
            self.left.push(first);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(names: &[&str]) -> Option<String> {
        let mut homes = Homes::default();
        for name in names {
            let kind = if name.ends_with('/') {
                EntryKind::Directory
            } else {
                EntryKind::File
            };
            homes.see(plain(name.as_bytes()), kind);
        }
        homes.choose()
    }

    #[test]
    fn mattermost_is_found_at_the_top_or_in_one_directory() {
        for (names, wanted) in [
            (&["data/", "data/x", "config.json"][..], Some("")),
            (&["./data/x", "./config.json"], Some("")),
            (&["config.json"], Some("")),
            (&["data/plugins/x/config.json", "data/y"], Some("")),
            (
                &["/var/opt/gitlab/mattermost/data/x"],
                Some("var/opt/gitlab/mattermost/"),
            ),
            (
                &["srv/data/mm/data/x", "srv/data/mm/config.json"],
                Some("srv/data/mm/"),
            ),
            (&["srv/mm/data/x"], None),
            (
                &["a/data/x", "a/config.json", "b/data/x", "b/config.json"],
                None,
            ),
            (&["20210805/teams/x", "users/"], None),
            (&[], None),
        ] {
            assert_eq!(chosen(names).as_deref(), wanted, "{names:?}");
        }
    }
}
