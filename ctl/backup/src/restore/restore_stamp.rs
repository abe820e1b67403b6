//! The stamp of a restore: a moment in the names of its databases and of its directories beside the
//! live files.
//!
//! Invariant: no existing database or directory carries the stamp. Two restores may begin in one
//! second, and a clock may be set back; an existing thing with the same name would be filled as if
//! it were new and removed if the restore fails, even a safety copy. So the stamp is the first free
//! moment from now on.

use jiff::{SignedDuration, Timestamp};
use safe_path::Account;

use super::{
    database::Databases,
    journal::{Held, Renames, Stash},
    swap,
};
use crate::Error;

const FORM: &str = "%Y%m%dt%H%M%Sz";

/// The first free stamp and its names. `stashes` gives the directories that a stamp would name.
pub(super) fn free(
    held: &Held,
    databases: &mut Databases,
    (live, outgoing): (&str, &str),
    stashes: impl Fn(&str) -> Vec<Stash>,
    account: Account,
) -> Result<(String, Renames), Error> {
    let kept = held.store.kept()?.map(|kept| kept.stamp);
    let mut at = Timestamp::now();
    loop {
        let stamp = at.strftime(FORM).to_string();
        let is_taken = kept.as_ref() == Some(&stamp)
            || databases.has_stamp(&stamp)?
            || swap::is_any_there(&stashes(&stamp), account)?;
        if !is_taken {
            let names = Renames::of(live, outgoing, &stamp);
            return Ok((stamp, names));
        }
        at += SignedDuration::from_secs(1);
    }
}
