//! Reduces statements to settings: finds the value of each setting that counts, and reports the
//! other statements.

use super::{
    report::{Disposition, Line, Origin},
    ruby::{Pair, Said, Value, What},
};

/// A setting with the value that counts.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    /// Line of gitlab.rb, from 1.
    pub(super) line: usize,
    /// The statement, without secrets.
    pub(super) text: String,
    /// Section of gitlab.rb; empty for a setting at the top.
    pub(super) section: String,
    pub(super) key: String,
    /// A variable of `SECTION['env']`.
    pub(super) variable: Option<String>,
    pub(super) value: Value,
}

impl Setting {
    /// The setting's name in gitlab.rb.
    pub(super) fn what(&self) -> String {
        let name = name(&self.section, &self.key);
        match &self.variable {
            Some(variable) => format!("{name}['{variable}']"),
            None => name,
        }
    }

    /// The report's line about this setting.
    pub(super) fn became(&self, fate: Disposition, remark: Option<String>) -> Line {
        Line {
            origin: Origin::Line(self.line),
            what: self.what(),
            text: self.text.clone(),
            fate,
            remark,
        }
    }
}

/// `section['key']`, or the key alone at the top.
pub(super) fn name(section: &str, key: &str) -> String {
    if section.is_empty() {
        key.to_owned()
    } else {
        format!("{section}['{key}']")
    }
}

/// The settings that count, in the file's order, and a report line for each other statement.
pub(super) fn settle(said: &[Said]) -> (Vec<Setting>, Vec<Line>) {
    let (mut settings, mut lines) = (Vec::new(), Vec::new());
    for (index, one) in said.iter().enumerate() {
        let fate = match &one.what {
            What::Nothing(why) => Disposition::not_needed(*why),
            What::Odd(why) => Disposition::person(why.clone()),
            What::Set {
                section,
                key,
                value,
                maybe,
                ..
            } => match later(&said[index + 1..], section, key) {
                // The later statement has all variables, and each gets its own line.
                Some((_, true)) if is_env(key, value) => continue,
                Some((line, true)) => Disposition::not_needed(format!(
                    "line {line} goes on with it, and has the whole value"
                )),
                Some((line, false)) if !maybe && is_unknown(&said[index + 1..], line) => {
                    Disposition::person(format!(
                        "line {line} says it again, and its value is not known here: it may hold what this line says"
                    ))
                }
                Some((line, false)) if !maybe => Disposition::not_needed(format!(
                    "line {line} says it again, and the last one counts"
                )),
                _ => {
                    expand(one, section, key, value, &mut settings);
                    continue;
                }
            },
        };
        let what = match &one.what {
            What::Set { section, key, .. } => name(section, key),
            _ => String::new(),
        };
        lines.push(Line {
            origin: Origin::Line(one.line),
            what,
            text: one.text.clone(),
            fate,
            remark: None,
        });
    }
    (settings, lines)
}

fn is_env(key: &str, value: &Value) -> bool {
    key == "env" && matches!(value, Value::Hash(_))
}

/// The next line that certainly sets the same key, and whether that line adds to the value.
fn later(rest: &[Said], section: &str, key: &str) -> Option<(usize, bool)> {
    rest.iter().find_map(|said| match &said.what {
        What::Set {
            section: other,
            key: same,
            adds,
            maybe: false,
            ..
        } if other == section && same == key => Some((said.line, *adds)),
        _ => None,
    })
}

/// Whether the value that a line sets is not known.
fn is_unknown(rest: &[Said], line: usize) -> bool {
    let mut lines = rest.iter().filter(|it| it.line == line);
    lines.any(|it| {
        matches!(
            &it.what,
            What::Set {
                value: Value::Unknown(_),
                ..
            }
        )
    })
}

/// Adds the statement's setting; each variable of an env hash becomes a setting of its own.
fn expand(said: &Said, section: &str, key: &str, value: &Value, settings: &mut Vec<Setting>) {
    let one = Setting {
        line: said.line,
        text: said.text.clone(),
        section: section.to_owned(),
        key: key.to_owned(),
        variable: None,
        value: value.clone(),
    };
    let Value::Hash(pairs) = value else {
        settings.push(one);
        return;
    };
    if key != "env" || pairs.is_empty() {
        settings.push(one);
        return;
    }
    let variable = |pair: &Pair| Setting {
        line: pair.line,
        text: if pair.line == said.line {
            said.text.clone()
        } else {
            String::new()
        },
        variable: pair.key.text(),
        value: pair.value.clone(),
        ..one.clone()
    };
    settings.extend(pairs.iter().map(variable));
}
