//! Finding programs where distributions put them, and what a file on this host says.
//!
//! A service may be able to write such a file, or to replace it by a link to another. So no content
//! reaches a value or a message unless it has the form that is expected there.
//!
//! All matches of all patterns count: the newest version (what `*` stands for, 9 < 10 < 15)
//! first, then the order of the patterns. Where `version_file` exists, the match must be of the
//! version it names.

use std::{cmp::Ordering, io, path::Path};

use crate::{
    declare::{allowed::allowed, setting::Setting},
    read::{document::Node, form, typed::Typed},
    resolve::{
        locals::Locals,
        outcome::{Eval, TemplateSource},
        resolver::Resolver,
    },
};

/// The path of a setting with `find`. An error says what is missing on this host.
pub(crate) fn find(
    resolver: &mut Resolver<'_>,
    namespace: &str,
    setting: &Setting,
    key: &str,
) -> Result<Option<String>, String> {
    let mut matches: Vec<(String, usize, String)> = Vec::new();
    for (order, node) in setting.find.iter().enumerate() {
        let Some(pattern) = rendered(resolver, namespace, node, &format!("settings.{key}.find"))
        else {
            continue;
        };
        for path in resolver.host.glob(&pattern) {
            if let Some(path) = path.to_str() {
                matches.push((starred(&pattern, path), order, path.to_owned()));
            }
        }
    }
    matches.sort_by(|a, b| compare(&b.0, &a.0).then(a.1.cmp(&b.1)));
    let Some(wanted) = wanted_version(resolver, namespace, setting, key)? else {
        return Ok(matches.into_iter().next().map(|(_, _, path)| path));
    };
    let fitting = matches
        .iter()
        .find(|(version, ..)| *version == wanted)
        .or_else(|| matches.iter().find(|(version, ..)| version.is_empty()));
    match fitting {
        Some((_, _, path)) => Ok(Some(path.clone())),
        None if matches.is_empty() => Ok(None),
        None => {
            let others: Vec<&str> = matches
                .iter()
                .map(|(version, ..)| version.as_str())
                .collect();
            Err(format!(
                "{key} of version {wanted} was not found, only of {}",
                others.join(", ")
            ))
        }
    }
}

/// The first line of the file that a setting's `read` names. None: there is no such file, it is
/// empty, it is not for us to read, or the line is nothing that the setting could be, which is
/// reported without repeating it.
pub(crate) fn read(
    resolver: &mut Resolver<'_>,
    namespace: &str,
    setting: &Setting,
    key: &str,
) -> Option<Typed> {
    let node = setting.read.as_ref()?;
    let dotted = format!("settings.{key}.read");
    let path = rendered(resolver, namespace, node, &dotted)?;
    let line = if let Some(before) = &setting.read_after {
        resolver.host.word_after(Path::new(&path), before)?
    } else {
        let bytes = resolver.host.read_guest(Path::new(&path)).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        text.lines().next().unwrap_or_default().trim().to_owned()
    };
    if line.is_empty() {
        return None;
    }
    let value = Typed::parse(setting.ty, &line).and_then(|value| allowed(setting, value));
    if value.is_err() {
        let message = format!(
            "{path} does not hold {}, and is not used",
            setting.ty.what()
        );
        resolver.report.warning(&node.at, dotted, message);
    }
    value.ok()
}

fn wanted_version(
    resolver: &mut Resolver<'_>,
    namespace: &str,
    setting: &Setting,
    key: &str,
) -> Result<Option<String>, String> {
    let Some(node) = &setting.version_file else {
        return Ok(None);
    };
    let Some(path) = rendered(
        resolver,
        namespace,
        node,
        &format!("settings.{key}.version_file"),
    ) else {
        return Ok(None);
    };
    match resolver.host.read_guest(Path::new(&path)) {
        Ok(bytes) => match String::from_utf8_lossy(&bytes).trim() {
            "" => Ok(None),
            version if form::is_version(version) => Ok(Some(version.to_owned())),
            _ => Err(format!("{path} does not hold a version to choose {key} by")),
        },
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(format!("cannot read {path} to choose {key}: {error}")),
    }
}

fn rendered(
    resolver: &mut Resolver<'_>,
    namespace: &str,
    node: &Node,
    key: &str,
) -> Option<String> {
    match resolver.eval(
        namespace,
        node.text()?,
        TemplateSource::Value(&node.at),
        key,
        &Locals::NONE,
    ) {
        Eval::Set { value, .. } => Some(value.to_string()),
        _ => None,
    }
}

/// Text that the first `*` of a pattern matches in a path.
fn starred(pattern: &str, path: &str) -> String {
    let Some((before, after)) = pattern.split_once('*') else {
        return String::new();
    };
    let Some(rest) = path.strip_prefix(before) else {
        return String::new();
    };
    let literal = &after[..after.find(['*', '?', '[']).unwrap_or(after.len())];
    let end = if literal.is_empty() || literal == after {
        rest.len()
            .checked_sub(literal.len())
            .filter(|end| rest.get(*end..) == Some(literal))
    } else {
        rest.find(literal)
    };
    rest[..end.unwrap_or(rest.len())].to_owned()
}

/// Order of versions: runs of digits by value, all else by letter.
fn compare(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        match (a.chars().next(), b.chars().next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(x), Some(y)) if x.is_ascii_digit() && y.is_ascii_digit() => {
                let (left, after_a) = digits(a);
                let (right, after_b) = digits(b);
                let order = left.len().cmp(&right.len()).then(left.cmp(right));
                if order != Ordering::Equal {
                    return order;
                }
                (a, b) = (after_a, after_b);
            }
            (Some(x), Some(y)) => {
                if x != y {
                    return x.cmp(&y);
                }
                (a, b) = (&a[x.len_utf8()..], &b[y.len_utf8()..]);
            }
        }
    }
}

fn digits(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    (text[..end].trim_start_matches('0'), &text[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(compare("9", "10"), Ordering::Less);
        assert_eq!(compare("15", "9.6"), Ordering::Greater);
        assert_eq!(compare("15.10", "15.9"), Ordering::Greater);
        assert_eq!(compare("", "9"), Ordering::Less);
    }

    #[test]
    fn the_star_is_the_version() {
        assert_eq!(
            starred("/usr/lib/db/*/bin/server", "/usr/lib/db/15/bin/server"),
            "15"
        );
        assert_eq!(starred("/usr/pgsql-*/bin/x", "/usr/pgsql-9.6/bin/x"), "9.6");
        assert_eq!(starred("/opt/x-*", "/opt/x-3"), "3");
        assert_eq!(starred("/opt/*/lib*/x", "/opt/7/lib64/x"), "7");
        assert_eq!(starred("/usr/bin/x", "/usr/bin/x"), "");
    }
}
