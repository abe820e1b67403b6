//! The right name for a wrong one. A name is parts between `_`: sections, and the setting last.

use super::table::{Row, VariableTable};

/// Names that can be meant.
pub(super) struct Names<'t>(Vec<Row<'t>>);

impl<'t> Names<'t> {
    pub(super) fn of(table: &VariableTable<'t>) -> Self {
        Self(table.rows().filter(|row| !row.never()).collect())
    }

    fn all(&self) -> impl Iterator<Item = &'t str> {
        self.0.iter().map(|row| row.name)
    }

    /// The setting whose name this one begins with, up to a `_`.
    pub(super) fn beginning(&self, name: &str) -> Option<&'t str> {
        let begins = |row: &&Row<'_>| {
            let rest = name.strip_prefix(row.name);
            row.kind != "any" && rest.is_some_and(|rest| rest.starts_with('_'))
        };
        self.0.iter().find(begins).map(|row| row.name)
    }

    /// The name that is meant: the same setting in another section if there is just one, else the
    /// one that is spelled most alike.
    pub(super) fn near(&self, name: &str) -> Option<&'t str> {
        let last = last(name);
        let mut same = self.all().filter(|known| self::last(known) == last);
        if let (Some(only), None) = (same.next(), same.next())
            && last.len() > 3
        {
            return Some(only);
        }
        let near = crate::report::suggest::nearest(name, self.all())?;
        // Names are long and begin alike: what is far off must not pass for a slip of the pen.
        let (wrong, right) = (last.len(), self::last(near).len());
        let distance = strsim::damerau_levenshtein(name, near);
        (distance <= (wrong.min(right) / 3).max(2)).then_some(near)
    }
}

fn last(name: &str) -> &str {
    name.rsplit('_').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_section_the_spelling_or_nothing_is_wrong() {
        let table = "MM_SERVICE_SITEURL\nMM_SERVICE_MINIMUMLENGTH\nMM_SQL_TRACE\nMM_LDAP_TRACE\nMM_CONFIG\tany";
        let names = Names::of(&VariableTable(table));
        assert_eq!(
            names.near("MM_SQL_MINIMUMLENGTH"),
            Some("MM_SERVICE_MINIMUMLENGTH")
        );
        assert_eq!(names.near("MM_SERVICE_SITEURI"), Some("MM_SERVICE_SITEURL"));
        assert_eq!(names.near("MMSERVICE_SITEURL"), Some("MM_SERVICE_SITEURL"));
        assert_eq!(names.near("MM_SQL_TRCE"), Some("MM_SQL_TRACE"));
        assert_eq!(names.near("MM_SERVICE_SOMETHING"), None);
        assert_eq!(names.near("MM_PLUGIN_TOKEN"), None);
        assert_eq!(
            names.beginning("MM_SERVICE_SITEURL_OLD"),
            Some("MM_SERVICE_SITEURL")
        );
        assert_eq!(names.beginning("MM_SERVICE_SITEURLOLD"), None);
        assert_eq!(names.beginning("MM_CONFIG_FILE"), None);
    }
}
