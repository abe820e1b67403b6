//! Swaps live files with staged ones. Each step is idempotent: the inode identifies the entry that
//! is to be live, so an entry that was swapped already is left alone.

use std::{io, os::unix::fs::MetadataExt};

use safe_path::{Account, Dir};

use super::journal::{Stash, Swap};
use crate::{
    Error,
    files::{DEPTH_MAX, is_ours},
};

/// Deepest nesting below a directory to remove: that of a tree, and the directories above it.
const DEPTH: usize = DEPTH_MAX + 8;
/// Directory that belongs to the file system.
const LOST_AND_FOUND: &str = "lost+found";

/// Swaps each staged entry with the live one. The swaps are on the disk when this returns.
pub(super) fn swap(swaps: &[Swap], account: Account) -> Result<(), Error> {
    for one in swaps {
        let path = one.parent.join(&one.live);
        exchange(one, account).map_err(Error::with("put into place", &path))?;
    }
    Ok(())
}

fn exchange(one: &Swap, account: Account) -> io::Result<()> {
    let parent = Dir::open_for(&one.parent, account)?;
    let live = number(&parent, one)?;
    if live == one.incoming {
        return Ok(());
    }
    let stash = parent.enter_for(&one.stash, Some(account))?;
    match (live, one.incoming) {
        (Some(_), Some(_)) => stash.swap(&one.staged, &parent, &one.live)?,
        (None, Some(_)) => stash.move_to(&one.staged, &parent, &one.live)?,
        (Some(_), None) => parent.move_to(&one.live, &stash, &one.staged)?,
        (None, None) => {}
    }
    parent.sync()?;
    stash.sync()
}

fn number(dir: &Dir, one: &Swap) -> io::Result<Option<(u64, u64)>> {
    Ok(dir.stat(&one.live)?.map(|it| (it.dev(), it.ino())))
}

/// The swaps that turn stashes back: single entries by their names, and for a stash that stands for
/// a whole directory every entry of both.
pub(super) fn turned(
    stashes: &[Stash],
    named: &[Swap],
    account: Account,
) -> Result<Vec<Swap>, Error> {
    let mut all = Vec::new();
    for stash in stashes {
        let own = named
            .iter()
            .filter(|it| it.parent == stash.parent && it.stash == stash.name);
        let turned = if stash.inside {
            everything(stash, account)
        } else {
            own.map(|one| of(one.clone(), account)).collect()
        };
        all.extend(turned.map_err(Error::with("look at", &stash.parent))?);
    }
    Ok(all)
}

fn everything(stash: &Stash, account: Account) -> io::Result<Vec<Swap>> {
    let parent = Dir::open_for(&stash.parent, account)?;
    let below = parent.enter_for(&stash.name, Some(account))?;
    let mut names = parent.names(usize::MAX)?;
    names.retain(|name| !is_ours(name) && name != LOST_AND_FOUND);
    names.extend(below.names(usize::MAX)?);
    names.sort();
    names.dedup();
    let swaps = names.into_iter().map(|name| Swap {
        parent: stash.parent.clone(),
        live: name.clone(),
        stash: stash.name.clone(),
        staged: name,
        incoming: None,
    });
    swaps.map(|one| of(one, account)).collect()
}

/// With what is in the stash now as what is to be live.
fn of(one: Swap, account: Account) -> io::Result<Swap> {
    let parent = Dir::open_for(&one.parent, account)?;
    let stash = parent.enter_for(&one.stash, Some(account))?;
    let there = stash.stat(&one.staged)?;
    Ok(Swap {
        incoming: there.map(|it| (it.dev(), it.ino())),
        ..one
    })
}

/// Whether one of these stashes exists.
pub(super) fn is_any_there(stashes: &[Stash], account: Account) -> Result<bool, Error> {
    for stash in stashes {
        let found =
            Dir::open_for(&stash.parent, account).and_then(|parent| parent.stat(&stash.name));
        let found = found.map_err(Error::with("stage files in", &stash.parent))?;
        if found.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Removes stashes, staged or kept.
pub(super) fn remove(stashes: &[Stash], account: Account) -> Result<(), Error> {
    for stash in stashes {
        let path = stash.parent.join(&stash.name);
        let removed = Dir::open_for(&stash.parent, account).and_then(|parent| {
            parent.remove_all(&stash.name, Some(account), DEPTH)?;
            parent.sync()
        });
        removed.map_err(Error::with("remove", &path))?;
    }
    Ok(())
}
