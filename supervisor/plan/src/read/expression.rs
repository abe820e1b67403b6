//! Where a text is a template, seen by its braces alone: no engine is needed to tell.

/// Whether a string has anything to render.
pub(crate) fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%") || text.contains("{#")
}

/// The expression of a string that is one `{{ expression }}` and nothing else.
pub(crate) fn lone(text: &str) -> Option<&str> {
    let inner = text.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    let inner = inner.strip_prefix('-').unwrap_or(inner);
    let inner = inner.strip_suffix('-').unwrap_or(inner);
    (!inner.contains("{{") && !inner.contains("}}")).then_some(inner.trim())
}

/// The dotted name of a string that is one `{{ name }}` and nothing else.
pub(crate) fn lone_name(text: &str) -> Option<&str> {
    lone(text).filter(|inner| {
        !inner.is_empty()
            && inner
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.')
            && !inner.starts_with(|c: char| c.is_ascii_digit())
            && !matches!(*inner, "true" | "false" | "none")
    })
}
