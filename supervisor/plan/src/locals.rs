//! Names that templates have at some places of a service file alone, and what they stand for there.

use std::collections::BTreeMap;

use crate::{Variable, resolve::Outcome, value::Typed};

/// What a template has besides the names that are there everywhere.
#[derive(Clone, Debug, Default)]
pub(crate) struct Locals(BTreeMap<&'static str, Typed>);

/// The variables that the service gets, but for those whose values not everybody may see.
pub(crate) const ENVIRONMENT: &str = "environment";

/// Where each of them is there, to end the sentence "is there in … only".
const PLACES: [(&str, &str); 5] = [
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

    pub(crate) fn environment(variables: &BTreeMap<String, Variable>) -> Self {
        let public = variables.iter().filter(|(_, it)| !it.secret && !it.private);
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

/// Where a name is there, of one that is not there everywhere.
pub(crate) fn place_of(name: &str) -> Option<&'static str> {
    let found = PLACES.iter().find(|(local, _)| *local == name);
    found.map(|(_, place)| *place)
}
