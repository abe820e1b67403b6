//! Rules for `mattermost['env']['NAME']`.

use serde_json::Value as Json;

use super::{
    coerce,
    convert::{Converter, Verdict},
    draft::Part,
    equalise, legacy, package,
    report::{Disposition, Origin},
    ruby::Value,
    secrecy,
    settings::Setting,
};

impl Converter<'_> {
    /// Converts one variable, or the whole hash if it could not be taken apart.
    pub(super) fn variable(&mut self, setting: &Setting) -> Verdict {
        let Some(name) = &setting.variable else {
            let fate = match &setting.value {
                Value::Unknown(why) => Disposition::Person(why.clone()),
                Value::Hash(_) | Value::Nil => Disposition::not_needed("it sets no variable"),
                _ => Disposition::person("it is no hash of variables"),
            };
            return (fate, None);
        };
        if !valid(name) {
            let why = "no variable can have this name";
            return (Disposition::person(why), None);
        }
        let value = match coerce::variable(&setting.value) {
            Ok(Some(value)) => value,
            Ok(None) => return (Self::taken_away(name), None),
            Err(why) => return (Disposition::Person(why), None),
        };
        let mut remark = None;
        if value.contains('\n') {
            remark = Some(
                "GitLab's package passed on its first line alone; here it is whole".to_owned(),
            );
        }
        let right = legacy::corrected(name);
        if let Some(right) = right {
            remark = Some(format!(
                "{name} is from GitLab's document, and no Mattermost ever had it: written as {right}"
            ));
            if self.draft.has(&["mattermost", "env", right]) {
                return (
                    Disposition::not_needed(format!(
                        "no Mattermost ever had it, and {right} is set"
                    )),
                    None,
                );
            }
        }
        let name = right.unwrap_or(name);
        if let Some(last) = legacy::gone_after(name) {
            remark = Some(format!(
                "Mattermost has it no more: the last version seen with it is {last}"
            ));
        } else if value.contains("/opt/gitlab/") {
            remark = Some("it points into GitLab's package, which may be removed".to_owned());
        }
        let fate = self.set_variable(Origin::Line(setting.line), name, &value);
        (fate, remark)
    }

    /// Puts a variable into the draft, as a setting where other parts of the site read the setting.
    pub(super) fn set_variable(&mut self, origin: Origin, name: &str, value: &str) -> Disposition {
        if let Some(why) = package::means_nothing(name, value) {
            return Disposition::not_needed(why);
        }
        if name == "MM_SQLSETTINGS_DATASOURCE" {
            return self.database(origin, value);
        }
        if name == "MM_SERVICESETTINGS_LISTENADDRESS"
            && let Some((address, port)) = value.rsplit_once(':')
            && let Ok(number) = port.parse::<u16>()
        {
            let part = Part::Mattermost;
            let (address, port) = (Json::from(address), Json::from(number));
            let keys = [("service_address", address), ("service_port", port)];
            let keys = keys.map(|(key, value)| {
                self.add(origin, part, &["mattermost", key], value, false, None);
                format!("mattermost.{key}")
            });
            return Disposition::Converted(keys.to_vec());
        }
        let path_of = package::PATHS.iter().find(|(_, it, _)| *it == name);
        let part = if origin == Origin::Package {
            Part::Package
        } else {
            Part::Variables
        };
        if let Some((key, ..)) = path_of
            && value.starts_with('/')
        {
            let part = Part::Mattermost;
            let path = ["mattermost", key];
            return self.add(origin, part, &path, Json::from(value), false, None);
        }
        // A variable of gitlab.rb stays a variable; other variables become settings if declared.
        let declared = self.catalogue.by_variable("mattermost", name);
        let declared = declared.map(|(key, it)| (key.to_owned(), it.clone()));
        if let (false, Some((key, declared))) = (matches!(origin, Origin::Line(_)), declared)
            && let Ok(Some(json)) = coerce::typed(&Value::Text(value.to_owned()), &declared.kind)
        {
            let part = if part == Part::Variables {
                Part::Mattermost
            } else {
                part
            };
            let path = ["mattermost", key.as_str()];
            return self.add(origin, part, &path, json, declared.secret, None);
        }
        let secret = secrecy::secret_variable(name, value)
            || self
                .catalogue
                .by_variable("mattermost", name)
                .is_some_and(|(_, it)| it.secret);
        let path = ["mattermost", "env", name];
        self.add(origin, part, &path, Json::from(value), secret, None)
    }

    /// Disposition of a variable with an empty value, which unset the variable.
    fn taken_away(name: &str) -> Disposition {
        if equalise::ours(name).is_some() {
            return Disposition::person(
                "its empty value took the variable away; here a setting has it: look at what it is set to",
            );
        }
        Disposition::not_needed("its empty value took the variable away, and it is not set here")
    }
}

fn valid(name: &str) -> bool {
    name.starts_with(|it: char| it.is_ascii_alphabetic() || it == '_')
        && name
            .chars()
            .all(|it| it.is_ascii_alphanumeric() || matches!(it, '_' | '.' | '-'))
}
