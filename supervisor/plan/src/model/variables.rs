//! The environment of a service: few variables, made once, looked up rarely. A sorted list takes a
//! tenth of the memory of a tree, which counts with a thousand services.

use std::{collections::BTreeMap, fmt, ops::Index};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::variable::Variable;

/// Variables by name, ascending, each name once.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Variables(Box<[(String, Variable)]>);

impl Variables {
    /// The variable of that name.
    pub fn get(&self, name: &str) -> Option<&Variable> {
        let place = self.0.binary_search_by(|(it, _)| it.as_str().cmp(name));
        place.ok().map(|place| &self.0[place].1)
    }

    /// Whether there is a variable of that name.
    pub fn contains_key(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Names, ascending.
    pub fn keys(&self) -> impl Iterator<Item = &String> {
        self.iter().map(|(name, _)| name)
    }

    /// Names and variables, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &Variable)> {
        self.0.iter().map(|(name, variable)| (name, variable))
    }

    /// The variables alone.
    pub fn values(&self) -> impl Iterator<Item = &Variable> {
        self.iter().map(|(_, variable)| variable)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<BTreeMap<String, Variable>> for Variables {
    fn from(map: BTreeMap<String, Variable>) -> Self {
        Self(map.into_iter().collect())
    }
}

impl Index<&str> for Variables {
    type Output = Variable;

    fn index(&self, name: &str) -> &Variable {
        self.get(name).expect("the caller knows that it is there")
    }
}

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl Serialize for Variables {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Variables {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BTreeMap::deserialize(deserializer).map(Self::from)
    }
}
