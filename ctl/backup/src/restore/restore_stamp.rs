//! The moment that names what a restore makes: its databases, and its directories beside the live files.
//!
//! Two restores may come in one second, and a clock may be set back. What has the same name would be filled as if
//! it were new, and removed if the restore fails, a safety copy like anything else. So the moment is one that
//! nothing has which is there, the first of those from now on.

use jiff::{SignedDuration, Timestamp};
use safe_path::Account;

use super::{
    database::Databases,
    journal::{Held, Renames, Stash},
    swap,
};
use crate::Error;

const FORM: &str = "%Y%m%dt%H%M%Sz";

/// Names that nothing has, and the moment that is in them. `stashes` says which directories a moment names.
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
