//! Rules for `mattermost['KEY']`.

use serde_json::Value as Json;

use super::{
    coerce,
    convert::{Converter, Verdict, near},
    database::{Database, SOURCE_COUNTS},
    draft::Part,
    known::Known,
    legacy, package,
    report::{Disposition, Origin},
    ruby::Value,
    secrecy,
    settings::Setting,
};

impl Converter<'_> {
    /// Converts a setting of Mattermost other than `mattermost['env']`.
    pub(super) fn mattermost(&mut self, setting: &Setting) -> Verdict {
        let key = setting.key.as_str();
        if setting.value == Value::Bool(false)
            && let Some(secret) = self.package.secret(key).filter(|it| it != "false")
        {
            let shown = if secret == "true" {
                " true"
            } else {
                " a value"
            };
            let why = format!(
                "gitlab-secrets.json has{shown}, which counted: GitLab's package took false for not set"
            );
            return (Disposition::NotNeeded(why), None);
        }
        if let Some(fate) = self.mattermost_own(setting) {
            return (fate, None);
        }
        if package::PATHS.iter().any(|(own, ..)| *own == key) {
            match coerce::variable(&setting.value) {
                Ok(Some(path)) if package::own_path(key, &path) => {
                    let why = "its place in GitLab's package; the files move, see what is next";
                    return (Disposition::not_needed(why), None);
                }
                Ok(Some(path)) if !path.starts_with('/') => {
                    return (Disposition::person("it is not an absolute path"), None);
                }
                _ => {}
            }
        }
        // An old-style salt is an obsolete setting here, but its variable still counts.
        let declared = self.catalogue.setting("mattermost", key).cloned();
        let legacy = legacy::find(key);
        if let Some(declared) = declared.filter(|it| it.obsolete.is_none() || legacy.is_none()) {
            if declared.env.is_some() && coerce::variable(&setting.value) == Ok(None) {
                let why = "it is empty, and GitLab's package set no variable for that";
                return (Disposition::not_needed(why), None);
            }
            let path = ["mattermost", key];
            let fate = self.declared(setting, Part::Mattermost, &path, &declared);
            return (fate, None);
        }
        if let Some(legacy) = legacy {
            return self.legacy(setting, &legacy);
        }
        let settings = legacy::keys().collect::<Vec<_>>();
        let known = self.catalogue.names("mattermost");
        let hint = near(key, known.chain(settings.iter().map(String::as_str)));
        let why = format!("Mattermost never had a setting of this name in gitlab.rb{hint}");
        (Disposition::Person(why), None)
    }

    /// Converts a setting that has a rule of its own; `None` for all other settings.
    fn mattermost_own(&mut self, setting: &Setting) -> Option<Disposition> {
        let key = setting.key.as_str();
        Some(match key {
            "enable" => self.mattermost_switch(setting),
            "sql_data_source" => self.data_source(setting),
            "database_name" if self.package.source_counts() => {
                Disposition::not_needed(SOURCE_COUNTS)
            }
            "sql_driver_name" => match coerce::variable(&setting.value) {
                Ok(Some(driver))
                    if driver != "postgres"
                        && self.package.said("mattermost", "sql_data_source") == Known::Unset =>
                {
                    Disposition::person(
                        "no mattermost['sql_data_source'] says where that database is, and the one here is PostgreSQL",
                    )
                }
                _ => return None,
            },
            _ if legacy::DEAD.contains(&key) => {
                Disposition::not_needed("no Mattermost has read it since version 4")
            }
            _ => return None,
        })
    }

    fn mattermost_switch(&mut self, setting: &Setting) -> Disposition {
        let on = match &setting.value {
            Value::Bool(on) => *on,
            Value::Unknown(why) => return Disposition::Person(why.clone()),
            _ => return Disposition::not_needed("mattermost_external_url turns it on"),
        };
        if on && self.package.site_url() != Known::Unset {
            return Disposition::not_needed("mattermost_external_url turns it on");
        }
        let path = ["mattermost", "enable"];
        self.put(setting, Part::Mattermost, &path, Json::from(on), false)
    }

    fn data_source(&mut self, setting: &Setting) -> Disposition {
        match coerce::variable(&setting.value) {
            Ok(Some(source)) => self.database(Origin::Line(setting.line), &source),
            Ok(None) => Disposition::not_needed("it is empty: the database here counts"),
            Err(why) => Disposition::Person(why),
        }
    }

    /// Puts the keys of Mattermost's database into the draft.
    pub(super) fn database(&mut self, origin: Origin, source: &str) -> Disposition {
        match self.package.whose(source) {
            Database::Undecided(why) => Disposition::Person(why),
            Database::Bundled { user, name } => {
                let part = Part::Mattermost;
                let note = "as GitLab's package named it, so that a dump fits";
                for (key, value) in [("sql_user", user), ("database_name", name)] {
                    let path = ["mattermost", key];
                    self.add(origin, part, &path, Json::from(value), false, Some(note));
                }
                Disposition::Converted(vec![
                    "mattermost.sql_user".to_owned(),
                    "mattermost.database_name".to_owned(),
                ])
            }
            Database::Elsewhere(source) => {
                let path = ["mattermost", "sql_data_source"];
                let value = Json::from(source);
                let fate = self.add(origin, Part::Mattermost, &path, value, true, None);
                let note = Some("the database is elsewhere");
                let off = Json::from(false);
                let path = ["postgresql", "enable"];
                self.add(origin, Part::Postgresql, &path, off, false, note);
                fate
            }
        }
    }

    /// Converts a key of the style before GitLab 11.0.
    fn legacy(&mut self, setting: &Setting, legacy: &legacy::Legacy) -> Verdict {
        let variable = &legacy.variable;
        let mut remark = legacy.documented.map(|wrong| {
            format!("GitLab's document names {wrong} for it, which no Mattermost ever had")
        });
        if self.package.in_env(variable) {
            let why = format!("mattermost['env'] says {variable} itself, and that counts");
            return (Disposition::NotNeeded(why), remark);
        }
        let value = match coerce::variable(&setting.value) {
            Ok(Some(value)) => value,
            Ok(None) => {
                let why = "it is empty, and GitLab's package set no variable for that";
                return (Disposition::not_needed(why), remark);
            }
            Err(why) => {
                return (
                    Disposition::person(format!("{why}; it would be {variable}")),
                    remark,
                );
            }
        };
        let secret = secrecy::secret_variable(variable, &value);
        let shown = if secret { "(secret)" } else { &value };
        let path = ["mattermost", "env", variable.as_str()];
        let line = format!("mattermost.env.{variable} = {}", Json::from(shown));
        if let Some(last) = legacy.gone_after {
            let why = format!(
                "Mattermost has no {variable} any more: the last version seen with it is {last}"
            );
            self.draft
                .comments
                .push(format!("{line}   gone after Mattermost {last}"));
            return (Disposition::NotNeeded(why), remark);
        }
        if let Some(variables) = self.package.variables
            && !variables.contains_key(variable)
        {
            let why = format!(
                "GitLab 11.0 and later ignored this line: Mattermost ran without {variable}, by what its System Console says; mattermost.env.{variable} would set it again"
            );
            return (Disposition::Person(why), remark);
        }
        let part = Part::Variables;
        let fate = self.put(setting, part, &path, Json::from(value), secret);
        if self.package.variables.is_none() {
            let ignored = format!(
                "GitLab 11.0 and later ignored this line: if Mattermost ran with one of those, take mattermost.env.{variable} out again, and what its System Console says counts as before"
            );
            remark = Some(match remark {
                Some(first) => format!("{first}; {ignored}"),
                None => ignored,
            });
        }
        (fate, remark)
    }
}
