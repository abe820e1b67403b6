//! Names that templates have at some places of a service file alone, and what they stand for there.

use std::collections::BTreeMap;

use crate::{model::Variable, read::typed::Typed, resolve::outcome::Outcome};

/// Names that one template sees besides those that exist everywhere.
#[derive(Clone, Debug, Default)]
pub(crate) struct Locals(BTreeMap<&'static str, Typed>);

/// Name of the map of variables that a service gets.
pub(crate) const ENVIRONMENT: &str = "environment";

/// Where each name exists; ends the sentence "is there in … only".
const PLACES: &[(&str, &str)] = &[
    ("candidate", "`validate` of [[files]]"),
    (ENVIRONMENT, "[[asserts]]"),
    ("instance", "templates, NAME@.toml,"),
    ("reload_token", "[[files]] and [reload.confirm]"),
    ("situation", "templates of [[status_files]]"),
];

impl Locals {
    pub(crate) const NONE: Self = Self(BTreeMap::new());

    pub(crate) fn of(name: &'static str, value: impl Into<String>) -> Self {
        Self(BTreeMap::from([(name, Typed::Text(value.into()))]))
    }

    /// The variables of a service that anybody may see.
    pub(crate) fn environment<'v>(
        variables: impl Iterator<Item = (&'v String, &'v Variable)>,
    ) -> Self {
        let public = variables.filter(|(_, it)| !it.is_hidden());
        let public = public.map(|(name, it)| (name.clone(), Typed::Text(it.value.clone())));
        Self(BTreeMap::from([(
            ENVIRONMENT,
            Typed::Map(public.collect()),
        )]))
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(crate) fn outcome(&self, name: &str) -> Option<Outcome> {
        let value = self.0.get(name)?.clone();
        let secret = false;
        Some(Outcome::Set { value, secret })
    }
}

/// Where a name exists that does not exist everywhere.
pub(crate) fn place_of(name: &str) -> Option<&'static str> {
    let found = PLACES.iter().find(|(local, _)| *local == name);
    found.map(|(_, place)| *place)
}
