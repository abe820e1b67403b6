//! Meaning of a dotted name in a template.

use std::collections::BTreeMap;

use crate::{
    declare::{
        schema::Namespace,
        setting::{BUILTINS, Setting},
    },
    read::{ident::ident, typed::Type, url::URL_PARTS},
    report::{place::Place, suggest::did_you_mean},
    resolve::{
        locals::{self, Locals},
        outcome::{Name, TemplateSource},
        resolver::Resolver,
        template::{explain, unclosed},
    },
};

impl Resolver<'_> {
    /// Meaning of a dotted name in the templates of a namespace (empty: of no service). An error is
    /// the hint.
    pub(crate) fn find(
        &self,
        namespace: &str,
        dotted: &str,
        locals: &Locals,
    ) -> Result<Name, Option<String>> {
        let mut parts = dotted.split('.');
        let first = parts.next().unwrap_or_default();
        let second = parts.next();
        if let Some((own, found)) = self.schema.canonical(namespace) {
            if found.settings.contains_key(first) {
                return self.checked(
                    Name::Setting(own, first.to_owned()),
                    &found.settings[first],
                    second,
                );
            }
            if first == "enable"
                && let Some(service) = &found.service
            {
                return Ok(Name::Enable(ident(service)));
            }
        }
        if first == "instance" {
            let own = self.schema.namespaces.get(&ident(namespace));
            return own
                .and_then(|namespace| namespace.instance.clone())
                .map(Name::Instance)
                .ok_or(None);
        }
        if locals.has(first) || (BUILTINS.contains(&first) && locals::place_of(first).is_none()) {
            return Ok(Name::Builtin(first.to_owned()));
        }
        if let Some(setting) = self.schema.keys.get(first) {
            return self.checked(Name::Key(first.to_owned()), setting, second);
        }
        if let Some((canonical, found)) = self.schema.canonical(first) {
            return self.find_in(canonical, found, second, parts.next());
        }
        if self.schema.unreadable {
            return Ok(Name::Unreadable);
        }
        let own = self
            .schema
            .canonical(namespace)
            .map(|(_, namespace)| namespace);
        let own = own
            .into_iter()
            .flat_map(|namespace| namespace.settings.keys());
        let names = own
            .chain(self.schema.keys.keys())
            .chain(self.schema.namespaces.keys())
            .map(String::as_str);
        Err(did_you_mean(
            first,
            names
                .chain(BUILTINS.iter().copied())
                .filter(|name| locals::place_of(name).is_none()),
        ))
    }

    /// Meaning of a dotted name whose first part is the name of a namespace.
    fn find_in(
        &self,
        canonical: String,
        found: &Namespace,
        second: Option<&str>,
        part: Option<&str>,
    ) -> Result<Name, Option<String>> {
        if found.unreadable {
            return Ok(Name::Unreadable);
        }
        let Some(second) = second else {
            return Ok(Name::Whole(canonical));
        };
        if let Some(setting) = found.settings.get(second) {
            let name = Name::Setting(canonical, second.to_owned());
            return self.checked(name, setting, part);
        }
        if second == "enable" {
            let service = found.service.as_ref();
            return Ok(service.map_or(Name::Off, |service| Name::Enable(ident(service))));
        }
        let known = found.settings.keys().map(String::as_str).chain(["enable"]);
        Err(did_you_mean(second, known))
    }

    /// A part behind a URL must be one of its parts.
    #[expect(clippy::unused_self, reason = "reads as part of find")]
    pub(crate) fn checked(
        &self,
        name: Name,
        setting: &Setting,
        part: Option<&str>,
    ) -> Result<Name, Option<String>> {
        match part {
            Some(part) if setting.ty == Type::Url && !URL_PARTS.contains(&part) => {
                Err(Some(format!("a URL has {}", URL_PARTS.join(", "))))
            }
            _ => Ok(name),
        }
    }

    /// The names a text uses, or none when something is wrong with them, which is reported.
    pub(crate) fn names(
        &mut self,
        namespace: &str,
        text: &str,
        origin: TemplateSource<'_>,
        key: &str,
        locals: &Locals,
    ) -> Option<BTreeMap<String, Name>> {
        let mut out = BTreeMap::new();
        let TemplateSource::File(file) = origin else {
            let place = |offset| origin.place(text, offset);
            let good = self.names_of(namespace, text, &place, key, locals, &mut out);
            return good.then_some(out);
        };
        let mut good = true;
        for part in file.parts() {
            let place = |offset| part.place(offset);
            good &= self.names_of(namespace, &part.text, &place, key, locals, &mut out);
        }
        good.then_some(out)
    }

    /// Adds the names that one text uses. False: something is wrong with them, which is reported.
    fn names_of(
        &mut self,
        namespace: &str,
        text: &str,
        place: &dyn Fn(usize) -> Place,
        key: &str,
        locals: &Locals,
        out: &mut BTreeMap<String, Name>,
    ) -> bool {
        let dotted = match self.templates.names(text) {
            Ok(names) => names,
            Err(error) => {
                let offset = error.range().map_or(0, |range| range.start);
                self.report
                    .error(&place(offset), key, explain(&error))
                    .hint_some(unclosed(text));
                return false;
            }
        };
        let mut good = true;
        for dotted in dotted {
            match self.find(namespace, &dotted, locals) {
                Ok(name) => {
                    out.insert(dotted, name);
                }
                Err(hint) => {
                    good = false;
                    let at = place(word(text, &dotted));
                    let hint = hint.or_else(|| {
                        let name = dotted.split('.').next().unwrap_or_default();
                        let only = locals::place_of(name)?;
                        Some(format!("`{name}` is there in {only} only"))
                    });
                    self.report
                        .error(&at, key, format!("there is no `{dotted}`"))
                        .hint_some(hint);
                }
            }
        }
        good
    }

    /// How many parts of a dotted name are the name; the rest are parts of its value.
    pub(crate) fn depth(&self, namespace: &str, dotted: &str) -> usize {
        let first = dotted.split('.').next().unwrap_or_default();
        let own = self.schema.canonical(namespace).is_some_and(|(_, found)| {
            found.settings.contains_key(first) || (first == "enable" && found.service.is_some())
        });
        if own || BUILTINS.contains(&first) || self.schema.keys.contains_key(first) {
            1
        } else {
            2
        }
    }

    /// A name in the templates of a namespace, as the site file writes it.
    pub(crate) fn full_name(&self, namespace: &str, dotted: &str) -> String {
        // `.host` of a URL cannot be set by itself.
        if let Some((key, _)) = dotted.split_once('.')
            && self.schema.keys.contains_key(key)
        {
            return key.to_owned();
        }
        match self.schema.canonical(namespace) {
            Some((_, own)) if own.settings.contains_key(dotted) => {
                let base = own
                    .base
                    .as_ref()
                    .and_then(|base| self.schema.namespaces.get(base));
                format!("{}.{dotted}", base.unwrap_or(own).name)
            }
            _ => dotted.to_owned(),
        }
    }
}

/// Where a dotted name stands in a text.
pub(crate) fn word(text: &str, dotted: &str) -> usize {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    let first = text.match_indices(dotted).find(|(start, _)| {
        !text[..*start].ends_with(|c| part(c) || c == '.')
            && !text[start + dotted.len()..].starts_with(part)
    });
    first.map_or(0, |(start, _)| start)
}
