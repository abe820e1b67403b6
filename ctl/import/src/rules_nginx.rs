//! Rules for `mattermost_nginx['KEY']` and `nginx['KEY']`.

use serde_json::Value as Json;

use super::{
    convert::{Converter, near},
    draft::Part,
    gitlab,
    report::Disposition,
    ruby::Value,
    settings::Setting,
};

impl Converter<'_> {
    /// Converts a setting of Mattermost's site.
    pub(super) fn mattermost_nginx(&mut self, setting: &Setting) -> Disposition {
        let key = setting.key.as_str();
        let path = ["mattermost_nginx", key];
        if key == "enable" {
            return match &setting.value {
                Value::Bool(false) => {
                    self.put(setting, Part::Nginx, &path, Json::from(false), false)
                }
                Value::Unknown(why) => Disposition::Person(why.clone()),
                _ if self.package.stays() => {
                    Disposition::not_needed("GitLab's nginx goes on to serve Mattermost's site")
                }
                _ => Disposition::not_needed("it runs where Mattermost does"),
            };
        }
        if let Some(declared) = self.catalogue.setting("mattermost_nginx", key).cloned() {
            return self.declared(setting, Part::Nginx, &path, &declared);
        }
        if gitlab::NGINX_OWN.contains(&key) {
            return Disposition::not_needed("the nginx here has its own way with that");
        }
        let known = self.catalogue.names("mattermost_nginx");
        let hint = near(key, known);
        Disposition::person(format!(
            "the nginx here has no such setting{hint}; custom_gitlab_mattermost_server_config takes further lines of its server block"
        ))
    }

    /// Converts a setting of `nginx`: only those that count for all sites have a key here.
    pub(super) fn nginx(&mut self, setting: &Setting) -> Disposition {
        let key = setting.key.as_str();
        if self.package.stays() {
            return match (key, &setting.value) {
                ("enable", Value::Bool(false)) => {
                    let path = ["mattermost_nginx", "enable"];
                    self.put(setting, Part::Nginx, &path, Json::from(false), false)
                }
                _ => Disposition::not_needed("it is about GitLab's nginx, which stays"),
            };
        }
        let path = ["nginx", key];
        match (key, &setting.value) {
            ("enable", Value::Bool(false)) => {
                return self.put(setting, Part::Nginx, &path, Json::from(false), false);
            }
            ("enable", Value::Unknown(why)) => return Disposition::Person(why.clone()),
            ("enable", _) => return Disposition::not_needed("it runs where Mattermost does"),
            _ => {}
        }
        if !gitlab::NGINX_GLOBAL.contains(&key) {
            return Disposition::not_needed(
                "it is about GitLab's own site; Mattermost's has mattermost_nginx",
            );
        }
        match self.catalogue.setting("nginx", key).cloned() {
            Some(declared) => self.declared(setting, Part::Nginx, &path, &declared),
            None => Disposition::not_needed("the nginx here has its own way with that"),
        }
    }
}
