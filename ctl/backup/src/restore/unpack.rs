//! Reads a backup once: its dump goes into a new database, its files beside the live ones. Nothing
//! goes into use before the whole backup was read and verified.

use std::{collections::BTreeMap, ffi::OsString, fs::File, path::PathBuf};

use safe_path::Account;

use super::{
    checks::Place,
    journal::{Stash, Swap},
    stage::Stage,
};
use crate::{
    Error, Step, Unit, Watch,
    archive::{self, Entry, EntryKind},
    configuration::Configuration,
    files::OURS,
    manifest::{Counts, LeftOut, Manifest},
    postgres::Reader,
};

/// Directory for the configuration files, in the job's directory.
pub(super) const SITE: &str = "configuration";
/// Mattermost's configuration file in the archive.
const CONFIG: &str = "files/config.json";
const TREES: &str = "files/";
const HOME: &str = "files/home/";

/// Destinations of all members of a backup.
pub(super) struct Unpack {
    stages: BTreeMap<(PathBuf, String), Stage>,
    trees: Vec<Tree>,
    home: Option<(PathBuf, String)>,
    leave: Vec<String>,
    site: Option<Stage>,
    swaps: Vec<Swap>,
    pieces: u32,
    counts: Option<Counts>,
    /// Bytes of files written so far.
    bytes: u64,
}

struct Tree {
    /// Prefix of the members: `files/NAME`.
    prefix: String,
    stage: (PathBuf, String),
    /// Name of the tree in the stage; empty: the whole stage.
    name: String,
}

/// The stashes for the files of a backup, known before one is created.
pub(super) fn stashes(configuration: &Configuration, places: &[Place], stamp: &str) -> Vec<Stash> {
    let mut all = vec![Stash {
        parent: configuration.home.clone(),
        name: format!("{OURS}{stamp}"),
        inside: false,
    }];
    for place in places {
        let stash = stash(place, stamp);
        if !all.contains(&stash) {
            all.push(stash);
        }
    }
    all
}

fn stash(place: &Place, stamp: &str) -> Stash {
    let above = place.path.parent().filter(|_| !place.inside);
    Stash {
        parent: above.unwrap_or(&place.path).to_owned(),
        name: if place.inside {
            format!("{OURS}{stamp}-{}", place.tree)
        } else {
            format!("{OURS}{stamp}")
        },
        inside: place.inside,
    }
}

impl Unpack {
    /// Unpacks the database alone.
    pub(super) fn database() -> Self {
        Self {
            stages: BTreeMap::new(),
            trees: Vec::new(),
            home: None,
            leave: Vec::new(),
            site: None,
            swaps: Vec::new(),
            pieces: 0,
            counts: None,
            bytes: 0,
        }
    }

    /// Creates the stages for all members.
    pub(super) fn all(
        configuration: &Configuration,
        manifest: &Manifest,
        places: &[Place],
        stashes: &[Stash],
        stamp: &str,
        account: Account,
    ) -> Result<Self, Error> {
        let mut unpack = Self::database();
        for Stash { parent, name, .. } in stashes {
            let stage = Stage::make(parent, name, account).and_then(|stage| {
                stage.try_swap()?;
                Ok(stage)
            });
            let stage = stage.map_err(Error::with("stage files in", parent))?;
            unpack.stages.insert((parent.clone(), name.clone()), stage);
        }
        for place in places {
            let Stash { parent, name, .. } = stash(place, stamp);
            let own = if place.inside {
                String::new()
            } else {
                format!("tree-{}", place.tree)
            };
            if !place.inside {
                unpack.swaps.push(Swap {
                    parent: parent.clone(),
                    live: place.path.file_name().unwrap_or_default().to_owned(),
                    stash: name.clone(),
                    staged: own.clone().into(),
                    incoming: None,
                });
            }
            unpack.trees.push(Tree {
                prefix: format!("{TREES}{}", place.tree),
                stage: (parent, name),
                name: own,
            });
        }
        unpack.home = stashes
            .first()
            .map(|it| (it.parent.clone(), it.name.clone()));
        unpack.leave.clone_from(&configuration.restore.leave);
        if stripped(manifest) {
            unpack.leave.push("config.json".to_owned());
        }
        unpack.site = Some(site(configuration)?);
        Ok(unpack)
    }

    /// Reads the backup to its end.
    ///
    /// # Errors
    /// After an error the unpacked data are worthless.
    pub(super) fn read(
        mut self,
        file: &File,
        mut loader: Reader,
        watch: &mut Watch,
    ) -> Result<(Counts, Vec<Swap>), Error> {
        let total = file.metadata()?.len();
        watch.step(Step::ReadBackup, Some(total), Unit::Bytes);
        archive::each::<Error>(
            file,
            |at| watch.reach(at),
            |entry| self.member(entry, &mut loader),
        )?;
        watch.step(Step::BuildIndexes, None, Unit::Rows);
        loader.finish()?;
        let incomplete = archive::Error::Form("it has no whole dump of the database".to_owned());
        let counts = self.counts.take().filter(|_| self.pieces > 0);
        let swaps = self.done(watch)?;
        Ok((counts.ok_or(incomplete)?, swaps))
    }

    /// Syncs the stages, and answers the swaps that put them into use.
    pub(super) fn done(self, watch: &mut Watch) -> Result<Vec<Swap>, Error> {
        watch.step(Step::WriteToDisk, Some(self.bytes), Unit::Bytes);
        for ((parent, _), stage) in &self.stages {
            stage
                .sync()
                .map_err(Error::with("write to the disk", parent))?;
        }
        Ok(self.swaps)
    }

    fn member(&mut self, entry: &mut Entry<'_>, loader: &mut Reader) -> Result<(), Error> {
        let name = String::from_utf8_lossy(&entry.name).into_owned();
        let strange = || archive::Error::Form(format!("{name} is not what it should be"));
        if let Some(number) = name.strip_prefix(archive::DUMP) {
            if number.parse() != Ok(self.pieces) {
                return Err(strange().into());
            }
            self.pieces += 1;
            return loader.feed(entry);
        }
        if name == archive::DATABASE {
            let text = entry.document()?;
            self.counts = Some(serde_json::from_slice(&text).map_err(|_| strange())?);
            return Ok(());
        }
        let known = [archive::MANIFEST, archive::REPORT].contains(&&*name);
        let roots = [TREES, "configuration/", "secrets/"];
        if known {
            Ok(())
        } else if roots.iter().any(|root| name.starts_with(root)) {
            self.file(&name, entry)
        } else {
            Err(strange_top(&name))
        }
    }

    /// A file of this name in a backup of ours.
    pub(super) fn file(&mut self, name: &str, entry: &mut Entry<'_>) -> Result<(), Error> {
        let bytes = &mut self.bytes;
        let mut written = |more| {
            *bytes += more;
            Ok(())
        };
        if name.starts_with("configuration/") || name.starts_with("secrets/") {
            let Some(site) = &mut self.site else {
                return Ok(());
            };
            return site.put(&entry.name.clone(), entry, (b"", b""), &mut written);
        }
        let single = match name.strip_prefix(HOME) {
            Some(own) => Some(own),
            None => (name == CONFIG).then_some("config.json"),
        };
        if let Some(own) = single {
            return self.single(own, entry);
        }
        let of =
            |tree: &&Tree| name == tree.prefix || name.starts_with(&format!("{}/", tree.prefix));
        let Some(tree) = self.trees.iter().find(of) else {
            return Ok(());
        };
        let Some(stage) = self.stages.get_mut(&tree.stage) else {
            return Ok(());
        };
        let prefix = tree.prefix.as_bytes();
        let below = entry.name.get(prefix.len()..).unwrap_or_default();
        let below = [tree.name.as_bytes(), below].concat();
        let below = below.strip_prefix(b"/").unwrap_or(&below).to_vec();
        // The tree's own directory stays in place.
        if below.is_empty() {
            return Ok(());
        }
        if below == tree.name.as_bytes() && entry.kind != EntryKind::Directory {
            return Err(strange_top(name));
        }
        stage.put(&below, entry, (prefix, tree.name.as_bytes()), &mut written)
    }

    /// Unpacks a file of Mattermost's home, which is swapped by itself.
    fn single(&mut self, own: &str, entry: &mut Entry<'_>) -> Result<(), Error> {
        let Some(home) = self.home.clone() else {
            return Ok(());
        };
        if self.leave.iter().any(|name| name == own) {
            return Ok(());
        }
        if own.contains('/') || entry.kind != EntryKind::File {
            return Err(strange_top(own));
        }
        let Some(stage) = self.stages.get_mut(&home) else {
            return Ok(());
        };
        let staged = format!("file-{own}");
        stage.put(staged.as_bytes(), entry, (b"", b""), &mut |_| Ok(()))?;
        self.swaps.push(Swap {
            parent: home.0,
            live: OsString::from(own),
            stash: home.1,
            staged: staged.into(),
            incoming: None,
        });
        Ok(())
    }
}

fn strange_top(name: &str) -> Error {
    archive::Error::Hostile {
        name: name.to_owned(),
    }
    .into()
}

/// Whether the backup's `config.json` lacks its secrets: restoring it would remove the secrets
/// here.
pub(super) fn stripped(manifest: &Manifest) -> bool {
    let of_config =
        |left: &LeftOut| matches!(left, LeftOut::Setting { file, .. } if file == CONFIG);
    manifest.left_out.iter().any(of_config)
}

/// The stage for site file and secrets. A restore does not put them into place, because they decide
/// where the database and files of this machine are.
fn site(configuration: &Configuration) -> Result<Stage, Error> {
    let dir = &configuration.restore.dir;
    let own = Account {
        uid: nix::unistd::geteuid().as_raw(),
        gid: nix::unistd::getegid().as_raw(),
    };
    let made = safe_path::Dir::open(dir).and_then(|above| {
        above.remove_all(SITE, None, 64)?;
        Stage::make(dir, SITE, own)
    });
    made.map_err(Error::with("make room for the configuration in", dir))
}
