//! Which key of a site file each setting of gitlab.rb becomes.
//!
//! Owner: [`Converter`]. Each rule puts the new key into the draft and returns the disposition of
//! the setting. `rules_mattermost`, `rules_variables`, `rules_nginx` and `rules_postgresql` have
//! the rules of their sections.

use serde_json::Value as Json;

use super::{
    catalogue::{Catalogue, Declared, Switch},
    coerce,
    draft::{Draft, Entry, Part},
    gitlab,
    package::Package,
    report::{Disposition, Line, Origin, Report},
    ruby::Value,
    secrecy,
    settings::Setting,
};

/// Everything that a rule needs.
pub(super) struct Converter<'a> {
    pub(super) catalogue: &'a Catalogue,
    pub(super) package: &'a Package<'a>,
    pub(super) draft: Draft,
    pub(super) report: Report,
}

/// Disposition of a setting, and a remark for the report.
pub(super) type Verdict = (Disposition, Option<String>);

impl Converter<'_> {
    /// Converts and reports one setting of gitlab.rb.
    pub(super) fn setting(&mut self, setting: &Setting) {
        let (fate, remark) = match self.answered(setting) {
            Some(fate) => (fate, None),
            None => self.verdict(setting),
        };
        if let Disposition::Person(why) = &fate {
            let text = if setting.text.is_empty() {
                setting.what()
            } else {
                setting.text.clone()
            };
            let comment = format!("gitlab.rb line {}: {text}: {why}", setting.line);
            self.draft.comments.push(comment);
        }
        let line = setting.became(fate, remark);
        self.tell(line);
    }

    /// Adds a line to the report, and records its number in the draft's entries of its keys, so
    /// that a later error of an entry changes this line.
    pub(super) fn tell(&mut self, line: Line) {
        let keys = match &line.fate {
            Disposition::Converted(keys) => keys.clone(),
            _ => Vec::new(),
        };
        let number = self.report.add(line);
        self.draft.report_as(&keys, number);
    }

    fn verdict(&mut self, setting: &Setting) -> Verdict {
        match setting.section.as_str() {
            "" => (self.top(setting), None),
            "mattermost" if setting.key == "env" => self.variable(setting),
            "mattermost" => self.mattermost(setting),
            "mattermost_nginx" => (self.mattermost_nginx(setting), None),
            "nginx" => (self.nginx(setting), None),
            "postgresql" => (self.postgresql(setting), None),
            _ => (self.other(setting), None),
        }
    }

    fn top(&mut self, setting: &Setting) -> Disposition {
        match setting.key.as_str() {
            "mattermost_external_url" => match coerce::typed(&setting.value, "url") {
                Ok(None) => Disposition::not_needed("it has no value, so Mattermost is off"),
                Ok(Some(Json::String(url))) if url.is_empty() => {
                    Disposition::not_needed("it is empty, so Mattermost is off")
                }
                Ok(Some(url)) => self.put(
                    setting,
                    Part::Site,
                    &["mattermost_external_url"],
                    url,
                    false,
                ),
                Err(why) => Disposition::Person(why),
            },
            "external_url" => match setting.value.doubt() {
                // A directory of variables would have what followed from the address.
                Some(why) if self.package.variables.is_none() => Disposition::person(format!(
                    "{why}; GitLab is taken to run here, and where people sign in with it, mattermost.gitlab_url is to be set to its address"
                )),
                _ if self.package.stays() => {
                    Disposition::not_needed("GitLab's own address; it stays in GitLab's gitlab.rb")
                }
                _ => Disposition::not_needed("GitLab's own address; nothing of GitLab runs here"),
            },
            "roles" => match setting.value.doubt() {
                Some(why) => Disposition::person(format!(
                    "{why}; roles say which services of GitLab's package ran: was Mattermost's database among them?"
                )),
                None => Disposition::not_needed(
                    "roles of GitLab's package: they say which of its services run",
                ),
            },
            key if gitlab::is_top(key) => Disposition::not_needed("belongs to GitLab"),
            key => {
                let tops = ["mattermost_external_url", "external_url", "roles"];
                Disposition::person(format!(
                    "GitLab has no setting of this name{}",
                    near(key, tops.into_iter())
                ))
            }
        }
    }

    /// Converts a setting of a section without rules of its own.
    fn other(&mut self, setting: &Setting) -> Disposition {
        let (section, key) = (setting.section.as_str(), setting.key.as_str());
        let known = gitlab::is_section(section)
            || matches!(section, "letsencrypt" | "manage_accounts")
            || self.catalogue.switch(section).is_some();
        if !known {
            let why = format!(
                "GitLab has no section of this name{}",
                near(section, gitlab::known())
            );
            return Disposition::Person(why);
        }
        if key == "enable" && section != "manage_storage_directories" {
            return self.switch(setting);
        }
        if section == "letsencrypt" && self.package.stays() {
            return Disposition::not_needed(
                "GitLab's nginx ends TLS on this machine, and renews there",
            );
        }
        let ours = section == "logging"
            || (matches!(section, "letsencrypt" | "postgres_exporter") && !self.package.stays());
        if ours && let Some(declared) = self.catalogue.setting(section, key).cloned() {
            return self.declared(setting, Part::Services, &[section, key], &declared);
        }
        if key == "mattermost_host" && section == "gitlab_rails" {
            return Disposition::not_needed(
                "it tells GitLab where Mattermost is: it stays in GitLab's gitlab.rb",
            );
        }
        Disposition::not_needed(gitlab::reason(section, key))
    }

    /// Converts `SECTION['enable']`.
    fn switch(&mut self, setting: &Setting) -> Disposition {
        let section = setting.section.as_str();
        let switch = self.catalogue.switch(section);
        let on = match &setting.value {
            Value::Bool(on) => *on,
            Value::Nil => return Disposition::not_needed("it has no value"),
            Value::Unknown(why) => return Disposition::Person(why.clone()),
            _ => return Disposition::person("it is neither true nor false"),
        };
        let path = [section, "enable"];
        match (section, on) {
            ("manage_accounts", _) => self.put(setting, Part::Site, &path, Json::from(on), false),
            ("letsencrypt", true) if self.package.stays() => {
                Disposition::not_needed("GitLab's nginx ends TLS on this machine, and renews there")
            }
            ("letsencrypt", true) if switch == Some(Switch::Service) => {
                self.put(setting, Part::Services, &path, Json::from(on), false)
            }
            (_, true) => Disposition::not_needed("belongs to GitLab, which runs it"),
            (_, false) if switch.is_some() => {
                self.put(setting, Part::Services, &path, Json::from(on), false)
            }
            (_, false) => Disposition::not_needed("it does not run here"),
        }
    }

    /// Converts a setting that the catalogue declares.
    pub(super) fn declared(
        &mut self,
        setting: &Setting,
        part: Part,
        path: &[&str],
        declared: &Declared,
    ) -> Disposition {
        if let Some(why) = &declared.obsolete {
            return Disposition::not_needed(why.clone());
        }
        match coerce::typed(&setting.value, &declared.kind) {
            Ok(None) => Disposition::not_needed("it has no value: the default counts"),
            Ok(Some(value)) => {
                let text = value.as_str().unwrap_or_default();
                let secret = declared.secret || secrecy::value_secret(text);
                self.put(setting, part, path, value, secret)
            }
            Err(why) => Disposition::Person(why),
        }
    }

    /// Puts a value into the draft.
    pub(super) fn put(
        &mut self,
        setting: &Setting,
        part: Part,
        path: &[&str],
        value: Json,
        secret: bool,
    ) -> Disposition {
        self.add(Origin::Line(setting.line), part, path, value, secret, None)
    }

    /// Puts a value into the draft, with any origin and a note for its comment.
    pub(super) fn add(
        &mut self,
        origin: Origin,
        part: Part,
        path: &[&str],
        value: Json,
        secret: bool,
        note: Option<&str>,
    ) -> Disposition {
        let entry = Entry {
            part,
            path: path.iter().map(|it| (*it).to_owned()).collect(),
            value,
            secret,
            note: note.map(str::to_owned),
            origin,
            reported: None,
        };
        let key = entry.key();
        self.draft.set(entry);
        Disposition::Converted(vec![key])
    }
}

/// `; did you mean X?` with the nearest known name; empty if none is near.
pub(super) fn near<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> String {
    plan::nearest(name, known).map_or_else(String::new, |it| format!("; did you mean {it}?"))
}
