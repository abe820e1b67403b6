//! Names that templates have at some places of a service file alone, and what they stand for there.

use std::collections::BTreeMap;

use crate::{read::typed::Typed, resolve::outcome::Outcome};

/// Names that one template sees besides those that exist everywhere.
#[derive(Clone, Debug, Default)]
pub(crate) struct Locals(BTreeMap<&'static str, String>);

/// Where each name exists; ends the sentence "is there in … only".
const PLACES: &[(&str, &str)] = &[
    ("candidate", "`validate` of [[files]]"),
    ("instance", "templates, NAME@.toml,"),
    ("reload_token", "[[files]] and [reload.confirm]"),
    ("situation", "templates of [[status_files]]"),
];

impl Locals {
    pub(crate) const NONE: Self = Self(BTreeMap::new());

    pub(crate) fn of(name: &'static str, value: impl Into<String>) -> Self {
        Self(BTreeMap::from([(name, value.into())]))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(crate) fn outcome(&self, name: &str) -> Option<Outcome> {
        let value = Typed::Text(self.get(name)?.to_owned());
        let secret = false;
        Some(Outcome::Set { value, secret })
    }
}

/// Where a name exists that does not exist everywhere.
pub(crate) fn place_of(name: &str) -> Option<&'static str> {
    let found = PLACES.iter().find(|(local, _)| *local == name);
    found.map(|(_, place)| *place)
}
