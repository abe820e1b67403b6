//! Values of Ruby, as far as a gitlab.rb has them.

/// A value. A value that only a run of the file would tell is [`Value::Unknown`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// `nil`, and the value of a key that was never set.
    Nil,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A string.
    Text(String),
    /// `:name`.
    Symbol(String),
    /// `[…]`.
    List(Vec<Value>),
    /// `{…}`, in the order of writing; each key once.
    Hash(Vec<Pair>),
    /// An unknown value, and why the value is unknown.
    Unknown(String),
}

/// An entry of a hash.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pair {
    /// Key of the entry.
    pub(crate) key: Value,
    /// Value of the entry.
    pub(crate) value: Value,
    /// Line of the entry, from 1.
    pub(crate) line: usize,
}

/// Largest value; a larger value is a mistake, or an attempt to use up memory.
const MAX_BYTES: usize = 1 << 20;

impl Value {
    /// The result of `to_s`; `None` for collections and unknown values.
    pub(crate) fn text(&self) -> Option<String> {
        Some(match self {
            Self::Nil => String::new(),
            Self::Bool(it) => it.to_string(),
            Self::Int(it) => it.to_string(),
            Self::Float(it) => float(*it),
            Self::Text(it) | Self::Symbol(it) => it.clone(),
            Self::List(_) | Self::Hash(_) | Self::Unknown(_) => return None,
        })
    }

    /// Truth as Ruby has it: everything but `nil` and `false`. `None` for an unknown value.
    pub(crate) fn truth(&self) -> Option<bool> {
        match self {
            Self::Unknown(_) => None,
            it => Some(!matches!(it, Self::Nil | Self::Bool(false))),
        }
    }

    /// Why the value, or a part of the value, is unknown.
    pub(crate) fn doubt(&self) -> Option<&str> {
        match self {
            Self::Unknown(why) => Some(why),
            Self::List(list) => list.iter().find_map(Self::doubt),
            Self::Hash(pairs) => pairs.iter().find_map(|pair| pair.value.doubt()),
            _ => None,
        }
    }

    /// The value of a key; `nil` if the hash lacks the key.
    pub(crate) fn get(&self, key: &str) -> Self {
        let Self::Hash(pairs) = self else {
            return Self::Nil;
        };
        let found = pairs.iter().find(|pair| pair.has(key));
        found.map_or(Self::Nil, |pair| pair.value.clone())
    }

    /// Puts a pair into a hash; another value becomes a hash of this pair.
    pub(crate) fn put(&mut self, pair: Pair) {
        if !matches!(self, Self::Hash(_)) {
            *self = Self::Hash(Vec::new());
        }
        let Self::Hash(pairs) = self else { return };
        match pairs.iter_mut().find(|it| it.key.same(&pair.key)) {
            Some(there) => *there = pair,
            None => pairs.push(pair),
        }
    }

    /// Whether both stand for one key: here `:a` and `'a'` do, as in GitLab's settings.
    pub(crate) fn same(&self, other: &Self) -> bool {
        self == other || (self.text().is_some() && self.text() == other.text())
    }

    /// The value, or an unknown value if larger than [`MAX_BYTES`].
    pub(super) fn bounded(self) -> Self {
        if self.bytes(0) > MAX_BYTES {
            Self::Unknown("it is too large to be a setting".to_owned())
        } else {
            self
        }
    }

    fn bytes(&self, known: usize) -> usize {
        if known > MAX_BYTES {
            return known;
        }
        known
            + match self {
                Self::Text(it) | Self::Symbol(it) | Self::Unknown(it) => it.len() + 16,
                Self::List(list) => list.iter().fold(16, |sum, it| it.bytes(sum)),
                Self::Hash(pairs) => pairs
                    .iter()
                    .fold(16, |sum, it| it.value.bytes(it.key.bytes(sum))),
                _ => 16,
            }
    }

    /// The result of `to_json`; `None` if a part is unknown.
    pub(crate) fn json(&self) -> Option<String> {
        Some(match self {
            Self::Nil => "null".to_owned(),
            Self::Bool(_) | Self::Int(_) | Self::Float(_) => self.text()?,
            Self::Text(it) | Self::Symbol(it) => serde_json::Value::from(it.as_str()).to_string(),
            Self::List(list) => {
                let items: Option<Vec<String>> = list.iter().map(Self::json).collect();
                format!("[{}]", items?.join(","))
            }
            Self::Hash(pairs) => {
                let one = |pair: &Pair| {
                    let key = serde_json::Value::from(pair.key.text()?).to_string();
                    Some(format!("{key}:{}", pair.value.json()?))
                };
                let items: Option<Vec<String>> = pairs.iter().map(one).collect();
                format!("{{{}}}", items?.join(","))
            }
            Self::Unknown(_) => return None,
        })
    }
}

impl Pair {
    /// Whether the pair has this key, as a string or a symbol.
    pub(crate) fn has(&self, key: &str) -> bool {
        matches!(&self.key, Value::Text(it) | Value::Symbol(it) if it == key)
    }
}

/// Ruby writes a whole float with its `.0`.
fn float(it: f64) -> String {
    let text = it.to_string();
    if text.contains(['.', 'e', 'n', 'i']) {
        text
    } else {
        format!("{text}.0")
    }
}
