//! Names: of services, of settings, of variables.

/// The identifier that templates use for a name: `-` becomes `_`.
pub(crate) fn ident(name: &str) -> String {
    name.replace('-', "_")
}

/// Whether this can be the name of a service or setting.
pub(crate) fn is_valid_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.len() <= 64
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
}

/// Checks that this can be the name of an environment variable.
pub(crate) fn env_name(name: &str) -> Result<(), String> {
    let first = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let rest = name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
    if first && rest {
        return Ok(());
    }
    Err(format!(
        "`{}` cannot be the name of an environment variable",
        name.escape_debug()
    ))
}
