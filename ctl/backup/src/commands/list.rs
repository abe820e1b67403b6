//! `ctl backup list`: prints the backups of a directory, and the safety copy of the last restore.

use std::fmt::Write as _;

use mattervisor_backup::{
    Error,
    list::{Listed, list},
    manifest::Mode,
    restore::{self, Safety},
};
use serde_json::json;

use super::{Place, Session, restore::told_copy};

pub(super) fn run(here: &Session<'_>, place: &Place) -> Result<u8, Error> {
    let target = here.target(place.to.as_deref())?;
    let all = list(&target)?;
    let safety = safety(here, place)?;
    if here.is_json() {
        here.json(&json!({ "backups": all, "safety": safety }))?;
        return Ok(0);
    }
    if all.is_empty() {
        here.print(&format!(
            "there are no backups in {}\n",
            target.path().display()
        ));
    } else {
        here.print(&table(&all));
    }
    if let Some(safety) = safety {
        here.print(&format!(
            "Kept besides: {}\n  ctl restore --undo brings it back, ctl restore --forget removes it\n",
            told_copy(&safety)
        ));
    }
    Ok(0)
}

/// The safety copy of the last restore; only for this machine's own directory of backups.
fn safety(here: &Session<'_>, place: &Place) -> Result<Option<Safety>, Error> {
    if place.to.is_some() {
        return Ok(None);
    }
    restore::safety(&here.configuration()?, &here.stop)
}

fn table(all: &[Listed]) -> String {
    let mut out = String::new();
    let heads = (
        "BACKUP",
        "STATE",
        "SIZE",
        "MATTERMOST",
        "POSTGRESQL",
        "MADE",
    );
    row(&mut out, heads);
    for Listed {
        name,
        bytes,
        state,
        says,
        ..
    } in all
    {
        let size = text::size(*bytes);
        let (mattermost, postgresql, made) = match says {
            Some(says) => (
                says.mattermost.as_deref().unwrap_or("-"),
                says.postgresql.split(' ').next().unwrap_or("-"),
                match (says.mode, says.left_out) {
                    (Mode::Online, false) => "online",
                    (Mode::Offline, false) => "offline",
                    (Mode::Online, true) => "online, parts left out",
                    (Mode::Offline, true) => "offline, parts left out",
                },
            ),
            None => ("-", "-", "-"),
        };
        row(
            &mut out,
            (name, state.word(), &size, mattermost, postgresql, made),
        );
    }
    out
}

fn row(out: &mut String, (name, state, size, mattermost, postgresql, made): Row<'_>) {
    let _ = writeln!(
        out,
        "{name:<37}  {state:<10}  {size:>9}  {mattermost:<10}  {postgresql:<10}  {made}"
    );
}

type Row<'a> = (&'a str, &'a str, &'a str, &'a str, &'a str, &'a str);
