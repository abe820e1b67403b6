//! The names of backups: `mattermost-2026-11-30T144200Z.tar.zst`, the time in UTC.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

const START: &str = "mattermost-";
const END: &str = ".tar.zst";
const TIME: &str = "%Y-%m-%dT%H%M%SZ";
/// Suffix of an unfinished backup and of its temporary files.
const PARTIAL: &str = ".partial";

/// The name of a backup of this moment.
pub fn of(made: Timestamp) -> String {
    format!("{START}{}{END}", made.strftime(TIME))
}

/// The moment in a backup's name; `None` if it is not such a name.
pub fn moment(name: &str) -> Option<Timestamp> {
    let time = name.strip_prefix(START)?.strip_suffix(END)?;
    let civil = DateTime::strptime(TIME, time).ok()?;
    let made = civil.to_zoned(TimeZone::UTC).ok()?.timestamp();
    // Accepts only the exact form that `of` writes.
    (of(made) == name).then_some(made)
}

/// The name of an unfinished backup.
pub(crate) fn partial(name: &str) -> String {
    format!(".{name}{PARTIAL}")
}

/// Whether this is the name of an unfinished backup.
pub(crate) fn is_partial(name: &str) -> bool {
    let whole = name
        .strip_prefix('.')
        .and_then(|name| name.strip_suffix(PARTIAL));
    whole.is_some_and(|name| moment(name.strip_suffix(".sums").unwrap_or(name)).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_its_moment_and_nothing_else_does() {
        let made: Timestamp = "2026-11-30T14:42:07Z".parse().expect("a time");
        let name = of(made);
        assert_eq!(name, "mattermost-2026-11-30T144207Z.tar.zst");
        assert_eq!(moment(&name), Some(made));
        assert!(is_partial(&partial(&name)));
        assert!(is_partial(
            ".mattermost-2026-11-30T144207Z.tar.zst.sums.partial"
        ));
        for other in [
            "mattermost-2026-11-30T144207Z.tar.zst.bak",
            "mattermost-2026-11-31T144207Z.tar.zst",
            "mattermost-2026-1-30T144207Z.tar.zst",
            "mattermost-old.tar.zst",
            "../mattermost-2026-11-30T144207Z.tar.zst",
        ] {
            assert_eq!(moment(other), None, "{other}");
            assert!(!is_partial(other));
        }
    }
}
