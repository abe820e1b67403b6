//! Reading the values of one service file: literals and templates alike, each as its key's type.
//!
//! A disabled service is checked, not rendered: its templates must be well formed and use known
//! names, but what they need may be unset.

use std::{collections::BTreeMap, path::PathBuf};

use crate::{
    read::{
        document::{Kind, Node},
        expression::is_template,
        fields::Fields,
        signal,
        typed::{Type, Typed},
    },
    report::{
        place::Place,
        problem::{Problem, Report},
    },
    resolve::{
        locals::Locals,
        outcome::{Eval, TemplateSource},
        resolver::Resolver,
        template_file::TemplateFile,
    },
    service::env::written::Written,
};

/// Reads the values of one service.
pub(crate) struct Reader<'r, 'a> {
    pub(crate) resolver: &'r mut Resolver<'a>,
    /// Identifier of the service.
    pub(crate) namespace: String,
    /// Whether templates are rendered; else only checked.
    pub(crate) render: bool,
    /// Why the service cannot run on this host.
    pub(crate) broken: Option<String>,
    /// Names that templates see at this place alone.
    pub(crate) locals: Locals,
    /// Where the variables of the environment were written, once it has been read.
    pub(crate) written: BTreeMap<String, Written>,
}

/// A value and whether it must be hidden.
pub(crate) type Found = (Typed, bool);

impl Reader<'_, '_> {
    pub(crate) fn report(&mut self) -> &mut Report {
        self.resolver.report
    }

    /// A value as its type. None: not available, and reported where that is wrong.
    /// `optional`: a lone name without value means that the key is absent.
    pub(crate) fn typed(
        &mut self,
        node: &Node,
        key: &str,
        ty: Type,
        optional: bool,
    ) -> Option<Found> {
        let Some(text) = node.text().filter(|text| is_template(text)) else {
            return match Typed::from_node(ty, node) {
                Ok(value) => Some((value, false)),
                Err(why) => {
                    self.report().error(&node.at, key, why);
                    None
                }
            };
        };
        let (value, secret) = self.eval(text, TemplateSource::Value(&node.at), key, optional)?;
        match Typed::from_value(ty, &value) {
            Ok(value) => Some((value, secret)),
            Err(why) => {
                let why = if secret {
                    "has a secret value that its type does not allow".to_owned()
                } else {
                    why
                };
                self.blame(node, key, why);
                None
            }
        }
    }

    /// Reports a wrong value at the place where the site file gives it, or else at the node.
    pub(crate) fn blame(&mut self, node: &Node, key: &str, why: String) -> &mut Problem {
        let name = node.text().and_then(crate::read::expression::lone_name);
        let given = name.and_then(|name| self.resolver.given(&self.namespace, name));
        let (at, key) = given.unwrap_or_else(|| (node.at.clone(), key.to_owned()));
        self.report().error(&at, key, why)
    }

    /// The value of a template.
    pub(crate) fn eval(
        &mut self,
        text: &str,
        origin: TemplateSource<'_>,
        key: &str,
        optional: bool,
    ) -> Option<(minijinja::Value, bool)> {
        let locals = self.locals.clone();
        if !self.render {
            self.resolver
                .names(&self.namespace, text, origin, key, &locals);
            return None;
        }
        match self
            .resolver
            .eval(&self.namespace, text, origin, key, &locals)
        {
            Eval::Set { value, secret } => Some((value, secret)),
            Eval::Unset {
                missing: Some(reason),
            }
            | Eval::Broken(reason) => {
                self.broken.get_or_insert(reason);
                None
            }
            Eval::Unset { missing: None } if optional => None,
            Eval::Unset { missing: None } => {
                if let TemplateSource::Value(at) = origin {
                    let name = crate::read::expression::lone_name(text).unwrap_or(text);
                    let file = self.resolver.site.path.display();
                    let full = self.resolver.full_name(&self.namespace, name);
                    let hint = format!("set `{full}` in {file}");
                    self.report()
                        .error(at, key, format!("needs `{name}`, which is not set"))
                        .hint(hint);
                }
                None
            }
            Eval::Failed => None,
        }
    }

    /// A template and what it includes; `at` and `key` say who wants it.
    pub(crate) fn template_file(
        &mut self,
        name: &str,
        at: &Place,
        key: &str,
    ) -> Option<TemplateFile> {
        let resolver = &mut *self.resolver;
        let (host, places) = (resolver.host, &resolver.search_path);
        TemplateFile::read(host, resolver.report, places, name, at, key)
    }

    /// A string that may not be secret, without NUL.
    pub(crate) fn text(&mut self, node: &Node, key: &str) -> Option<String> {
        let (value, _) = self.typed(node, key, Type::Text, false)?;
        let text = value.text();
        if text.contains('\0') {
            self.report().error(&node.at, key, "cannot contain a NUL");
            return None;
        }
        Some(text)
    }

    pub(crate) fn text_key(
        &mut self,
        fields: &mut Fields<'_>,
        key: &'static str,
    ) -> Option<String> {
        let node = fields.node(key)?;
        self.text(node, &fields.key(key))
    }

    /// Words for people, in one line.
    pub(crate) fn words_key(&mut self, fields: &mut Fields<'_>, key: &'static str) -> String {
        let text = self.text_key(fields, key).unwrap_or_default();
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Whether a service file has a key of this name at its top.
    pub(crate) fn is_key(&self, name: &str) -> bool {
        self.resolver.schema.service_keys.contains(&name)
    }

    /// Reports the keys that nobody has asked for.
    pub(crate) fn finish(&mut self, fields: Fields<'_>) {
        let schema = self.resolver.schema;
        fields.finish(&schema.service_keys, self.report());
    }

    pub(crate) fn bool_key(&mut self, fields: &mut Fields<'_>, key: &'static str) -> Option<bool> {
        let node = fields.node(key)?;
        match self.typed(node, &fields.key(key), Type::Bool, false)? {
            (Typed::Bool(value), _) => Some(value),
            _ => None,
        }
    }

    /// A number in a range. `optional` as for `typed`.
    pub(crate) fn int_key(
        &mut self,
        fields: &mut Fields<'_>,
        key: &'static str,
        range: std::ops::RangeInclusive<i64>,
    ) -> Option<i64> {
        let node = fields.node(key)?;
        let name = fields.key(key);
        let (Typed::Int(value), _) = self.typed(node, &name, Type::Int, true)? else {
            return None;
        };
        if range.contains(&value) {
            return Some(value);
        }
        let message = format!(
            "must be from {} to {}, not {value}",
            range.start(),
            range.end()
        );
        self.blame(node, &name, message);
        None
    }

    pub(crate) fn path_key(
        &mut self,
        fields: &mut Fields<'_>,
        key: &'static str,
        optional: bool,
    ) -> Option<PathBuf> {
        let node = fields.node(key)?;
        let (value, _) = self.typed(node, &fields.key(key), Type::Path, optional)?;
        Some(PathBuf::from(value.text()))
    }

    pub(crate) fn duration_key(
        &mut self,
        fields: &mut Fields<'_>,
        key: &'static str,
    ) -> Option<u64> {
        let node = fields.node(key)?;
        self.duration(node, &fields.key(key))
    }

    /// A duration in milliseconds that is not zero.
    pub(crate) fn positive_duration_key(
        &mut self,
        fields: &mut Fields<'_>,
        key: &'static str,
    ) -> Option<u64> {
        let node = fields.node(key)?;
        let name = fields.key(key);
        let given = self.duration(node, &name);
        if given == Some(0) {
            self.blame(node, &name, "must be longer than nothing".to_owned());
        }
        given.filter(|ms| *ms > 0)
    }

    pub(crate) fn duration(&mut self, node: &Node, key: &str) -> Option<u64> {
        let (value, _) = self.typed(node, key, Type::Duration, false)?;
        text::parse_duration(&value.text()).ok()
    }

    pub(crate) fn size_key(&mut self, fields: &mut Fields<'_>, key: &'static str) -> Option<u64> {
        let node = fields.node(key)?;
        let (value, _) = self.typed(node, &fields.key(key), Type::Size, false)?;
        text::parse_size(&value.text()).ok()
    }

    /// A list of strings, each perhaps a template, or one template that gives a list.
    pub(crate) fn list(&mut self, node: &Node, key: &str) -> Option<Vec<String>> {
        self.list_with_taint(node, key).map(|(list, _)| list)
    }

    fn list_with_taint(&mut self, node: &Node, key: &str) -> Option<(Vec<String>, bool)> {
        let Kind::List(items) = &node.kind else {
            let (value, secret) = self.typed(node, key, Type::List, false)?;
            let Typed::List(items) = value else {
                return None;
            };
            return Some((items.iter().map(Typed::text).collect(), secret));
        };
        let mut out = Some(Vec::new());
        let mut tainted = false;
        for item in items {
            let found = match item.kind {
                Kind::Int(int) => Some((Typed::Text(int.to_string()), false)),
                _ => self.typed(item, key, Type::Text, false),
            };
            match found {
                Some((value, secret)) if !value.text().contains('\0') => {
                    tainted |= secret;
                    if let Some(out) = &mut out {
                        out.push(value.text());
                    }
                }
                Some(_) => {
                    self.report().error(&item.at, key, "cannot contain a NUL");
                    out = None;
                }
                None => out = None,
            }
        }
        out.map(|out| (out, tainted))
    }

    pub(crate) fn list_key(
        &mut self,
        fields: &mut Fields<'_>,
        key: &'static str,
    ) -> Option<Vec<String>> {
        let node = fields.node(key)?;
        self.list(node, &fields.key(key))
    }

    /// A command. Everybody on the machine sees it, so it may hold no secret.
    pub(crate) fn argv_key(
        &mut self,
        fields: &mut Fields<'_>,
        key: &'static str,
    ) -> Option<Vec<String>> {
        let node = fields.node(key)?;
        let name = fields.key(key);
        if let Kind::Text(text) = &node.kind
            && !is_template(text)
        {
            let words: Vec<String> = text
                .split_whitespace()
                .map(|word| format!("\"{word}\""))
                .collect();
            self.report()
                .error(
                    &node.at,
                    name,
                    "must be a list of program and arguments, not a string",
                )
                .hint(format!(
                    "no shell reads it; write {key} = [{}]",
                    words.join(", ")
                ));
            return None;
        }
        let (argv, secret) = self.list_with_taint(node, &name)?;
        if secret {
            self.report()
                .error(
                    &node.at,
                    name,
                    "a secret in a command line would be seen by every user",
                )
                .hint("hand it over in the environment or in a file");
            return None;
        }
        if argv.first().is_none_or(String::is_empty) {
            self.report()
                .error(&node.at, name, "must begin with a program");
            return None;
        }
        Some(argv)
    }

    /// Mode bits: `"0640"`, or an integer, which must be written in octal to mean anything.
    pub(crate) fn mode_key(&mut self, fields: &mut Fields<'_>, key: &'static str) -> Option<u32> {
        let node = fields.node(key)?;
        let name = fields.key(key);
        let parsed = if let Kind::Int(int) = &node.kind {
            // 750 would be 1356 in octal.
            let octal = node.at.written().starts_with("0o");
            u32::try_from(*int).ok().filter(|_| octal)
        } else {
            let text = self.text(node, &name)?;
            let digits = text.strip_prefix("0o").unwrap_or(&text);
            u32::from_str_radix(digits, 8)
                .ok()
                .filter(|_| !digits.starts_with('+'))
        };
        if let Some(mode) = parsed.filter(|mode| *mode <= 0o7777) {
            return Some(mode);
        }
        self.report()
            .error(&node.at, name, "must be octal, such as \"0640\"");
        None
    }

    pub(crate) fn signal_key(
        &mut self,
        fields: &mut Fields<'_>,
        key: &'static str,
        purpose: signal::Purpose,
    ) -> Option<i32> {
        let node = fields.node(key)?;
        let text = self.text(node, &fields.key(key))?;
        let Some(number) = text::signal::number(&text) else {
            let hint = {
                let upper = text.to_ascii_uppercase();
                let short = upper.strip_prefix("SIG").unwrap_or(&upper);
                crate::report::suggest::did_you_mean(short, text::signal::names())
            };
            let message = format!("there is no signal `{text}`");
            self.report()
                .error(&node.at, fields.key(key), message)
                .hint_some(hint);
            return None;
        };
        if let Some(why) = signal::unfit(number, purpose) {
            let message = format!("`{text}` {why}");
            self.report()
                .error(&node.at, fields.key(key), message)
                .hint("TERM, INT, QUIT, HUP, USR1 and USR2 are what programs mostly listen to");
        }
        Some(number)
    }

    /// One of some words.
    pub(crate) fn word_key<T: Copy>(
        &mut self,
        fields: &mut Fields<'_>,
        key: &'static str,
        words: &[(&str, T)],
    ) -> Option<T> {
        let node = fields.node(key)?;
        let text = self.text(node, &fields.key(key))?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let hint = crate::report::suggest::did_you_mean(&text, all.iter().copied());
        let message = format!("must be one of {}, not `{text}`", all.join(", "));
        self.report()
            .error(&node.at, fields.key(key), message)
            .hint_some(hint);
        None
    }
}
