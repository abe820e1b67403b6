//! The local time zone, read afresh: from TZ or `/etc/localtime`. Blocks; not for the control
//! thread.

use std::{env, path::Path};

use jiff::tz::TimeZone;

/// A longer file is no zone.
const ZONE_BYTES_MAX: u64 = 1 << 20;
const LOCALTIME: &str = "/etc/localtime";
const ZONES: &str = "/usr/share/zoneinfo";

/// The zone that schedules go by; UTC where nothing says one.
pub(crate) fn local() -> TimeZone {
    let named = env::var("TZ").ok().filter(|it| !it.is_empty());
    let found = match &named {
        Some(name) => by_name(name),
        None => from_file(Path::new(LOCALTIME)),
    };
    found.unwrap_or_else(|| {
        if let Some(name) = named {
            tracing::warn!("there is no time zone '{name}' (TZ); schedules go by UTC");
        }
        TimeZone::UTC
    })
}

/// Parses TZ as `tzset(3)` does: a file, a rule, or a name of the zone database.
fn by_name(name: &str) -> Option<TimeZone> {
    let name = name.strip_prefix(':').unwrap_or(name);
    if name.starts_with('/') {
        return from_file(Path::new(name));
    }
    let inside = !name.split('/').any(|part| part == "..");
    let in_database = || from_file(&Path::new(ZONES).join(name));
    inside
        .then(in_database)
        .flatten()
        .or_else(|| TimeZone::posix(name).ok())
}

fn from_file(path: &Path) -> Option<TimeZone> {
    let bytes = safe_path::read(path, ZONE_BYTES_MAX).ok()?;
    TimeZone::tzif("", &bytes).ok()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn a_zone_is_a_rule_or_a_file_or_nothing() {
        let summer: Timestamp = "2026-07-01T12:00:00Z".parse().unwrap();
        let hours = |zone: TimeZone| zone.to_offset(summer).seconds() / 3600;
        assert_eq!(by_name("CET-1CEST,M3.5.0,M10.5.0/3").map(hours), Some(2));
        assert_eq!(by_name(":UTC0").map(hours), Some(0));
        assert!(by_name("No/Such_Zone").is_none());
        assert!(by_name("../../../etc/localtime").is_none());
        assert!(from_file(Path::new("/etc/passwd")).is_none());
    }
}
