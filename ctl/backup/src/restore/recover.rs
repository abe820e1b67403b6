//! Finishes a restore that was interrupted: back, or forward, as the server says whether the databases have
//! changed names.

use std::path::Path;

use jiff::Timestamp;
use safe_path::Account;

use super::{
    database::Databases,
    journal::{Copy, Held, Journal, Kept, Kind, Store},
    swap,
};
use crate::{Error, Stop, configuration::Configuration};

/// What has become of a restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// All is as it was.
    Back,
    /// All is as was asked.
    Forward,
}

/// Finishes what is open, if anything is; at once, if not. For a oneshot that Mattermost requires.
///
/// # Errors
/// It cannot be finished now. Mattermost must not start.
pub fn recover(configuration: &Path) -> Result<Option<String>, Error> {
    let configuration = Configuration::read(configuration)?;
    let Some(store) = Store::open(&configuration.restore.dir)? else {
        return Ok(None);
    };
    if store.journal()?.is_none() {
        return Ok(None);
    }
    let held = store.hold()?;
    let Some(journal) = held.store.journal()? else {
        return Ok(None);
    };
    let end = settle(&configuration, &held, &journal)?;
    Ok(Some(told(&journal, end)))
}

fn told(journal: &Journal, end: End) -> String {
    let from = &journal.from;
    match (journal.kind, end) {
        (Kind::Undo, End::Back) => format!(
            "taking back the restore of {from} was interrupted: what was restored is in use as before"
        ),
        (Kind::Undo, End::Forward) => {
            format!("taking back the restore of {from} was interrupted, and is finished now")
        }
        (Kind::Restore | Kind::Beside, End::Back) => {
            format!("the restore of {from} was interrupted: everything is as it was before it")
        }
        (Kind::Restore | Kind::Beside, End::Forward) => {
            format!("the restore of {from} was interrupted, and is finished now")
        }
    }
}

/// Finishes a piece of work. Everything in it can be done again, should this be interrupted too.
pub(super) fn settle(
    configuration: &Configuration,
    held: &Held,
    journal: &Journal,
) -> Result<End, Error> {
    // What was begun is finished, whoever asks to stop.
    let stop = Stop::default();
    let account = configuration.account()?;
    let mut databases = Databases::wait(&configuration.database, &stop)?;
    let forward = match &journal.database {
        Some(names) => {
            let forward = databases.is_there(&names.outgoing)?
                && (journal.kind != Kind::Beside || !databases.is_there(&names.incoming)?);
            databases.open(names)?;
            forward
        }
        None => journal.decided,
    };
    if forward {
        if journal.kind != Kind::Beside {
            self::forward(held, journal, account)?;
        }
        held.close()?;
        return Ok(End::Forward);
    }
    if journal.kind != Kind::Undo {
        if let Some(names) = &journal.database {
            databases.drop(&names.incoming)?;
        }
        swap::remove(&journal.stashes, account)?;
    }
    held.close()?;
    Ok(End::Back)
}

/// Puts the files into place, and notes what is kept of what was there.
fn forward(held: &Held, journal: &Journal, account: Account) -> Result<(), Error> {
    swap::swap(&journal.swaps, account)?;
    let Journal {
        id,
        kind,
        stamp,
        from,
        database,
        decided: _,
        swaps,
        stashes,
    } = journal.clone();
    let earlier = match held.store.kept()? {
        // An earlier try has noted it.
        Some(kept) if kept.stamp == stamp => return Ok(()),
        // What was kept is in use now.
        Some(kept) if kind == Kind::Undo => kept.earlier,
        Some(kept) => [kept.earlier, vec![kept.copy]].concat(),
        None => Vec::new(),
    };
    held.write_kept(&Kept {
        id,
        kind,
        stamp,
        from,
        at: Timestamp::now().to_string(),
        swaps,
        copy: Copy {
            database: database.map(|names| names.outgoing),
            stashes,
        },
        earlier,
    })
}

/// Removes a safety copy.
pub(super) fn remove(
    databases: &mut Databases,
    copy: &Copy,
    account: Account,
) -> Result<(), Error> {
    if let Some(database) = &copy.database {
        databases.drop(database)?;
    }
    swap::remove(&copy.stashes, account)
}

/// Removes earlier safety copies, as far as that can be done: the next restore tries the rest again.
pub(super) fn remove_earlier(configuration: &Configuration, held: &Held, mut kept: Kept) -> Kept {
    if kept.earlier.is_empty() {
        return kept;
    }
    let calm = Stop::default();
    let connected = Databases::connect(&configuration.database, 0, &calm);
    let (Ok(mut databases), Ok(account)) = (connected, configuration.account()) else {
        return kept;
    };
    kept.earlier.retain(|copy| {
        let removed = remove(&mut databases, copy, account);
        if let Err(error) = &removed {
            eprintln!("mattervisor-backup: an earlier safety copy stays: {error}");
        }
        removed.is_err()
    });
    if let Err(error) = held.write_kept(&kept) {
        eprintln!("mattervisor-backup: {error}");
    }
    kept
}
