//! Variables that settings become.

use api::VariableSource;

use super::written::{Environment, Written};
use crate::{
    model::Variable,
    read::{ident::ident, secrecy::looks_secret},
    report::place::Place,
    resolve::outcome::{Name, Outcome},
    service::reader::Reader,
};

/// Sets the variables of settings. Returns the names of all that settings may set.
pub(super) fn from_settings(reader: &mut Reader<'_, '_>, env: &mut Environment) -> Vec<String> {
    let mut names = Vec::new();
    let schema = reader.resolver.schema;
    let declaring = reader.resolver.declaring.get(&reader.namespace).cloned();
    for namespace_name in declaring.unwrap_or_default() {
        for (key, setting) in &schema.namespaces[namespace_name].settings {
            // Resolving a setting with `generate` has its secret made, also where no template names
            // it.
            if setting.env.is_none() && setting.generate.is_none() {
                continue;
            }
            names.extend(setting.env.clone());
            let name = Name::Setting(namespace_name.to_owned(), key.clone());
            match (reader.resolver.resolve(&name), &setting.env) {
                (Outcome::Set { value, secret }, Some(variable)) => {
                    let secret = secret || looks_secret(variable, &value.text());
                    let value = value.text();
                    let written = written(reader, namespace_name, key, setting.at.clone());
                    let found = Variable {
                        value,
                        source: VariableSource::Setting,
                        secret,
                        private: false,
                    };
                    env.set(variable.clone(), found, written);
                }
                (
                    Outcome::Unset {
                        missing: Some(reason),
                    },
                    Some(_),
                ) => {
                    reader.broken.get_or_insert(reason);
                }
                _ => {}
            }
        }
    }
    names
}

/// Where the value of a setting was written; its declaration, where nobody has set it.
fn written(reader: &Reader<'_, '_>, namespace: &str, key: &str, declared: Place) -> Written {
    let schema = reader.resolver.schema;
    let given = |namespace: &str| {
        let place = (namespace.to_owned(), key.to_owned());
        reader.resolver.site.settings.get(&place)
    };
    let base = schema.base(namespace);
    let own = given(namespace);
    let named = if own.is_some() {
        namespace
    } else {
        base.unwrap_or(namespace)
    };
    let name = &schema.namespaces[named].name;
    let full = format!("{name}.{key}");
    match own.or_else(|| given(base?)) {
        Some(given) => Written {
            at: given.at.clone(),
            key: full.clone(),
            setting: Some(full),
            given: true,
        },
        None => Written {
            at: declared,
            key: if ident(name) == reader.namespace || base.is_some() {
                format!("settings.{key}")
            } else {
                format!("sections.{full}")
            },
            setting: Some(full),
            given: false,
        },
    }
}

/// The setting that becomes a variable, as a site file names it.
pub(super) fn setting_that_becomes(reader: &Reader<'_, '_>, variable: &str) -> Option<String> {
    let schema = reader.resolver.schema;
    let declaring = reader.resolver.declaring.get(&reader.namespace)?;
    declaring.iter().find_map(|namespace| {
        let namespace = &schema.namespaces[*namespace];
        let mut settings = namespace.settings.iter();
        let found = settings.find(|(_, it)| it.env.as_deref() == Some(variable));
        found.map(|(key, _)| format!("{}.{key}", namespace.name))
    })
}
