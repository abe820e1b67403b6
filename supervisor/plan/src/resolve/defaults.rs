//! The value of a declared setting: given, made, read or found on this host, or its default.

use std::collections::BTreeMap;

use crate::{
    declare::{allowed::allowed, setting::Setting},
    model::MissingSecret,
    read::{
        document::{Kind, Node},
        expression::is_template,
        typed::{Type, Typed, plain_text},
    },
    resolve::{
        find,
        locals::Locals,
        outcome::{Eval, Outcome, TemplateSource},
        resolver::Resolver,
    },
};

impl Resolver<'_> {
    pub(crate) fn setting(&mut self, namespace: &str, key: &str) -> Outcome {
        let schema = self.schema;
        let setting = &schema.namespaces[namespace].settings[key];
        let given = |namespace: &str| {
            let place = (namespace.to_owned(), key.to_owned());
            self.site.settings.get(&place)
        };
        let base = schema.base(namespace);
        let own = given(namespace).map(|given| (namespace, given));
        if let Some((place, given)) = own.or_else(|| base.and_then(|it| Some((it, given(it)?)))) {
            if let (Some(_), Typed::Text(value)) = (setting.generate, &given.value) {
                let section = schema.namespaces[place].name.clone();
                let secret = (section, key.to_owned(), value.clone());
                self.given_secrets.push(secret);
            }
            return Outcome::Set {
                value: given.value.clone(),
                secret: setting.secret,
            };
        }
        if let Some(spec) = setting.generate {
            // Instances share what their template has.
            let service = schema.namespaces[base.unwrap_or(namespace)].name.clone();
            let missing = MissingSecret {
                service,
                key: key.to_owned(),
                spec: spec.text(),
            };
            self.missing_secrets.push(missing);
            return Outcome::Set {
                value: Typed::Text(spec.placeholder()),
                secret: true,
            };
        }
        if let Some(value) = find::read(self, namespace, setting, key) {
            return Outcome::Set {
                value,
                secret: setting.secret,
            };
        }
        self.found(namespace, setting, key)
            .unwrap_or_else(|| self.default(namespace, setting, &format!("settings.{key}")))
    }

    /// Result of the setting's `find` on this host, also an empty one. None: the default counts.
    fn found(&mut self, namespace: &str, setting: &Setting, key: &str) -> Option<Outcome> {
        if setting.find.is_empty() {
            return None;
        }
        let missing = match find::find(self, namespace, setting, key) {
            Ok(Some(path)) => {
                return Some(Outcome::Set {
                    value: Typed::Text(path),
                    secret: setting.secret,
                });
            }
            Ok(None) if setting.default.is_some() => return None,
            Ok(None) => {
                let globs: Vec<&str> = setting.find.iter().filter_map(Node::text).collect();
                let missing = format!("{key} was not found; looked for {}", globs.join(", "));
                let hint = setting.find_hint.iter().map(|hint| format!("; {hint}"));
                missing + &hint.collect::<String>()
            }
            // Another version is installed than is wanted: the hint might bring that version again.
            Err(missing) => missing,
        };
        Some(Outcome::Unset {
            missing: Some(missing),
        })
    }

    pub(crate) fn default(&mut self, namespace: &str, setting: &Setting, key: &str) -> Outcome {
        let Some(node) = &setting.default else {
            return Outcome::Unset { missing: None };
        };
        let key = format!("{key}.default");
        let (value, secret) = match &node.kind {
            Kind::Text(text) if is_template(text) => {
                match self.eval(
                    namespace,
                    text,
                    TemplateSource::Value(&node.at),
                    &key,
                    &Locals::NONE,
                ) {
                    // "No value under this condition": `{{ x if y else none }}`.
                    Eval::Set { value, .. } if value.is_none() => {
                        return Outcome::Unset { missing: None };
                    }
                    Eval::Set { value, secret } => (Typed::from_value(setting.ty, &value), secret),
                    Eval::Unset { missing } => return Outcome::Unset { missing },
                    Eval::Broken(reason) => {
                        return Outcome::Unset {
                            missing: Some(reason),
                        };
                    }
                    Eval::Failed => return Outcome::Failed,
                }
            }
            _ => match self.plain_default(namespace, setting.ty, node, &key) {
                Ok(found) => found,
                Err(outcome) => return outcome,
            },
        };
        self.checked_default(setting, value, secret, &key)
    }

    /// Checks a default that was worked out against its setting.
    fn checked_default(
        &mut self,
        setting: &Setting,
        value: Result<Typed, String>,
        secret: bool,
        key: &str,
    ) -> Outcome {
        match value.and_then(|value| allowed(setting, value)) {
            Ok(value) => Outcome::Set {
                value,
                secret: secret || setting.secret,
            },
            Err(why) => {
                // A secret's value must not come out in a message.
                let why = if secret || setting.secret {
                    "has a value that its type does not allow".to_owned()
                } else {
                    why
                };
                let at = setting
                    .default
                    .as_ref()
                    .map_or(&setting.at, |node| &node.at);
                self.report.error(at, key, why);
                Outcome::Failed
            }
        }
    }

    /// A default whose parts may be templates. An error is the outcome of the whole.
    fn plain_default(
        &mut self,
        namespace: &str,
        ty: Type,
        node: &Node,
        key: &str,
    ) -> Result<(Result<Typed, String>, bool), Outcome> {
        let mut tainted = false;
        let value = match (ty, &node.kind) {
            (Type::List, Kind::List(list)) => {
                let mut items = Vec::new();
                for item in list {
                    items.push(self.part(namespace, item, key, &mut tainted)?);
                }
                Ok(Typed::List(items))
            }
            (Type::Map, Kind::Table(table)) => {
                let mut map = BTreeMap::new();
                for (name, entry) in table {
                    map.insert(
                        name.clone(),
                        self.part(namespace, &entry.node, key, &mut tainted)?,
                    );
                }
                Ok(Typed::Map(map))
            }
            _ => Typed::from_node(ty, node),
        };
        Ok((value, tainted))
    }

    /// One item of a list or table.
    fn part(
        &mut self,
        namespace: &str,
        item: &Node,
        key: &str,
        tainted: &mut bool,
    ) -> Result<Typed, Outcome> {
        let Some(text) = item.text() else {
            return Typed::plain(item).map_err(|why| {
                self.report.error(&item.at, key, why);
                Outcome::Failed
            });
        };
        match self.eval(
            namespace,
            text,
            TemplateSource::Value(&item.at),
            key,
            &Locals::NONE,
        ) {
            Eval::Set { value, secret } => {
                *tainted |= secret;
                Ok(Typed::Text(plain_text(&value)))
            }
            Eval::Unset { missing } => Err(Outcome::Unset { missing }),
            Eval::Broken(reason) => Err(Outcome::Unset {
                missing: Some(reason),
            }),
            Eval::Failed => Err(Outcome::Failed),
        }
    }
}
