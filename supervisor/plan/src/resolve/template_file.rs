//! Template files and what they include: `{% include "nginx/server.conf.j2" %}`.
//!
//! An included file lies on the search path, is named by a literal in quotes,
//! and sees what the including file sees. Limit: [`INCLUDES_MAX`] in one template.

use std::path::{Path, PathBuf};

use crate::{
    host::machine::Host,
    report::{place::Place, problem::Report},
    resolve::search_path::SearchPath,
};

/// Most files of one template, however deep they are included.
const INCLUDES_MAX: usize = 32;

/// One file of a template.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    /// As `template` or `include` names it.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

impl Part {
    pub(crate) fn place(&self, offset: usize) -> Place {
        Place::in_text(&self.path, &self.text, offset)
    }
}

/// A template with everything that it includes.
#[derive(Clone, Debug)]
pub(crate) struct TemplateFile {
    pub(crate) main: Part,
    pub(crate) included: Vec<Part>,
}

impl TemplateFile {
    /// All files, the including one first.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &Part> {
        std::iter::once(&self.main).chain(&self.included)
    }

    /// The file of that name; the including one where there is none.
    pub(crate) fn part(&self, name: &str) -> &Part {
        let found = self.included.iter().find(|part| part.name == name);
        found.unwrap_or(&self.main)
    }

    /// Reads a template and what it includes; `at` and `key` say who wants it. What is wrong is
    /// reported.
    pub(crate) fn read(
        host: &dyn Host,
        report: &mut Report,
        places: &SearchPath,
        name: &str,
        at: &Place,
        key: &str,
    ) -> Option<Self> {
        let mut file = Self {
            main: part(host, report, places, name, at, key)?,
            included: Vec::new(),
        };
        let mut next = 0;
        loop {
            let part = file.parts().nth(next).cloned();
            let Some(part) = part else {
                return Some(file);
            };
            next += 1;
            for (offset, name) in includes(&part.text) {
                let at = part.place(offset);
                if file.included.iter().any(|known| known.name == name) {
                    continue;
                }
                if file.included.len() == INCLUDES_MAX {
                    let message = format!("includes more than {INCLUDES_MAX} files");
                    report.error(&at, key, message);
                    return None;
                }
                file.included
                    .push(self::part(host, report, places, name, &at, key)?);
            }
        }
    }
}

/// Reads one file from the search path.
fn part(
    host: &dyn Host,
    report: &mut Report,
    places: &SearchPath,
    name: &str,
    at: &Place,
    key: &str,
) -> Option<Part> {
    let relative = Path::new(name);
    let inside = relative
        .components()
        .all(|part| matches!(part, std::path::Component::Normal(_)));
    if !inside || name.is_empty() {
        let message = "must be a path below services.d, without `..`";
        report.error(at, key, message);
        return None;
    }
    let (path, text) = places.read(host, report, "template", name, at, key)?;
    let name = name.to_owned();
    Some(Part { name, path, text })
}

/// Offset and name of each `{% include "NAME" %}`.
fn includes(text: &str) -> Vec<(usize, &str)> {
    let mut out = Vec::new();
    for (start, _) in text.match_indices("{%") {
        let inner = text[start + 2..]
            .trim_start_matches(['-', '+'])
            .trim_start();
        let Some(rest) = inner.strip_prefix("include").map(str::trim_start) else {
            continue;
        };
        let Some(quote) = rest.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
            continue;
        };
        if let Some((name, _)) = rest[1..].split_once(quote) {
            out.push((text.len() - rest.len(), name));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::includes;

    #[test]
    fn includes_are_found_in_every_spelling() {
        let text = "a {% include \"x/y.j2\" %}{%- include 'z' -%}\n{% included %}{{ include }}";
        assert_eq!(includes(text), [(13, "x/y.j2"), (36, "z")]);
    }
}
