//! `[[credentials]]`: copies of files that only root may read, where a service may read them.
//!
//! Owner: jobs on the blocking pool. A service's files are laid out together, when its certificates
//! are of use and every source could be read; else what lies there stays, and the service can go on
//! with it. A copy is the supervisor's own, of the service's group, and replaced by a rename.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use plan::{Credential, Host, Plan, RealHost, Service, certificates};
use safe_path::{Account, Dir};

use crate::accounts::{self, MakeCommand};

/// A longer source is refused.
const SOURCE_BYTES_MAX: u64 = 1 << 20;
/// Names that are looked at in a directory of copies.
const NAMES_MAX: usize = 1024;
/// Copies that a group may read, and those that are the supervisor's alone.
const MODES: [u32; 2] = [0o640, 0o600];

/// Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NotLaid {
    /// The reason, for people.
    pub(crate) reason: String,
    /// Copies that were laid out earlier are all there.
    pub(crate) earlier: bool,
}

/// The plan that the copies are for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    /// The running plan.
    Now,
    /// A plan that may still be refused: an existing copy keeps its owner.
    Later,
}

/// Lays out the copies of a service, and says which were not there before.
pub(crate) fn lay(service: &Service) -> Result<Vec<PathBuf>, NotLaid> {
    lay_as(service, Of::Now)
}

/// Like [`lay`], for a plan that may still be refused: an existing copy keeps its owner until the
/// service starts.
pub(crate) fn lay_beside_what_runs(service: &Service) -> Result<Vec<PathBuf>, NotLaid> {
    lay_as(service, Of::Later)
}

fn lay_as(service: &Service, of: Of) -> Result<Vec<PathBuf>, NotLaid> {
    laid(service, of).map_err(|reason| NotLaid {
        reason,
        earlier: service.credentials.iter().all(|it| it.path.exists()),
    })
}

fn laid(service: &Service, of: Of) -> Result<Vec<PathBuf>, String> {
    let now = RealHost.unix_seconds();
    let mut found = service.certificates.iter();
    let unusable = found.find_map(|certificate| {
        let found = certificates::check(&RealHost, certificate, now);
        let bad = found
            .into_iter()
            .find(|it| it.grade == certificates::Grade::Unusable);
        bad.map(|it| it.sentence())
    });
    if let Some(sentence) = unusable {
        return Err(sentence);
    }
    let read = |it: &Credential| {
        let bytes = safe_path::read(&it.source, SOURCE_BYTES_MAX);
        bytes.map_err(|error| format!("cannot read {}: {error}", it.source.display()))
    };
    let texts = service.credentials.iter().map(read);
    let texts = texts.collect::<Result<Vec<_>, _>>()?;
    let ids = accounts::ids(service).map_err(|why| why.reason)?;
    let owner = ids.map(|ids| Account {
        uid: 0,
        gid: ids.gid,
    });
    let mut new = Vec::new();
    for (it, bytes) in service.credentials.iter().zip(&texts) {
        let failed = |error: io::Error| format!("cannot write {}: {error}", it.path.display());
        if put(&it.path, bytes, owner, of).map_err(failed)? {
            new.push(it.path.clone());
        }
    }
    Ok(new)
}

/// True: there was none.
fn put(path: &Path, bytes: &[u8], owner: Option<Account>, of: Of) -> io::Result<bool> {
    let (dir, name) = place(path)?;
    let mode = MODES[usize::from(owner.is_none())];
    let now = dir.stat(name)?;
    let there = now.is_some();
    let owner = match (owner, now) {
        (Some(_), Some(now)) if of == Of::Later => Some(safe_path::owner_of(&now)),
        (owner, _) => owner,
    };
    if there
        && dir
            .read(name, SOURCE_BYTES_MAX)
            .is_ok_and(|old| old == bytes)
    {
        safe_path::set_owner_and_mode(&dir.open_file(name)?, owner, mode)?;
        return Ok(false);
    }
    let beside = beside(name);
    let written = (|| {
        dir.remove(&beside)?;
        let mut file = dir.create(&beside, 0o600)?;
        file.write_all(bytes)?;
        safe_path::set_owner_and_mode(&file, owner, mode)?;
        dir.rename(&beside, name)
    })();
    if written.is_err() {
        // On a full disk it would only hold the room that others want.
        let _ = dir.remove(&beside);
    }
    written.map(|()| !there)
}

fn place(path: &Path) -> io::Result<(Dir, &OsStr)> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    Ok((Dir::make(parent, 0o750)?, name))
}

/// Two may be at work at the same time, for the plan that runs and for the next one.
fn beside(name: &OsStr) -> OsString {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut beside = OsString::from(".");
    beside.push(name);
    beside.push(format!(".{}.new", COUNT.fetch_add(1, Ordering::Relaxed)));
    beside
}

/// Removes copies of what the service has no more, beside those that it has.
pub(crate) fn prune(service: &Service) {
    let mut wanted: BTreeMap<&Path, BTreeSet<&OsStr>> = BTreeMap::new();
    for it in &service.credentials {
        if let (Some(parent), Some(name)) = (it.path.parent(), it.path.file_name()) {
            wanted.entry(parent).or_default().insert(name);
        }
    }
    for (path, wanted) in wanted {
        if let Err(error) = leave(path, &wanted) {
            let path = path.display();
            tracing::warn!(
                service = service.name,
                "cannot remove old copies in {path}: {error}"
            );
        }
    }
}

fn leave(path: &Path, wanted: &BTreeSet<&OsStr>) -> io::Result<()> {
    let dir = Dir::open(path)?;
    let names = dir.names(NAMES_MAX)?;
    let mut old = names.iter().filter(|it| !wanted.contains(it.as_os_str()));
    old.try_for_each(|name| dir.remove(name).map(drop))
}

/// Commands that make what is to be copied and is not there, each once.
pub(crate) fn missing(plan: &Plan) -> Vec<MakeCommand> {
    let mut commands: Vec<MakeCommand> = Vec::new();
    for service in plan.services.values().filter(|service| service.enabled) {
        let made = service.credentials.iter().filter(|it| !it.make.is_empty());
        for it in made.filter(|it| !it.source.exists()) {
            if commands.iter().all(|known| known.argv != it.make) {
                commands.push(MakeCommand {
                    services: vec![service.name.clone()],
                    what: format!("file {}", it.source.display()),
                    argv: it.make.clone(),
                });
            }
        }
    }
    commands
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::MetadataExt};

    use super::*;

    fn service(dir: &Path, sources: &[&str]) -> Service {
        let credentials = sources.iter().map(|name| Credential {
            source: dir.join(name),
            path: dir.join("copies").join(name),
            make: vec!["/bin/make".to_owned(), "both".to_owned()],
        });
        Service {
            name: "web".to_owned(),
            enabled: true,
            credentials: credentials.collect(),
            ..Service::default()
        }
    }

    #[test]
    fn copies_follow_their_sources_and_are_nobody_elses() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("key"), "1").unwrap();
        let web = service(dir.path(), &["key"]);
        let copy = dir.path().join("copies/key");
        assert_eq!(lay(&web).unwrap(), std::slice::from_ref(&copy));
        assert_eq!(fs::metadata(&copy).unwrap().mode() & 0o7777, 0o600);
        fs::write(dir.path().join("key"), "2").unwrap();
        assert!(lay(&web).unwrap().is_empty());
        assert_eq!(fs::read(&copy).unwrap(), b"2");
        let inode = fs::metadata(&copy).unwrap().ino();
        assert!(lay(&web).unwrap().is_empty());
        assert_eq!(
            fs::metadata(&copy).unwrap().ino(),
            inode,
            "written for nothing"
        );
    }

    /// Another account's copy is read by what runs, until the service starts anew.
    #[test]
    fn a_plan_that_may_be_refused_takes_no_copy_from_what_runs() {
        if !nix::unistd::geteuid().is_root() {
            skip::skip!("another account needs root");
        }
        let dir = tempfile::tempdir().unwrap();
        let (key, copy) = (dir.path().join("key"), dir.path().join("copies/key"));
        fs::write(&key, "1").unwrap();
        let mut web = service(dir.path(), &["key"]);
        let gid = || fs::metadata(&copy).unwrap().gid();
        web.group = Some("1".to_owned());
        lay(&web).unwrap();
        web.group = Some("65534".to_owned());
        for content in ["1", "2"] {
            fs::write(&key, content).unwrap();
            lay_beside_what_runs(&web).unwrap();
            assert_eq!((gid(), fs::read(&copy).unwrap()), (1, content.into()));
        }
        lay(&web).unwrap();
        assert_eq!(gid(), 65_534);
    }

    #[test]
    fn what_cannot_be_read_leaves_the_copies_as_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let both = service(dir.path(), &["crt", "key"]);
        fs::write(dir.path().join("crt"), "1").unwrap();
        let refused = lay(&both).unwrap_err();
        assert!(
            !refused.earlier && refused.reason.contains("/key: "),
            "{refused:?}"
        );
        fs::write(dir.path().join("key"), "1").unwrap();
        lay(&both).unwrap();
        fs::write(dir.path().join("crt"), "2").unwrap();
        fs::remove_file(dir.path().join("key")).unwrap();
        assert!(lay(&both).unwrap_err().earlier);
        assert_eq!(fs::read(dir.path().join("copies/crt")).unwrap(), b"1");
    }

    #[test]
    fn what_is_not_wanted_any_more_goes() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("old"), "1").unwrap();
        fs::write(dir.path().join("new"), "1").unwrap();
        lay(&service(dir.path(), &["old"])).unwrap();
        let new = service(dir.path(), &["new"]);
        lay(&new).unwrap();
        assert!(
            dir.path().join("copies/old").exists(),
            "a plan that runs may need it"
        );
        prune(&new);
        assert!(!dir.path().join("copies/old").exists());
        assert!(dir.path().join("copies/new").exists());
    }

    #[test]
    fn one_command_makes_all_that_it_makes() {
        let dir = tempfile::tempdir().unwrap();
        let web = service(dir.path(), &["crt", "key"]);
        let options = plan::Options {
            root: dir.path().to_owned(),
            catalog: None,
        };
        let mut plan = Plan::empty(plan::Paths::new(&options));
        plan.services.insert("web".to_owned(), Box::new(web));
        let commands = missing(&plan);
        assert_eq!(commands.len(), 1);
        assert_eq!(
            commands[0].what,
            format!("file {}/crt", dir.path().display())
        );
        fs::write(dir.path().join("crt"), "1").unwrap();
        fs::write(dir.path().join("key"), "1").unwrap();
        assert!(missing(&plan).is_empty());
    }
}
