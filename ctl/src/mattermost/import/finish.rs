//! The end of an import: what the secrets add, how things are arranged on this machine, and what is
//! needed for Mattermost to have the environment that it had.

use std::path::Path;

use plan::{Plan, Severity};
use serde_json::Value as Json;

use super::{
    check::{Wrong, check},
    convert::Converter,
    draft::Part,
    package::{self, Database},
    report::{Fate, Line, Origin},
    write,
};
use crate::error::{Error, Kind};

/// Rounds of taking out what does not check; each takes out something.
const MAX_ROUNDS: usize = 100;

impl Converter<'_> {
    /// A statement that sets nothing.
    pub(super) fn stray(&mut self, line: Line) {
        if let (Fate::Person(why), Origin::Line(number)) = (&line.fate, line.origin) {
            let comment = format!("gitlab.rb line {number}: {}: {why}", line.text);
            self.draft.comments.push(comment);
        }
        self.report.add(line);
    }

    /// What gitlab-secrets.json has of Mattermost.
    pub(super) fn secrets(&mut self) {
        for (key, value) in self.package.secrets {
            let text = match value {
                Json::String(text) => text.clone(),
                Json::Bool(it) => it.to_string(),
                Json::Number(it) => it.to_string(),
                _ => String::new(),
            };
            let declared = self.catalogue.setting("mattermost", key);
            let variable = declared.and_then(|it| it.env.clone());
            let in_dir = variable.as_ref().and_then(|it| {
                let variables = self.package.variables?;
                Some(variables.get(it).cloned().flatten())
            });
            let fate = match (variable, in_dir) {
                _ if text.is_empty() => Fate::not_needed("it has no value"),
                _ if self.draft.has(&["mattermost", key]) => {
                    Fate::not_needed("gitlab.rb says it, and that counts")
                }
                (None, _) if key.ends_with("_salt") => Fate::not_needed(
                    "GitLab 11.0 and later did not pass it on; Mattermost has it in config.json",
                ),
                (None, _) => Fate::not_needed("Mattermost had nothing of it"),
                (Some(_), Some(there)) if there.as_deref() != Some(text.as_str()) => {
                    Fate::not_needed("the directory of variables has what Mattermost really had")
                }
                (Some(variable), _) => self.set_variable(Origin::Secrets, &variable, &text),
            };
            self.tell(Line {
                origin: Origin::Secrets,
                what: format!("mattermost.{key}"),
                text: String::new(),
                fate,
                remark: None,
            });
        }
    }

    /// What follows from GitLab staying or going, and from where the database is.
    pub(super) fn arrange(&mut self, without_block: bool) {
        let origin = Origin::Machine;
        if without_block {
            self.report.person(
                Origin::Secrets,
                "mattermost",
                "the file has nothing of Mattermost (GitLab 19.0 takes it out): take the file from a backup, or the directory of variables",
            );
        }
        if self.package.stays() {
            self.beside();
        }
        self.gitlab_url();
        match self.package.database() {
            Database::Bundled { user, name } => {
                let note = Some("as GitLab's package named it, so that a dump fits");
                for (key, value) in [("sql_user", user), ("database_name", name)] {
                    let path = ["mattermost", key];
                    if !self.draft.has(&path) {
                        let value = Json::from(value);
                        self.add(Origin::Package, Part::Package, &path, value, false, note);
                    }
                }
            }
            Database::Elsewhere(source) => {
                if !self.draft.has(&["mattermost", "sql_data_source"]) {
                    self.database(Origin::EnvDir, &source);
                }
            }
        }
        let url = self.draft.has(&["mattermost_external_url"]);
        if !url && !self.said_in_vain("mattermost_external_url") {
            self.report.person(
                origin,
                "mattermost_external_url",
                "gitlab.rb does not set it, so Mattermost did not run, and does not run here",
            );
        }
    }

    /// The endpoints follow from GitLab's address, if they did there.
    fn gitlab_url(&mut self) {
        let path = ["mattermost", "gitlab_url"];
        let declared = self.catalogue.setting("mattermost", "gitlab_url").is_some();
        let environment = self.package.environment();
        let endpoint = environment.get("MM_GITLABSETTINGS_TOKENENDPOINT");
        let own = [
            "gitlab_auth_endpoint",
            "gitlab_token_endpoint",
            "gitlab_user_api_endpoint",
        ]
        .iter()
        .any(|key| self.draft.has(&["mattermost", key]));
        if let Some(url) = self.package.gitlab_url()
            && declared
            && !own
            && endpoint == Some(&format!("{url}/oauth/token"))
        {
            let note = Some("external_url of gitlab.rb; the endpoints follow from it");
            self.add(
                Origin::Package,
                Part::Package,
                &path,
                Json::from(url),
                false,
                note,
            );
        }
    }

    pub(super) fn said_in_vain(&self, key: &str) -> bool {
        let lines = self.report.lines.iter();
        let mut lines = lines.filter(|line| line.what == key);
        lines.any(|line| matches!(line.fate, Fate::Person(_)))
    }

    /// GitLab's nginx has the ports of this machine.
    fn beside(&mut self) {
        let path = ["mattermost_nginx", "enable"];
        let origin = Origin::Machine;
        if !self.draft.has(&path) {
            let note = Some("GitLab's nginx has the ports: see `ctl gitlab vhost`");
            let fate = self.add(origin, Part::Nginx, &path, Json::from(false), false, note);
            self.tell(Line {
                origin,
                what: "GitLab stays here".to_owned(),
                text: String::new(),
                fate,
                remark: Some(
                    "its nginx serves Mattermost's site too: `ctl gitlab vhost` writes it"
                        .to_owned(),
                ),
            });
        }
        let url = self.package.text("", "mattermost_external_url");
        let Some(url) = url.filter(|it| it.starts_with("https://")) else {
            return;
        };
        let host = package::host(&url).unwrap_or_default();
        for (key, end) in [("ssl_certificate", "crt"), ("ssl_certificate_key", "key")] {
            let path = ["mattermost_nginx", key];
            if !self.draft.has(&path) {
                let file = Json::from(format!("/etc/gitlab/ssl/{host}.{end}"));
                let note = Some("where GitLab's nginx has it");
                self.add(Origin::Package, Part::Nginx, &path, file, false, note);
            }
        }
    }

    /// Checks, takes out what does not check, and adds what Mattermost had besides.
    pub(super) fn finish(&mut self, secrets_file: Option<&Path>) -> Result<(), Error> {
        let (plan, _) = self.checked(secrets_file)?;
        if plan.services.get("mattermost").is_some_and(|it| it.enabled) {
            self.equalise(&plan);
            self.leave_empty(&plan);
        }
        let (plan, remarks) = self.checked(secrets_file)?;
        for remark in remarks {
            self.remark(remark);
        }
        self.fail_closed();
        if let Some(path) = secrets_file
            && let Some(merged) = write::merge(path, &self.draft)?
        {
            for key in merged.kept {
                let why = "secrets.toml has another value for it already, which stays; if the database comes from GitLab, the imported one is right";
                self.report.person(Origin::Machine, &key, why);
            }
        }
        if plan.services.get("mattermost").is_some_and(|it| it.enabled)
            && !self.draft.has(&["mattermost", "sql_at_rest_encrypt_key"])
        {
            let why = "the key that some fields of the database are encrypted with is in none of the files: give --secrets /etc/gitlab/gitlab-secrets.json, or --env-dir; else a new one is made, and those fields cannot be read";
            let what = "mattermost['sql_at_rest_encrypt_key']";
            self.report.person(Origin::Package, what, why);
        }
        Ok(())
    }

    /// The plan of a draft that is right; what is not right goes to a person.
    fn checked(&mut self, secrets_file: Option<&Path>) -> Result<(Plan, Vec<Wrong>), Error> {
        for _ in 0..MAX_ROUNDS {
            let merged = match secrets_file {
                Some(path) => write::merge(path, &self.draft)?.map(|it| it.text),
                None => None,
            };
            let wrong = match check(&self.draft, "gitlab.rb", merged.as_deref()) {
                Ok(good) => return Ok(good),
                Err(wrong) => wrong,
            };
            let errors = wrong
                .into_iter()
                .filter(|it| it.severity == Severity::Error)
                .collect();
            if let Some(left) = self.take_out(errors) {
                let message = format!("cannot make a site file that is right: {left}");
                let error = Error::new(Kind::Failed, message);
                return Err(match secrets_file {
                    Some(path) if merged.is_some() => {
                        error.hint(format!("is {} right? ctl check-config", path.display()))
                    }
                    _ => error,
                });
            }
        }
        Err(Error::new(
            Kind::Failed,
            "cannot make a site file that is right",
        ))
    }

    /// Takes what is wrong out of the draft; answers what could not be found in it.
    fn take_out(&mut self, errors: Vec<Wrong>) -> Option<String> {
        let indices: Vec<usize> = errors.iter().filter_map(|it| it.entry).collect();
        if indices.is_empty() {
            let first = errors.into_iter().next();
            return Some(first.map_or_else(String::new, |it| it.message));
        }
        for wrong in &errors {
            let Some(index) = wrong.entry else { continue };
            let entry = self.draft.entry(index);
            let key = entry.key();
            let why = format!("{key} {}", wrong.message);
            let origin = entry.origin;
            match entry.reported {
                Some(line) => self.report.lines[line].fate = Fate::Person(why.clone()),
                None => self.report.person(origin, &key, why.clone()),
            }
            let place = match origin {
                Origin::Line(line) => format!("gitlab.rb line {line}"),
                other => other.to_string(),
            };
            let text = entry.reported.map(|line| &self.report.lines[line].text);
            self.draft.comments.push(match text {
                Some(text) if !text.is_empty() => format!("{place}: {text}: {why}"),
                _ => format!("{place}: {why}"),
            });
        }
        self.draft.remove(&indices);
        None
    }

    /// A warning of the check.
    fn remark(&mut self, wrong: Wrong) {
        let (Some(index), Severity::Warning) = (wrong.entry, wrong.severity) else {
            return;
        };
        let entry = self.draft.entry(index);
        let (origin, key) = (entry.origin, entry.key());
        self.report.person(origin, &key, wrong.message);
    }

    /// Sets what Mattermost had from GitLab's package and would not have here.
    fn equalise(&mut self, plan: &Plan) {
        let Some(service) = plan.services.get("mattermost") else {
            return;
        };
        let origin = if self.package.variables.is_some() {
            Origin::EnvDir
        } else {
            Origin::Package
        };
        for (name, wanted) in self.package.environment() {
            let has = service.env.get(&name).map(|it| it.value.as_str());
            if has == Some(&wanted)
                || package::means_nothing(&name, &wanted).is_some()
                || super::legacy::corrected(&name).is_some()
                || name == "MM_SQLSETTINGS_DATASOURCE"
            {
                continue;
            }
            if self.left_to_a_person(&name) {
                continue;
            }
            if let Some(line) = self.said_by(&name) {
                // Only a directory of variables can tell another story than gitlab.rb.
                if origin == Origin::EnvDir {
                    let why = format!(
                        "Mattermost ran with another value than gitlab.rb says in {line}, whose value is written: was there no reconfigure since?"
                    );
                    self.report.person(origin, &name, why);
                }
                continue;
            }
            let fate = self.set_variable(origin, &name, &wanted);
            let remark = (name == "GODEBUG").then(|| {
                "GitLab's package set it for old middleboxes of TLS: remove it if there are none"
                    .to_owned()
            });
            self.tell(Line {
                origin,
                what: name,
                text: String::new(),
                fate,
                remark,
            });
        }
    }

    /// What GitLab's package left out and a default here would set: an empty text says the same.
    fn leave_empty(&mut self, plan: &Plan) {
        let environment = self.package.environment();
        let Some(service) = plan.services.get("mattermost") else {
            return;
        };
        for name in package::TEXTS {
            let has = service.env.get(name).is_some_and(|it| !it.value.is_empty());
            let declared = self.catalogue.by_variable("mattermost", name);
            let Some((key, _)) = declared.filter(|_| has && !environment.contains_key(name)) else {
                continue;
            };
            let key = key.to_owned();
            let path = ["mattermost", key.as_str()];
            if self.draft.has(&path) || self.draft.has(&["mattermost", "env", name]) {
                continue;
            }
            let note = Some("GitLab's package left it out");
            let empty = Json::from("");
            self.add(Origin::Package, Part::Package, &path, empty, false, note);
        }
    }

    /// Whether a person has to say what a variable is to be, since gitlab.rb says it in vain.
    fn left_to_a_person(&self, name: &str) -> bool {
        let setting = self.catalogue.by_variable("mattermost", name);
        let mut keys: Vec<&str> = setting.map(|(key, _)| key).into_iter().collect();
        match name {
            "MM_SERVICESETTINGS_SITEURL" => keys.push("mattermost_external_url"),
            "MM_SERVICESETTINGS_LISTENADDRESS" => {
                keys.extend(["service_address", "service_port"]);
            }
            "MM_SERVICESETTINGS_ALLOWEDUNTRUSTEDINTERNALCONNECTIONS" => {
                keys.push("service_allowed_untrusted_internal_connections");
            }
            _ => {}
        }
        let whats = keys.iter().map(|key| match *key {
            "mattermost_external_url" => (*key).to_owned(),
            key => super::settings::name("mattermost", key),
        });
        let mut whats = whats.chain([format!("mattermost['env']['{name}']")]);
        let in_vain = |what: &String| self.said_in_vain(what);
        // A condition leaves what would have been without it.
        whats.any(|what| in_vain(&what)) && self.package.decides(name, &keys)
    }

    /// The line of gitlab.rb that a variable comes from.
    fn said_by(&self, name: &str) -> Option<Origin> {
        let setting = self.catalogue.by_variable("mattermost", name);
        let more = match name {
            "MM_SERVICESETTINGS_SITEURL" => vec![vec!["mattermost_external_url"]],
            "MM_SERVICESETTINGS_LISTENADDRESS" => vec![
                vec!["mattermost", "service_address"],
                vec!["mattermost", "service_port"],
            ],
            _ => Vec::new(),
        };
        let mut paths = vec![vec!["mattermost", "env", name]];
        paths.extend(setting.map(|(key, _)| vec!["mattermost", key]));
        paths.extend(more);
        let entries = paths.iter().filter_map(|path| self.draft.get(path));
        entries
            .map(|entry| entry.origin)
            .find(|origin| matches!(origin, Origin::Line(_)))
    }
}
