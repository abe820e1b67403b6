//! Finishes an interrupted restore: back, or forward if the server has already renamed the
//! databases.

use std::path::Path;

use jiff::Timestamp;
use safe_path::Account;

use super::{
    database::Databases,
    journal::{Copy, Held, Journal, Kept, Kind, Store},
    swap,
};
use crate::{Error, Stop, configuration::Configuration};

/// The outcome of a recovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The former state is back.
    Back,
    /// The requested state is reached.
    Forward,
}

/// Finishes an interrupted restore, if there is one. Runs in a oneshot that Mattermost requires.
///
/// # Errors
/// The recovery cannot finish now; Mattermost must not start.
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

/// Finishes one piece of work. Each step is idempotent, because this run may be interrupted too.
pub(super) fn settle(
    configuration: &Configuration,
    held: &Held,
    journal: &Journal,
) -> Result<End, Error> {
    // Work that was begun is finished, in spite of stop requests.
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

/// Swaps the files, and records the safety copy.
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
        // An earlier attempt has recorded it.
        Some(kept) if kept.stamp == stamp => return Ok(()),
        // The former safety copy is live now.
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

/// Removes earlier safety copies as far as possible: the next restore retries the rest.
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
