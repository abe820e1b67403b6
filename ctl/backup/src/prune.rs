//! Removes old backups.
//!
//! Invariant: only files with a backup's name and form are removed, never the newest good backup,
//! and none at all if the newest backup is bad or no backup is good, because the administrator may
//! then need an old one. A backup is good if it was read to its end, is intact, and lacks no file.

use jiff::{Timestamp, ToSpan};
use serde::Serialize;

use crate::{
    Error,
    configuration::Keep,
    list::{Listed, State, list},
    target::{Held, Target},
};

/// The decision: which backups go and which stay.
#[derive(Clone, Debug, Serialize)]
pub struct Pruned {
    /// Names of the backups to remove, oldest first.
    pub remove: Vec<String>,
    /// Names of the backups that stay.
    pub stay: Vec<String>,
    /// Why nothing is removed, whatever the rules say.
    pub held_back: Option<HeldBack>,
}

/// Why nothing is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeldBack {
    /// Neither `backup.keep` nor `backup.keep_days` is set.
    NoRule,
    /// No backup was verified.
    NoneGood,
    /// The newest backup is damaged.
    NewestBad,
}

impl HeldBack {
    /// The reason in words, for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::NoRule => {
                "nothing says how many backups to keep: set backup.keep or backup.keep_days"
            }
            Self::NoneGood => "no backup is known to be good: verify one first",
            Self::NewestBad => "the newest backup is damaged: make another one first",
        }
    }
}

/// Applies the rules to the backups of a directory.
///
/// # Errors
/// The directory cannot be read.
pub fn prune(target: &Target, keep: Keep, now: Timestamp) -> Result<Pruned, Error> {
    Ok(judge(&list(target)?, keep, now))
}

/// Removes the backups of a decision.
///
/// # Errors
/// A backup that cannot be removed; the backups before it are removed.
pub fn remove(held: &Held, pruned: &Pruned) -> Result<(), Error> {
    for name in &pruned.remove {
        held.remove(name)?;
    }
    Ok(())
}

fn judge(all: &[Listed], keep: Keep, now: Timestamp) -> Pruned {
    let held_back = held_back(all, keep);
    let mut good = 0;
    let (mut remove, mut stay) = (Vec::new(), Vec::new());
    for one in all.iter().rev() {
        let by_number = keep.newest.is_some_and(|newest| good < newest);
        let by_age = keep.days.is_some_and(|days| {
            let oldest = now.checked_sub((24 * i64::from(days)).hours());
            oldest.is_ok_and(|oldest| one.made >= oldest)
        });
        let is_newest_good = one.state == State::Good && good == 0;
        if one.state == State::Good {
            good += 1;
        }
        let stays = held_back.is_some()
            || by_number
            || by_age
            || is_newest_good
            || good == 0
            || one.state == State::Foreign;
        let list = if stays { &mut stay } else { &mut remove };
        list.push(one.name.clone());
    }
    remove.reverse();
    stay.reverse();
    Pruned {
        remove,
        stay,
        held_back,
    }
}

fn held_back(all: &[Listed], keep: Keep) -> Option<HeldBack> {
    let newest = all.iter().rev().find(|one| one.state != State::Foreign);
    if keep == Keep::default() {
        Some(HeldBack::NoRule)
    } else if newest.is_some_and(|newest| newest.state == State::Bad) {
        Some(HeldBack::NewestBad)
    } else if !all.iter().any(|one| one.state == State::Good) {
        Some(HeldBack::NoneGood)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name;

    const NOW: &str = "2026-11-30T12:00:00Z";

    /// One backup for each day, the last one today: `g`ood, `u`nverified, `b`ad, `i`ncomplete,
    /// `f`oreign.
    fn days(states: &str) -> Vec<Listed> {
        let now: Timestamp = NOW.parse().expect("a time");
        let count = states.len();
        let one = |(number, state)| {
            let hours = 24 * i64::try_from(count - 1 - number).expect("few");
            let made = now.checked_sub(hours.hours()).expect("a time");
            Listed {
                name: name::of(made),
                made,
                bytes: 1,
                state: match state {
                    'g' => State::Good,
                    'u' => State::Unverified,
                    'b' => State::Bad,
                    'i' => State::Incomplete,
                    _ => State::Foreign,
                },
                says: None,
            }
        };
        states.chars().enumerate().map(one).collect()
    }

    /// A letter for each backup: `-` goes, `+` stays.
    fn judged(states: &str, newest: Option<u32>, days_kept: Option<u32>) -> String {
        let all = days(states);
        let keep = Keep {
            newest,
            days: days_kept,
        };
        let judged = judge(&all, keep, NOW.parse().expect("a time"));
        let letter = |one: &Listed| {
            if judged.remove.contains(&one.name) {
                '-'
            } else {
                '+'
            }
        };
        all.iter().map(letter).collect()
    }

    #[test]
    fn only_good_ones_count() {
        assert_eq!(judged("gggggg", Some(2), None), "----++");
        assert_eq!(judged("ggguuu", Some(2), None), "-+++++");
        assert_eq!(judged("gbguig", Some(2), None), "--++++");
    }

    #[test]
    fn the_last_good_one_stays_whatever_its_age() {
        assert_eq!(judged("gguuuu", None, Some(2)), "-+++++");
        assert_eq!(judged("gggggg", None, Some(2)), "---+++");
        assert_eq!(judged("ggguui", Some(0), None), "--++++");
    }

    #[test]
    fn nothing_goes_after_a_failure_or_without_a_good_one_or_a_rule() {
        assert_eq!(judged("gggggb", Some(1), Some(1)), "++++++");
        assert_eq!(judged("uuuuuu", Some(1), None), "++++++");
        assert_eq!(judged("gggggg", None, None), "++++++");
        assert_eq!(judged("", Some(1), None), "");
    }

    #[test]
    fn what_is_not_ours_stays() {
        assert_eq!(judged("fgfggf", Some(1), None), "+-+-++");
    }
}
