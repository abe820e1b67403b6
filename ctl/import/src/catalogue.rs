//! The catalogue inside the program, and the settings that the catalogue declares.

use std::collections::BTreeMap;

use toml::{Table, Value};

/// The catalogue's files, by their paths below `services.d`.
pub(super) const FILES: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/catalogue.rs"));

/// The parts of a declared setting that an import needs.
#[derive(Clone, Debug, Default)]
pub(super) struct Declared {
    /// `string`, `bool`, `list`, …
    pub(super) kind: String,
    /// The setting belongs in secrets.toml.
    pub(super) secret: bool,
    /// The variable that the setting becomes.
    pub(super) env: Option<String>,
    /// Why the setting of gitlab.rb has no effect here, if so.
    pub(super) obsolete: Option<String>,
}

/// The keys that a site file may have.
#[derive(Clone, Debug, Default)]
pub(super) struct Catalogue {
    /// Keys at the top.
    pub(super) keys: BTreeMap<String, Declared>,
    /// Settings by service, section or group.
    spaces: BTreeMap<String, BTreeMap<String, Declared>>,
    /// Names that `NAME.enable` may turn on or off.
    switches: BTreeMap<String, Switch>,
}

/// What `NAME.enable` turns on or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Switch {
    /// A service of the catalogue, or a second name of one.
    Service,
    /// A group, which can be turned off.
    Group,
    /// A service that cannot run here, and so can only be off.
    Unavailable,
}

impl Catalogue {
    /// The catalogue that ships with this program.
    pub(super) fn embedded() -> Self {
        let mut catalogue = Self::default();
        let mut whole = Table::new();
        for (name, text) in FILES {
            let Some(stem) = name.strip_suffix(".toml").filter(|it| !it.contains('/')) else {
                continue;
            };
            // A test loads the embedded catalogue, so every file parses.
            let table: Table = toml::from_str(text).unwrap_or_default();
            if stem == "catalog" {
                whole = table;
            } else {
                let stem = plain(stem);
                catalogue
                    .spaces
                    .entry(stem.clone())
                    .or_default()
                    .extend(declared(table.get("settings")));
                catalogue.switches.insert(stem, Switch::Service);
            }
        }
        // Last, since catalog.toml gives second names to the services of the other files.
        catalogue.add_catalog(&whole);
        catalogue
    }

    fn add_catalog(&mut self, table: &Table) {
        self.keys.extend(declared(table.get("settings")));
        for (name, group) in tables(table.get("groups")) {
            let settings = group.as_table().map(|it| declared(it.get("settings")));
            self.spaces
                .entry(plain(name))
                .or_default()
                .extend(settings.unwrap_or_default());
            self.switches.insert(plain(name), Switch::Group);
        }
        let unavailable = table.get("unavailable").and_then(Value::as_array);
        for entry in unavailable.into_iter().flatten() {
            let names = entry.get("names").and_then(Value::as_array);
            for name in names.into_iter().flatten().filter_map(Value::as_str) {
                self.switches
                    .entry(plain(name))
                    .or_insert(Switch::Unavailable);
            }
        }
        for (section, service) in tables(table.get("sections")) {
            if let Some(own) = service.as_table() {
                let space = self.spaces.entry(plain(section)).or_default();
                space.extend(declared(Some(&Value::Table(own.clone()))));
            } else if let Some(service) = service.as_str() {
                let settings = self.spaces.get(&plain(service)).cloned();
                self.spaces
                    .insert(plain(section), settings.unwrap_or_default());
                self.switches.insert(plain(section), Switch::Service);
            }
        }
    }

    /// The setting of a section.
    pub(super) fn setting(&self, section: &str, key: &str) -> Option<&Declared> {
        self.spaces.get(section)?.get(key)
    }

    /// What `SECTION.enable` would turn on or off.
    pub(super) fn switch(&self, section: &str) -> Option<Switch> {
        self.switches.get(section).copied()
    }

    /// The setting of a section that becomes this variable.
    pub(super) fn by_variable(&self, section: &str, variable: &str) -> Option<(&str, &Declared)> {
        let mut settings = self.spaces.get(section)?.iter();
        settings
            .find(|(_, it)| it.env.as_deref() == Some(variable) && it.obsolete.is_none())
            .map(|(key, it)| (key.as_str(), it))
    }

    /// The settings of a section, without the obsolete ones.
    pub(super) fn names(&self, section: &str) -> impl Iterator<Item = &str> {
        let settings = self.spaces.get(section).into_iter().flatten();
        settings
            .filter(|(_, it)| it.obsolete.is_none())
            .map(|(key, _)| key.as_str())
    }
}

/// `nginx-exporter` is written `nginx_exporter` in a site file.
fn plain(name: &str) -> String {
    name.trim_end_matches('@').replace('-', "_")
}

fn tables(value: Option<&Value>) -> impl Iterator<Item = (&String, &Value)> {
    value.and_then(Value::as_table).into_iter().flatten()
}

fn declared(settings: Option<&Value>) -> BTreeMap<String, Declared> {
    let one = |(name, value): (&String, &Value)| {
        let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        let secret = value.get("secret").and_then(Value::as_bool);
        let declared = Declared {
            kind: text("type").unwrap_or_else(|| "string".to_owned()),
            secret: secret.unwrap_or(false),
            env: text("env"),
            obsolete: text("obsolete"),
        };
        (name.clone(), declared)
    };
    tables(settings).map(one).collect()
}
