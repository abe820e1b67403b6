//! Values of keys, each by its type. A value that is wrong is reported with its place, and is none.

use std::{ops::RangeInclusive, path::PathBuf};

use super::Reader;
use crate::{
    read::{
        document::Kind,
        expression::is_template,
        fields::Fields,
        signal,
        typed::{Type, Typed},
    },
    report::suggest::did_you_mean,
};

impl Reader<'_, '_> {
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

    pub(crate) fn bool_key(&mut self, fields: &mut Fields<'_>, key: &'static str) -> Option<bool> {
        let node = fields.node(key)?;
        match self.typed(node, &fields.key(key), Type::Bool, false)? {
            (Typed::Bool(value), _) => Some(value),
            _ => None,
        }
    }

    /// A number in a range, all of which the type can hold. A lone name without value means that
    /// the key is absent.
    pub(crate) fn int_key<T: TryFrom<i64>>(
        &mut self,
        fields: &mut Fields<'_>,
        key: &'static str,
        range: RangeInclusive<i64>,
    ) -> Option<T> {
        let node = fields.node(key)?;
        let name = fields.key(key);
        let (Typed::Int(value), _) = self.typed(node, &name, Type::Int, true)? else {
            return None;
        };
        if range.contains(&value) {
            return T::try_from(value).ok();
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

    pub(crate) fn size_key(&mut self, fields: &mut Fields<'_>, key: &'static str) -> Option<u64> {
        let node = fields.node(key)?;
        let (value, _) = self.typed(node, &fields.key(key), Type::Size, false)?;
        text::parse_size(&value.text()).ok()
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
                did_you_mean(short, text::signal::names())
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

    /// Reads a key whose value is one of a set of words.
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
        let hint = did_you_mean(&text, all.iter().copied());
        let message = format!("must be one of {}, not `{text}`", all.join(", "));
        self.report()
            .error(&node.at, fields.key(key), message)
            .hint_some(hint);
        None
    }
}
