//! Makes Mattermost's environment here equal to the one that GitLab's package gave, and reports
//! the differences that remain.
//!
//! Owner: [`Converter::finish`], with the plan of the draft. [`Converter::equalise`] adds variables
//! that the package had and the plan lacks; then [`Converter::unset`] unsets variables that only a
//! default of the catalogue sets; last, [`Converter::account`] reports what still differs. A
//! variable whose value is unknown stays untouched.

use std::collections::BTreeMap;

use plan::{Plan, Service};
use serde_json::Value as Json;

use super::{
    convert::Converter,
    draft::Part,
    environment::{DATA_SOURCE, TRUSTED},
    known::Known,
    legacy, package,
    report::{Disposition, Line, Origin},
    settings::{self, Setting},
};

/// Variables that the supervisor sets for Mattermost, whatever the package did, and why.
const OURS: [(&str, &str); 15] = [
    (
        "MM_CONFIG",
        "GitLab's package named config.json by an argument",
    ),
    (
        "MM_LOGSETTINGS_ENABLECONSOLE",
        "the supervisor keeps what Mattermost writes to its standard output",
    ),
    (
        "MM_LOGSETTINGS_CONSOLEJSON",
        "the supervisor keeps what Mattermost writes to its standard output",
    ),
    (
        "MM_LOGSETTINGS_ENABLEFILE",
        "the supervisor keeps the log: nothing is logged twice",
    ),
    (
        "MM_NOTIFICATIONLOGSETTINGS_ENABLEFILE",
        "the supervisor keeps the log: nothing is logged twice",
    ),
    (
        "MM_SERVICESETTINGS_ENABLELOCALMODE",
        "for mmctl --local: mattermost.service_enable_local_mode = false turns it off",
    ),
    (
        "MM_SERVICESETTINGS_LOCALMODESOCKETLOCATION",
        "for mmctl --local",
    ),
    ("MM_SERVICESETTINGS_SITEURL", "where users reach Mattermost"),
    (
        "MM_SERVICESETTINGS_LISTENADDRESS",
        "where nginx and probes reach Mattermost",
    ),
    (DATA_SOURCE, "the database here"),
    (
        "MM_SQLSETTINGS_ATRESTENCRYPTKEY",
        "a new key, since none was found",
    ),
    ("MM_FILESETTINGS_DIRECTORY", "where its files are here"),
    ("MM_PLUGINSETTINGS_DIRECTORY", "where its plugins are here"),
    (
        "MM_PLUGINSETTINGS_CLIENTDIRECTORY",
        "where its plugins are here",
    ),
    ("MM_LOGSETTINGS_FILELOCATION", "where log files would be"),
];

/// The setting of [`TRUSTED`].
const TRUSTED_KEY: &str = "service_allowed_untrusted_internal_connections";

/// Variables that several settings, or a rule of the package, make; and those settings.
const JOINED: [(&str, &[(&str, &str)]); 4] = [
    (
        "MM_SERVICESETTINGS_SITEURL",
        &[
            ("mattermost", "service_site_url"),
            ("", "mattermost_external_url"),
        ],
    ),
    (
        "MM_SERVICESETTINGS_LISTENADDRESS",
        &[
            ("mattermost", "service_address"),
            ("mattermost", "service_port"),
        ],
    ),
    (TRUSTED, &[("mattermost", TRUSTED_KEY)]),
    (
        DATA_SOURCE,
        &[
            ("mattermost", "sql_data_source"),
            ("mattermost", "database_name"),
            ("postgresql", "sql_mattermost_user"),
            ("postgresql", "enable"),
        ],
    ),
];

/// Why the supervisor sets a variable itself.
pub(super) fn ours(name: &str) -> Option<&'static str> {
    let found = OURS.iter().find(|(known, _)| *known == name);
    found.map(|(_, why)| *why)
}

impl Converter<'_> {
    /// The disposition of a setting whose value only Ruby knows, if the directory of variables has
    /// the result.
    pub(super) fn answered(&self, setting: &Setting) -> Option<Disposition> {
        setting.value.doubt()?;
        let variables = self.package.variables?;
        let section = setting.section.as_str();
        let whole = section == "mattermost" && setting.key == "env" && setting.variable.is_none();
        let name = self.variable_of(setting);
        let there = name.is_some_and(|name| match ours(&name) {
            // A directory that lacks such a variable counts as incomplete.
            Some(_) => variables.contains_key(&name),
            None => true,
        });
        let other = setting.key == "mattermost_external_url"
            && self.package.said("mattermost", "service_site_url") != Known::Unset;
        ((whole || there) && !other).then(|| {
            Disposition::not_needed(
                "the directory of variables has what it came to, and that counts",
            )
        })
    }

    fn variable_of(&self, setting: &Setting) -> Option<String> {
        let (section, key) = (setting.section.as_str(), setting.key.as_str());
        if section == "mattermost" && setting.variable.is_some() {
            return setting.variable.clone();
        }
        let joined = JOINED.iter().find(|it| it.1.contains(&(section, key)));
        if let Some((name, _)) = joined {
            return Some((*name).to_owned());
        }
        if section != "mattermost" {
            return None;
        }
        let declared = self.catalogue.setting(section, key);
        declared
            .and_then(|it| it.env.clone())
            .or_else(|| legacy::find(key).map(|it| it.variable))
    }

    /// The settings of gitlab.rb that become this variable.
    fn settings_of(&self, variable: &str) -> Vec<(&str, &str)> {
        if let Some((_, joined)) = JOINED.iter().find(|it| it.0 == variable) {
            return joined.to_vec();
        }
        let declared = self.catalogue.by_variable("mattermost", variable);
        declared
            .map(|(key, _)| ("mattermost", key))
            .into_iter()
            .collect()
    }

    /// Whether a line of gitlab.rb that sets this variable waits for a person's decision.
    fn left_to_a_person(&self, variable: &str) -> bool {
        let keys = self.settings_of(variable).into_iter();
        let mut whats = keys
            .map(|(section, key)| settings::name(section, key))
            .chain([format!("mattermost['env']['{variable}']")]);
        whats.any(|what| self.said_in_vain(&what))
    }

    /// The line of gitlab.rb from which the draft has this variable.
    fn said_by(&self, variable: &str) -> Option<Origin> {
        let keys = self.settings_of(variable).into_iter();
        let paths = keys.map(|(section, key)| match section {
            "" => vec![key],
            section => vec![section, key],
        });
        let paths = std::iter::once(vec!["mattermost", "env", variable]).chain(paths);
        let entries = paths.filter_map(|path| self.draft.get(&path));
        let mut origins = entries.map(|entry| entry.origin);
        origins.find(|origin| matches!(origin, Origin::Line(_)))
    }

    /// Sets the variables that Mattermost had from GitLab's package and would not have here.
    pub(super) fn equalise(&mut self, plan: &Plan) {
        let here = variables(plan);
        let origin = self.origin();
        let of_ruby = self.package.environment_of_ruby();
        for (name, wanted) in self.package.environment().set() {
            if here.get(name) == Some(&wanted)
                || package::means_nothing(name, wanted).is_some()
                || legacy::corrected(name).is_some()
                || name == DATA_SOURCE
            {
                continue;
            }
            // Where only Ruby knows gitlab.rb's value, the value of the directory counts.
            if !matches!(of_ruby.get(name), Known::Unknown(_)) {
                if self.left_to_a_person(name) {
                    continue;
                }
                if let Some(line) = self.said_by(name) {
                    if name == TRUSTED && origin == Origin::Package {
                        self.with_gitlab(line, wanted);
                    }
                    self.another_story(origin, name, line);
                    continue;
                }
            }
            let fate = self.set_variable(origin, name, wanted);
            let remark = (name == "GODEBUG").then(|| {
                "GitLab's package set it for old middleboxes of TLS: remove it if there are none"
                    .to_owned()
            });
            self.tell(Line {
                origin,
                what: name.to_owned(),
                text: String::new(),
                fate,
                remark,
            });
        }
    }

    /// Source of the environment that Mattermost had.
    fn origin(&self) -> Origin {
        match self.package.variables {
            Some(_) => Origin::EnvDir,
            None => Origin::Package,
        }
    }

    /// Writes the hosts of gitlab.rb with GitLab's own, which the package added.
    fn with_gitlab(&mut self, line: Origin, hosts: &str) {
        let path = ["mattermost", TRUSTED_KEY];
        let note = Some("and GitLab's host, which its package added");
        let hosts = Json::from(hosts);
        self.add(line, Part::Mattermost, &path, hosts, false, note);
    }

    /// Reports a variable whose value in the directory is not the value of gitlab.rb.
    fn another_story(&mut self, origin: Origin, name: &str, line: Origin) {
        if origin == Origin::EnvDir {
            let why = format!(
                "Mattermost ran with another value than gitlab.rb says in {line}, whose value is written: was there no reconfigure since?"
            );
            self.report.person(origin, name, why);
        }
    }

    /// Unsets variables that a default of the catalogue sets and GitLab's package did not.
    pub(super) fn unset(&mut self, plan: &Plan) {
        let environment = self.package.environment();
        let mut names: Vec<String> = Vec::new();
        for name in variables(plan).into_keys() {
            let declared = self.catalogue.by_variable("mattermost", name);
            // A secret has no default: a secret in the plan comes from secrets.toml.
            let open = environment.get(name) != Known::Unset
                || declared.is_some_and(|(_, it)| it.secret)
                || ours(name).is_some()
                || name == "PATH"
                || self.said_by(name).is_some()
                || self.draft.has(&["mattermost", "env", name])
                || self.left_to_a_person(name);
            if !open {
                names.push(name.to_owned());
            }
        }
        if names.is_empty() {
            return;
        }
        let path = ["mattermost", "unset_env"];
        let note = Some("GitLab's package did not set them");
        let list = Json::from(names.clone());
        let origin = Origin::Package;
        let fate = self.add(origin, Part::Package, &path, list, false, note);
        for name in names {
            self.tell(Line {
                origin,
                what: name,
                text: String::new(),
                fate: fate.clone(),
                remark: Some("it was not set; config.json says what counts".to_owned()),
            });
        }
    }

    /// Reports each variable that differs from the one before, unless another line does.
    pub(super) fn account(&mut self, plan: &Plan) {
        let before = self.package.environment();
        let here = variables(plan);
        for (name, value) in before.set() {
            if here.get(name) == Some(&value) || self.told(name) {
                continue;
            }
            let fate = if let Some(why) = package::means_nothing(name, value) {
                Disposition::not_needed(why)
            } else if name == DATA_SOURCE {
                Disposition::not_needed("the PostgreSQL here has its socket at another place")
            } else {
                Disposition::person("it is another here than Mattermost had")
            };
            self.say(self.origin(), name, fate);
        }
        for name in here.into_keys() {
            if before.get(name) != Known::Unset || name == "PATH" || self.told(name) {
                continue;
            }
            let fate = match (self.said_by(name), ours(name)) {
                (Some(line), _) if self.package.variables.is_some() => {
                    Disposition::person(format!(
                        "gitlab.rb says it in {line}, and Mattermost ran without: was there no reconfigure since?"
                    ))
                }
                (_, Some(why)) => Disposition::New(why.to_owned()),
                (_, None) => Disposition::person("Mattermost did not have it"),
            };
            self.say(Origin::Machine, name, fate);
        }
    }

    fn say(&mut self, origin: Origin, name: &str, fate: Disposition) {
        self.report.add(Line {
            origin,
            what: name.to_owned(),
            text: String::new(),
            fate,
            remark: None,
        });
    }

    /// Whether the report says more about a variable than which key the variable became.
    fn told(&self, name: &str) -> bool {
        let of_line = self.report.lines.iter().any(|line| {
            let bare = matches!(line.fate, Disposition::Converted(_)) && line.remark.is_none();
            let why = match &line.fate {
                Disposition::NotNeeded(why) | Disposition::Person(why) | Disposition::New(why) => {
                    why
                }
                Disposition::Converted(_) => "",
            };
            let remark = line.remark.as_deref().unwrap_or_default();
            !bare
                && [line.what.as_str(), why, remark]
                    .iter()
                    .any(|it| names(it, name))
        });
        // The data source is reported even if a setting of the database waits for a person.
        of_line || (name != DATA_SOURCE && self.left_to_a_person(name))
    }
}

/// Whether a text has this name as a word.
fn names(text: &str, name: &str) -> bool {
    let between = |it: char| !it.is_ascii_alphanumeric() && it != '_';
    text.split(between).any(|word| word == name)
}

/// Mattermost's variables in a plan.
fn variables(plan: &Plan) -> BTreeMap<&str, &str> {
    let service = plan
        .services
        .get("mattermost")
        .map(AsRef::<Service>::as_ref);
    let env = service.into_iter().flat_map(|it| it.env.iter());
    env.map(|(name, it)| (name.as_str(), it.value.as_str()))
        .collect()
}
