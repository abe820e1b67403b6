//! The table of variables: a line each, columns parted by tabs, `#` begins a comment.
//!
//! | column | what |
//! | --- | --- |
//! | name | as the program has it, upper case |
//! | type | `string`, `bool` (as Go reads it), `int`, `list` (parted by single spaces), `json`, `json\|path`, `structs`, `any`; `never`: there is no such variable, and `note` is the right one. Behind it `secret`, or `private` for what may hold a secret |
//! | since | `A..B`: A does not have it yet, B does; `B`: since B; empty: always |
//! | until | `A..B`: A is the last that is known to have it, B the first that is known not to |
//! | dies | `CASE: …`: what the program does then, instead of ignoring the value; the cases are those of [`Death`] |
//! | note | the name that replaces it, or what there is to know |

use super::{
    death::Death,
    version::{Bounds, Version},
};
use crate::{read::secrecy::Secrecy, report::problem::Severity};

/// The whole text.
#[derive(Debug)]
pub(super) struct VariableTable<'t>(pub(super) &'t str);

impl<'t> VariableTable<'t> {
    /// Every row, read as it is come to.
    pub(super) fn rows(&self) -> impl Iterator<Item = Row<'t>> + use<'t> {
        self.lines().filter_map(|(_, line)| Row::read(line))
    }

    /// Each name with its line, which is not read yet.
    pub(super) fn lines(&self) -> impl Iterator<Item = (&'t str, &'t str)> + use<'t> {
        let lines = self.0.lines().filter(|line| !line.starts_with('#'));
        lines.map(|line| (line.split('\t').next().unwrap_or_default(), line))
    }
}

/// One variable.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'t> {
    pub(super) name: &'t str,
    pub(super) kind: &'t str,
    pub(super) secrecy: Secrecy,
    pub(super) since: Option<Bounds>,
    pub(super) until: Option<Bounds>,
    dies: Option<Death<'t>>,
    pub(super) note: &'t str,
}

impl<'t> Row<'t> {
    /// Reads a line of [`VariableTable::lines`].
    pub(super) fn read(line: &'t str) -> Option<Self> {
        let mut columns = line.split('\t');
        let name = columns.next().filter(|name| !name.is_empty())?;
        let mut next = || columns.next().unwrap_or_default();
        let (kind, secrecy) = kind_of(next());
        Some(Self {
            name,
            kind,
            secrecy,
            since: Bounds::read(next()),
            until: Bounds::read(next()),
            dies: Death::read(next()),
            note: next(),
        })
    }

    /// It is here only to say what is meant.
    pub(super) fn never(&self) -> bool {
        self.kind == "never"
    }

    /// Case in which the installed version, which may be unknown, dies.
    pub(super) fn death(&self, installed: Option<Version>) -> Option<Death<'t>> {
        self.dies.filter(|death| death.is_of(installed))
    }

    /// The installed version is known not to have it.
    pub(super) fn lacked_by(&self, installed: Option<Version>) -> bool {
        let age = installed.and_then(|installed| self.age(installed));
        matches!(age, Some((Severity::Warning, _)))
    }

    /// Remark about the variable for the installed version.
    pub(super) fn age(&self, installed: Version) -> Option<(Severity, String)> {
        // Settings come and go with a release, not with its corrections.
        let release = Version(installed.0, installed.1, None);
        if let Some(until) = self.until.filter(|until| release > until.before) {
            let Bounds { before, after } = until;
            return Some(if release >= after {
                let message = format!(
                    "has no effect: {installed} has dropped it ({before} still had it, {after} has not)"
                );
                (Severity::Warning, message)
            } else {
                let message = format!(
                    "may have no effect in {installed}: {before} still had it, {after} has not"
                );
                (Severity::Note, message)
            });
        }
        let Bounds { before, after } = self.since.filter(|since| release < since.after)?;
        Some(if release <= before || before == after {
            let message = format!(
                "has no effect: {installed} does not have it yet, {after} is the first that is known to"
            );
            (Severity::Warning, message)
        } else {
            let message = format!(
                "may have no effect in {installed}: {before} did not have it yet, {after} has"
            );
            (Severity::Note, message)
        })
    }
}

/// The type, and what may be seen of a value.
fn kind_of(column: &str) -> (&str, Secrecy) {
    let (kind, mark) = column.split_once(' ').unwrap_or((column, ""));
    let secrecy = match mark {
        "" if kind != "never" => Secrecy::Public,
        "secret" => Secrecy::Secret,
        _ => Secrecy::Private,
    };
    (kind, secrecy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap()
    }

    #[test]
    fn versions_are_read_and_ordered_by_number() {
        assert!(version("5.36") < version("10.5.0-rc1"));
        assert!(version("7.6") <= version("7.6.2") && version("7.10") > version("7.6.2"));
        assert_eq!(version("v11.6.0").to_string(), "11.6.0");
        for bad in ["", "eleven", "11", "x.1", "11."] {
            assert_eq!(Version::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_version_between_the_bounds_proves_nothing() {
        let line = "A\tbool\t5.5..5.6\t9.0..9.11\t\tB";
        let row = VariableTable(line).rows().next().unwrap();
        let says = |installed: &str| row.age(version(installed)).map(|(severity, _)| severity);
        assert_eq!(says("5.5.1"), Some(Severity::Warning));
        assert_eq!(says("5.6"), None);
        assert_eq!(says("9.0.7"), None);
        assert_eq!(says("9.5"), Some(Severity::Note));
        assert_eq!(says("9.11.3"), Some(Severity::Warning));
        let row = VariableTable("A\tjson\t7.5\t\t\t").rows().next().unwrap();
        assert!(row.age(version("7.4.9")).is_some() && row.age(version("7.5")).is_none());
    }
}
