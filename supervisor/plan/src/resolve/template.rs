//! Strict templates: a name without value is an error. This module alone compiles and
//! renders templates; others see the values of the engine.

use std::collections::BTreeSet;

use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, Value, escape_formatter,
    syntax::SyntaxConfig,
    value::{Kwargs, ValueKind},
};

use crate::{
    model::Escape,
    read::{expression::lone, typed::plain_text},
    resolve::template_file::TemplateFile,
};

/// Deepest recursion of macros.
const RECURSION_LIMIT: usize = 64;
/// Most instructions of one template: far more than a file needs, and run in a moment.
const FUEL: u64 = 1_000_000;

/// The engine with our filters.
pub(crate) struct Templates {
    env: Environment<'static>,
}

impl std::fmt::Debug for Templates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Templates")
    }
}

impl Templates {
    pub(crate) fn new() -> Self {
        let mut env = Environment::new();
        env.set_undefined_behavior(UndefinedBehavior::Strict);
        env.set_debug(true);
        let syntax = SyntaxConfig::builder()
            .keep_trailing_newline(true)
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build();
        // The delimiters are the engine's own, so there is nothing to be wrong with them.
        env.set_syntax(syntax.unwrap_or_default());
        env.set_recursion_limit(RECURSION_LIMIT);
        env.set_fuel(Some(FUEL));
        env.set_auto_escape_callback(|_| AutoEscape::None);
        env.set_formatter(|out, state, value| match value.kind() {
            ValueKind::Bool | ValueKind::Seq => {
                escape_formatter(out, state, &Value::from(plain_text(value)))
            }
            _ => escape_formatter(out, state, value),
        });
        env.add_filter("string", |value: &Value| {
            if value.is_undefined() {
                return Err(Error::from(ErrorKind::UndefinedError));
            }
            Ok(plain_text(value))
        });
        env.add_filter("dirname", |path: String| match path.rsplit_once('/') {
            Some(("", _)) => "/".to_owned(),
            Some((dir, _)) => dir.to_owned(),
            None => ".".to_owned(),
        });
        env.add_filter("basename", |path: String| {
            path.rsplit('/').next().unwrap_or_default().to_owned()
        });
        env.add_filter("sh", |text: String| {
            format!("'{}'", text.replace('\'', r"'\''"))
        });
        env.add_filter(
            "quoted",
            |text: String, mark: Option<String>, escape: Option<String>, options: Kwargs| {
                quoted(text, mark.as_deref(), escape.as_deref(), &options)
            },
        );
        env.add_filter("regex_escape", |text: String| regex_lite::escape(&text));
        env.add_filter("bytes", |text: String| {
            text::parse_size(&text).map_err(|why| Error::new(ErrorKind::InvalidOperation, why))
        });
        env.add_filter("ms", |text: String| {
            text::parse_duration(&text).map_err(|why| Error::new(ErrorKind::InvalidOperation, why))
        });
        env.add_filter("seconds", |text: String| {
            text::parse_duration(&text)
                .map(|ms| ms / 1000)
                .map_err(|why| Error::new(ErrorKind::InvalidOperation, why))
        });
        Self { env }
    }

    /// An engine that escapes values as the form of the file needs it.
    pub(crate) fn escaping(escape: Escape) -> Self {
        let mut templates = Self::new();
        let auto = move |_: &str| match escape {
            Escape::Html => AutoEscape::Html,
            Escape::Json => AutoEscape::Json,
            Escape::None => AutoEscape::None,
        };
        templates.env.set_auto_escape_callback(auto);
        if escape == Escape::Json {
            templates.env.set_formatter(escape_formatter);
        }
        templates
    }

    /// The dotted names a text uses; globals of the engine are left out.
    pub(crate) fn names(&self, text: &str) -> Result<BTreeSet<String>, Error> {
        let template = self.env.template_from_named_str("value", text)?;
        let globals: BTreeSet<&str> = self.env.globals().map(|(name, _)| name).collect();
        Ok(template
            .undeclared_variables(true)
            .into_iter()
            .filter(|name| !globals.contains(name.split('.').next().unwrap_or_default()))
            .collect())
    }

    /// Renders; a lone expression keeps its type, all else is a string.
    pub(crate) fn render(&self, text: &str, context: &Value) -> Result<Value, Error> {
        if let Some(expression) = lone(text) {
            let value = self
                .env
                .compile_expression(expression)?
                .eval(context.clone())?;
            if has_undefined(&value) {
                return Err(ErrorKind::UndefinedError.into());
            }
            return Ok(value);
        }
        self.render_text(text, context).map(Value::from)
    }

    /// Renders a file and what it includes to a string.
    pub(crate) fn render_file(
        &self,
        file: &TemplateFile,
        context: &Value,
    ) -> Result<String, Error> {
        let parts = file.parts();
        self.render_parts(parts.map(|it| (&*it.name, &*it.text)), context)
    }

    /// Renders the first of some texts, which may include the others by their names.
    pub(crate) fn render_parts<'t>(
        &self,
        mut parts: impl Iterator<Item = (&'t str, &'t str)>,
        context: &Value,
    ) -> Result<String, Error> {
        let (_, main) = parts.next().unwrap_or_default();
        let mut env: Environment<'t> = self.env.clone();
        for (name, text) in parts {
            env.add_template(name, text)?;
        }
        env.template_from_named_str("value", main)?
            .render(context.clone())
    }

    /// Renders to a string.
    fn render_text(&self, text: &str, context: &Value) -> Result<String, Error> {
        self.env
            .template_from_named_str("value", text)?
            .render(context.clone())
    }
}

/// The engine puts an undefined value into a list silently; the list would lose an item.
fn has_undefined(value: &Value) -> bool {
    let mut items = match value.kind() {
        ValueKind::Undefined => return true,
        ValueKind::Seq | ValueKind::Iterable => value.try_iter().into_iter().flatten(),
        _ => return false,
    };
    items.any(|item| has_undefined(&item))
}

/// Filter `quoted`: puts quotes around a text, and escapes quotes and escapes in it:
/// `"…"` with backslashes unless told otherwise. `quoted("'")` is `'…'` with backslashes,
/// `quoted('"', '"')` doubles quotes. `when_needed=true` leaves a plain word as it is.
fn quoted(
    text: String,
    mark: Option<&str>,
    escape: Option<&str>,
    options: &Kwargs,
) -> Result<String, Error> {
    let when_needed: Option<bool> = options.get("when_needed")?;
    options.assert_all_used()?;
    let word = |c: char| c.is_ascii_alphanumeric() || "_-./:@%+,".contains(c);
    if when_needed == Some(true) && !text.is_empty() && text.chars().all(word) {
        return Ok(text);
    }
    let mark = mark.unwrap_or("\"");
    let escape = escape.unwrap_or("\\");
    let mut inner = text;
    if escape != mark {
        inner = inner.replace(escape, &format!("{escape}{escape}"));
    }
    let inner = inner.replace(mark, &format!("{escape}{mark}"));
    Ok(format!("{mark}{inner}{mark}"))
}

/// The innermost error: the engine wraps an error of an included template.
pub(crate) fn innermost(error: &Error) -> &Error {
    let mut error = error;
    while error.kind() == ErrorKind::BadInclude
        && let Some(inner) = std::error::Error::source(error)
        && let Some(inner) = inner.downcast_ref::<Error>()
    {
        error = inner;
    }
    error
}

/// The first `{{`, `{%` or block of a text that has no end.
pub(crate) fn unclosed(text: &str) -> Option<String> {
    const BLOCKS: &[&str] = &["if", "for", "macro", "filter", "block", "call"];
    let mut open: Vec<(&str, usize)> = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("{{").into_iter().chain(rest.find("{%")).min() {
        let close = if rest[start..].starts_with("{{") {
            "}}"
        } else {
            "%}"
        };
        let line = text[..text.len() - rest.len() + start]
            .matches('\n')
            .count()
            + 1;
        let behind = start + 2;
        let Some(end) = rest[behind..].find(close).map(|end| behind + end) else {
            let begin = &rest[start..behind];
            return Some(format!("the {begin} in line {line} has no {close}"));
        };
        let word = rest[behind..end].trim_matches(['-', '+', ' ', '\n', '\t']);
        let word = word.split_whitespace().next().unwrap_or_default();
        if close == "%}" {
            if BLOCKS.contains(&word) {
                open.push((word, line));
            } else if word
                .strip_prefix("end")
                .is_some_and(|end| BLOCKS.contains(&end))
            {
                open.pop();
            }
        }
        rest = &rest[end + 2..];
    }
    let (word, line) = open.pop()?;
    Some(format!(
        "the {{% {word} %}} in line {line} has no {{% end{word} %}}"
    ))
}

/// The engine's message without place, which the report has.
pub(crate) fn explain(error: &Error) -> String {
    let named = matches!(
        error.kind(),
        ErrorKind::UnknownFilter | ErrorKind::UnknownFunction | ErrorKind::UnknownTest
    );
    let mut text = match error.detail() {
        _ if error.kind() == ErrorKind::OutOfFuel => {
            "does more than a template may: is there a loop without end?".to_owned()
        }
        Some(detail) if named => detail.to_owned(),
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    };
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text.lines().next().unwrap_or_default().to_owned()
}
