//! Lines of rendered files for people: which of them a new plan changes, and the one that a
//! checking program complains of.
//!
//! No secret is in them: a file that holds one is not quoted at all, and of the others no line that
//! looks like one, nor any that came as it is from a setting of several lines.

use std::collections::BTreeMap;

use crate::{
    model::{HIDDEN, RenderedFile},
    read::secrecy::looks_secret,
};

/// A longer line is cut, in characters.
const LINE_MAX: usize = 200;

/// Lines that were there, and lines that will be, each in its order.
pub type Changed = (Vec<String>, Vec<String>);

/// The lines in which two versions of a file differ; none where they may not be shown. Blank lines
/// and the order of lines do not count.
pub fn changed(old: &RenderedFile, new: &RenderedFile) -> Option<Changed> {
    if old.secret || new.secret {
        return None;
    }
    Some((missing(old, &new.content), missing(new, &old.content)))
}

/// Lines of a file that the other text has not, or not as often.
fn missing(file: &RenderedFile, other: &str) -> Vec<String> {
    let mut known: BTreeMap<&str, usize> = BTreeMap::new();
    for line in other.lines() {
        *known.entry(line.trim()).or_default() += 1;
    }
    let mut lines = Vec::new();
    for line in file
        .content
        .lines()
        .map(str::trim)
        .filter(|it| !it.is_empty())
    {
        match known.get_mut(line) {
            Some(count) if *count > 0 => *count -= 1,
            _ => lines.push(quoted(file, line)),
        }
    }
    lines
}

/// The line that a message means by `CANDIDATE:12`, with its number.
pub fn meant(file: &RenderedFile, message: &str) -> Option<(usize, String)> {
    let name = format!("{}:", file.candidate.display());
    let (_, rest) = message.split_once(&name)?;
    let end = rest
        .find(|it: char| !it.is_ascii_digit())
        .unwrap_or(rest.len());
    let number: usize = rest[..end].parse().ok()?;
    if file.secret {
        return None;
    }
    let line = file.content.lines().nth(number.checked_sub(1)?)?.trim();
    Some((number, quoted(file, line)))
}

fn quoted(file: &RenderedFile, line: &str) -> String {
    let name = line.split([' ', '=', '\t']).next().unwrap_or_default();
    if file.private.contains(line) || looks_secret(name, line) {
        return HIDDEN.to_owned();
    }
    if line.chars().count() <= LINE_MAX {
        return line.to_owned();
    }
    let start: String = line.chars().take(LINE_MAX).collect();
    format!("{start}…")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::model::OnChange;

    fn file(content: &str, secret: bool) -> RenderedFile {
        RenderedFile {
            path: "/run/x.conf".into(),
            content: content.to_owned(),
            mode: 0o644,
            user: None,
            group: None,
            validate: Vec::new(),
            candidate: "/run/.x.conf.candidate".into(),
            on_change: OnChange::Reload,
            create_only: false,
            secret,
            private: BTreeSet::new(),
        }
    }

    #[test]
    fn lines_that_an_administrator_wrote_as_they_are_are_not_told() {
        let old = file("a 1\n", false);
        let mut new = file("a 1\n  proxy_set_header X-Api hush;\nb 2\n", false);
        new.private
            .insert("proxy_set_header X-Api hush;".to_owned());
        let (_, come) = changed(&old, &new).unwrap();
        assert_eq!(come, [HIDDEN, "b 2"]);
        let words = "in /run/.x.conf.candidate:2";
        assert_eq!(meant(&new, words), Some((2, HIDDEN.to_owned())));
        assert!(!format!("{new:?}").contains("hush"));
    }

    #[test]
    fn only_lines_that_differ_are_told() {
        let old = file("a 1\n\n  b 2\nc 3\nc 3\n", false);
        let new = file("a 1\nb 2\n\nc 3\nd 4\n", false);
        let (before, after) = changed(&old, &new).unwrap();
        assert_eq!((before, after), (vec!["c 3".into()], vec!["d 4".into()]));
        assert_eq!(changed(&old, &old), Some((Vec::new(), Vec::new())));
    }

    #[test]
    fn no_secret_is_told() {
        let old = file("a 1", false);
        let new = file("requirepass hunter2", false);
        let told = format!(
            "{:?}",
            changed(&old, &file("url http://u:hunter2@h/", false))
        );
        assert!(told.contains(HIDDEN) && !told.contains("hunter2"), "{told}");
        let told = format!(
            "{:?}",
            changed(
                &old,
                &file("primary_conninfo = 'host=h password=hunter2'", false)
            )
        );
        assert!(!told.contains("hunter2"), "{told}");
        assert_eq!(changed(&old, &file(&new.content, true)), None);
        let words = "in /run/.x.conf.candidate:1";
        assert_eq!(meant(&file(&new.content, true), words), None);
    }

    #[test]
    fn the_line_that_a_program_means_is_found() {
        let file = file("user www;\n  locaton / { }\n", false);
        let words = r#"unknown directive "locaton" in /run/.x.conf.candidate:2"#;
        assert_eq!(meant(&file, words), Some((2, "locaton / { }".to_owned())));
        for words in [
            "in /run/.x.conf.candidate:0",
            "in /run/.x.conf.candidate:3",
            "in /run/.x.conf.candidate: what",
            "in /etc/mime.types:2",
        ] {
            assert_eq!(meant(&file, words), None, "{words}");
        }
    }
}
