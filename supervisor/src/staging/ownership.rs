//! Directories that are there and belong to another account than the plan says.
//!
//! They change hands when the service starts, while neither it nor another service that has them
//! runs: what runs loses nothing that it works with. With a `recursive` one goes what its former
//! owner has in it, as systemd does it with a `StateDirectory=`. What has begun is in a journal, so
//! that the next start finishes it, whichever account the plan names by then; so it can be taken
//! back as well.
//!
//! Owner: jobs beside the control thread, one walk at a time. It ends early when nobody wants the
//! start any more.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use engine::RunId;
use plan::{Directory, Service};
use safe_path::{Account, Handover, Left, Tally, Tree, Untrusted};

use super::{ownership_journal::Journal, place::Owners, write_again};
use crate::{
    accounts::{Database, System},
    unready::{Unready, io_can_pass},
};

/// Said of a journal that cannot be read for now.
pub(super) const UNREAD: &str = "cannot read which directories are changing hands";

/// Two walks in one tree would undo each other.
static WALK: Mutex<()> = Mutex::new(());

/// A directory that is to change hands.
#[derive(Clone, Debug)]
pub(crate) struct OwnerChange {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Present owner.
    pub(crate) from: Account,
    /// Owner that the plan wants.
    pub(crate) to: Account,
    /// The directory's content changes hands too.
    pub(crate) recursive: bool,
    mode: u32,
    /// Further owners that its content may have, since an earlier walk was interrupted.
    begun: Vec<Account>,
    /// A directory above it changes hands too.
    follows: bool,
}

impl OwnerChange {
    pub(super) fn handover(&self) -> Handover {
        let mut from = self.begun.clone();
        from.push(self.from);
        Handover { from, to: self.to }
    }

    /// In words, from whom to whom.
    pub(super) fn words(&self) -> String {
        format!("{} becomes {}", named(self.from), named(self.to))
    }

    /// Whether it can be done, as far as that is known before: its owner is not to be at the mercy
    /// of whose directory it lies in.
    pub(super) fn check(&self) -> io::Result<()> {
        self.open().map(drop)
    }

    fn open(&self) -> io::Result<Tree> {
        let tree = Tree::open(&self.path)?;
        tree.may_change_hands(&self.handover())?;
        let above = self.path.parent().unwrap_or(&self.path);
        match safe_path::foreign_owner(above) {
            Some(uid) if uid != self.to.uid && !self.follows => {
                let path = self.path.clone();
                Err(Untrusted::Below { path, uid }.into())
            }
            _ => Ok(tree),
        }
    }
}

/// `OWNER:GROUP` as `chown` writes it, numbers where there is no account.
fn named(account: Account) -> String {
    let Account { uid, gid } = account;
    let user = System.user_of(uid).ok().flatten();
    let group = System.group_of(gid).ok().flatten();
    let user = user.unwrap_or_else(|| uid.to_string());
    format!("{user}:{}", group.unwrap_or_else(|| gid.to_string()))
}

/// A directory that a run has, and whether that run is on its way down.
#[derive(Clone, Debug)]
pub(crate) struct InUse {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// The run that has the directory.
    pub(crate) run: RunId,
    /// Its service.
    pub(crate) service: String,
    /// The run is on its way down, and ends at its kill deadline at the latest.
    pub(crate) ending: bool,
}

/// Terms on which a start may give directories to another account.
pub(crate) struct Terms<'a> {
    /// Directory of the journal.
    pub(crate) state_dir: &'a Path,
    /// Directories that other runs have.
    pub(crate) in_use: &'a [InUse],
    /// Whether it is still wanted.
    pub(crate) wanted: &'a dyn Fn() -> bool,
}

/// Result of a settlement.
#[derive(Debug)]
pub(crate) enum Settled {
    /// All directories have changed hands; each in words.
    Done(Vec<String>),
    /// This run, which is on its way down, still has one of them.
    InUse(RunId),
}

/// Directories of a service that are to change hands, those above others first.
pub(super) fn pending(service: &Service, journal: &Journal) -> Vec<OwnerChange> {
    let all = service.directories.iter();
    let mut changes: Vec<_> = all.filter_map(|it| change(service, it, journal)).collect();
    let paths: Vec<_> = changes.iter().map(|it| it.path.clone()).collect();
    for it in &mut changes {
        let mut others = paths.iter().filter(|path| **path != it.path);
        it.follows = others.any(|path| it.path.starts_with(path));
    }
    changes
}

/// None too where that cannot be found out: making it says why.
fn change(service: &Service, directory: &Directory, journal: &Journal) -> Option<OwnerChange> {
    let owners = Owners::of_directory(service, directory).ok()?;
    let to = owners.wanted_at(&directory.path)?;
    let now = safe_path::stat(&directory.path).ok()??;
    let from = safe_path::owner_of(&now);
    let begun = journal.owners(&directory.path);
    let differs = now.is_dir() && (from != to || !begun.is_empty());
    differs.then(|| OwnerChange {
        path: directory.path.clone(),
        from,
        to,
        recursive: directory.recursive,
        mode: directory.mode,
        begun,
        follows: false,
    })
}

/// Has directories change hands whose turn it is.
///
/// # Errors
/// One directory cannot change hands. Finished ones stay, and the journal has them.
pub(crate) fn settle(service: &Service, terms: &Terms<'_>) -> Result<Settled, Unready> {
    name_links(service);
    let mut journal = journal(terms)?;
    let mut said: Vec<String> = journal.lost().into_iter().collect();
    if pending(service, &journal).is_empty() {
        return Ok(Settled::Done(said));
    }
    let _one = WALK.lock().unwrap_or_else(PoisonError::into_inner);
    // An earlier walk may have done it by now.
    let mut journal = self::journal(terms)?;
    said.extend(journal.lost());
    let mut changes = pending(service, &journal);
    let mut used = changes.iter().filter_map(|it| user_of(it, terms.in_use));
    if let Some(ending) = used.find(|it| it.ending) {
        return Ok(Settled::InUse(ending.run));
    }
    changes.retain(|it| match user_of(it, terms.in_use) {
        None => true,
        Some(user) => {
            let path = it.path.display();
            tracing::warn!(
                service = service.name,
                "{path} keeps its owner, for {} runs and has it too",
                user.service
            );
            false
        }
    });
    if changes.is_empty() {
        return Ok(Settled::Done(said));
    }
    // Content first: the directory itself tells whose all of it was.
    changes.sort_by_key(|it| std::cmp::Reverse(it.path.components().count()));
    for it in &changes {
        said.push(give(service, it, &mut journal, terms.wanted)?);
    }
    write_again(service, &changes)?;
    let ended = journal.end(changes.iter().map(|it| it.path.as_path()));
    ended.map_err(|error| unready("cannot note that owners have changed", &error))?;
    Ok(Settled::Done(said))
}

fn journal(terms: &Terms<'_>) -> Result<Journal, Unready> {
    // Once it can be read, another try goes on with what it says.
    Journal::read(terms.state_dir).map_err(|error| Unready::passing(format!("{UNREAD}: {error}")))
}

/// An administrator who has moved a directory to another place has to change its owner there.
fn name_links(service: &Service) {
    for directory in &service.directories {
        let path = &directory.path;
        let is_link = safe_path::stat(path).is_ok_and(|now| now.is_some_and(|it| it.is_symlink()));
        let wanted = Owners::of_directory(service, directory).ok();
        let wanted = wanted.and_then(|it| it.wanted_at(path));
        if let (true, Some(to), Ok(there)) = (is_link, wanted, safe_path::metadata(path))
            && safe_path::owner_of(&there) != to
        {
            let (path, to) = (path.display(), named(to));
            tracing::warn!(
                service = service.name,
                "{path} is a link, and what it leads to keeps its owner: chown -R {to} it"
            );
        }
    }
}

fn user_of<'a>(change: &OwnerChange, in_use: &'a [InUse]) -> Option<&'a InUse> {
    let meets =
        |it: &&InUse| it.path.starts_with(&change.path) || change.path.starts_with(&it.path);
    in_use.iter().find(meets)
}

fn give(
    service: &Service,
    it: &OwnerChange,
    journal: &mut Journal,
    wanted: &dyn Fn() -> bool,
) -> Result<String, Unready> {
    let path = it.path.display();
    let what = format!("cannot change the owner of {path}");
    let failed = |error: &io::Error| unready(&what, error);
    let tree = it.open().map_err(|error| failed(&error))?;
    let handover = it.handover();
    let mut owners = handover.from.clone();
    owners.push(it.to);
    let begun = journal.begin(&it.path, &owners);
    begun.map_err(|error| failed(&error))?;
    tracing::info!(service = service.name, "changes the owner of {path}");
    let tally = tree.give(&handover, it.mode, it.recursive, wanted);
    let tally =
        tally.map_err(|at| Unready::new(format!("{what}: {at}"), io_can_pass(&at.error)))?;
    for (path, why) in &tally.named {
        let (path, why) = (path.display(), left(*why));
        tracing::warn!(service = service.name, "{path} keeps its owner: {why}");
    }
    Ok(format!("changed the owner of {path}{}", more(&tally)))
}

fn unready(what: &str, error: &io::Error) -> Unready {
    Unready::new(format!("{what}: {error}"), io_can_pass(error))
}

fn left(why: Left) -> String {
    match why {
        Left::Owner(uid) => format!("it belongs to uid {uid}"),
        Left::Names => "it has other names (hard links)".to_owned(),
        Left::Device => "it is a device".to_owned(),
        Left::FileSystem => "it is another file system".to_owned(),
    }
}

/// In words, how much changes hands with a directory, and how much does not.
pub(super) fn more(tally: &Tally) -> String {
    let at_least = if tally.more { "at least " } else { "" };
    let changed = match tally.changed {
        0 => String::new(),
        count => format!(" ({at_least}{}", text::counted(count, "entry", "entries")),
    };
    let close = if changed.is_empty() { "" } else { ")" };
    match tally.left {
        0 => format!("{changed}{close}"),
        left if changed.is_empty() => format!(" ({left} in it are others' and stay so)"),
        left => format!("{changed}; {left} are others' and stay so)"),
    }
}
