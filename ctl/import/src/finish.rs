//! The end of an import: adds the secrets, arranges services and database for this machine, and
//! checks the draft.
//!
//! A setting that waits for a person must not hide other errors: [`Converter::probe`] puts
//! stand-ins for such settings into the draft that is checked.

use std::path::Path;

use client::{Error, Kind};
use plan::{Plan, Severity};
use serde_json::Value as Json;

use super::{
    check::{Wrong, check},
    convert::Converter,
    database::Database,
    draft::{Draft, Entry, Part},
    known::Known,
    package,
    report::{Disposition, Line, Origin},
    ruby::Value,
    write,
};

/// Stand-in for an address that a person has still to write, while the rest is checked.
const SOME_URL: &str = "http://mattermost.invalid";

/// Most rounds of checking; each failed round removes at least one entry.
const MAX_ROUNDS: usize = 100;

impl Converter<'_> {
    /// Reports a statement that sets nothing.
    pub(super) fn stray(&mut self, line: Line) {
        if let (Disposition::Person(why), Origin::Line(number)) = (&line.fate, line.origin) {
            let comment = format!("gitlab.rb line {number}: {}: {why}", line.text);
            self.draft.comments.push(comment);
        }
        self.report.add(line);
    }

    /// Converts and reports Mattermost's values in gitlab-secrets.json.
    pub(super) fn secrets(&mut self) {
        for key in self.package.secrets.keys() {
            let text = self.package.secret(key).unwrap_or_default();
            let declared = self.catalogue.setting("mattermost", key);
            let variable = declared.and_then(|it| it.env.clone());
            let in_dir = variable.as_ref().and_then(|it| {
                let variables = self.package.variables?;
                Some(variables.get(it).cloned().flatten())
            });
            let fate = match (variable, in_dir) {
                _ if text.is_empty() => Disposition::not_needed("it has no value"),
                _ if self.draft.has(&["mattermost", key]) => {
                    Disposition::not_needed("gitlab.rb says it, and that counts")
                }
                (None, _) if key.ends_with("_salt") => Disposition::not_needed(
                    "GitLab 11.0 and later did not pass it on; Mattermost has it in config.json",
                ),
                (None, _) => Disposition::not_needed("Mattermost had nothing of it"),
                (Some(_), Some(there)) if there.as_deref() != Some(text.as_str()) => {
                    Disposition::not_needed(
                        "the directory of variables has what Mattermost really had",
                    )
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

    /// Adds the keys that follow from GitLab staying or going, and from the database's place.
    pub(super) fn arrange(&mut self, without_block: bool) {
        if without_block {
            self.report.person(
                Origin::Secrets,
                "mattermost",
                "the file has nothing of Mattermost (GitLab 19.0 takes it out): take the file from a backup, or the directory of variables",
            );
        }
        self.url_of_directory();
        if self.package.stays() {
            self.beside();
        }
        self.gitlab_url();
        match self.package.database() {
            // [`Converter::undecided`] reports this case.
            Database::Undecided(_) => {}
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
        self.without_url();
    }

    /// Takes Mattermost's address from the directory of variables if only Ruby knows gitlab.rb's.
    fn url_of_directory(&mut self) {
        let path = ["mattermost_external_url"];
        let there = self.package.in_directory("MM_SERVICESETTINGS_SITEURL");
        let other = self.package.said("mattermost", "service_site_url") != Known::Unset;
        if let (Some(url), false, Known::Unknown(_)) = (there, other, self.package.site_url()) {
            let url = Json::from(url);
            self.add(Origin::EnvDir, Part::Site, &path, url, false, None);
        }
    }

    /// Reports what the lack of an address in gitlab.rb means.
    fn without_url(&mut self) {
        let what = "mattermost_external_url";
        let on = self.package.said("mattermost", "enable") == Known::Set(&Value::Bool(true));
        if self.draft.has(&[what]) || self.said_in_vain(what) || on {
            return;
        }
        let why = match self.package.in_directory("MM_SERVICESETTINGS_SITEURL") {
            Some(url) => format!(
                "gitlab.rb does not set it, but Mattermost ran: {what} = \"{url}\" lets it run here"
            ),
            None => "gitlab.rb does not set it, so Mattermost did not run, and does not run here"
                .to_owned(),
        };
        self.report.person(Origin::Machine, what, why);
    }

    /// Sets `mattermost.gitlab_url` if the endpoints followed from GitLab's address before.
    fn gitlab_url(&mut self) {
        let path = ["mattermost", "gitlab_url"];
        let declared = self.catalogue.setting("mattermost", "gitlab_url").is_some();
        let environment = self.package.environment();
        let endpoint = environment.get("MM_GITLABSETTINGS_TOKENENDPOINT").set();
        let own = [
            "gitlab_auth_endpoint",
            "gitlab_token_endpoint",
            "gitlab_user_api_endpoint",
        ]
        .iter()
        .any(|key| self.draft.has(&["mattermost", key]));
        if let Known::Set(url) = self.package.gitlab_url()
            && declared
            && !own
            && endpoint == Some(format!("{url}/oauth/token"))
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
        lines.any(|line| matches!(line.fate, Disposition::Person(_)))
    }

    /// Turns Mattermost's nginx off, since GitLab's nginx has the ports of this machine.
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
        let url = self.draft.get(&["mattermost_external_url"]);
        let url = url.and_then(|it| it.value.as_str()).unwrap_or_default();
        if !url.starts_with("https://") {
            return;
        }
        let host = package::host(url).unwrap_or_default().to_owned();
        for (key, end) in [("ssl_certificate", "crt"), ("ssl_certificate_key", "key")] {
            let path = ["mattermost_nginx", key];
            if !self.draft.has(&path) {
                let file = Json::from(format!("/etc/gitlab/ssl/{host}.{end}"));
                let note = Some("where GitLab's nginx has it");
                self.add(Origin::Package, Part::Nginx, &path, file, false, note);
            }
        }
    }

    /// Checks the draft, removes entries that fail, and makes the environment what it was.
    pub(super) fn finish(&mut self, secrets_file: Option<&Path>) -> Result<(), Error> {
        let (mut plan, mut remarks) = self.checked(secrets_file)?;
        let had = self.package.had_mattermost();
        if had {
            self.equalise(&plan);
            (plan, _) = self.checked(secrets_file)?;
            self.unset(&plan);
            (plan, remarks) = self.checked(secrets_file)?;
        }
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
        if had {
            if !self.draft.has(&["mattermost", "sql_at_rest_encrypt_key"]) {
                let why = "it is in none of the files: give --secrets /etc/gitlab/gitlab-secrets.json, or --env-dir; else a new one is made";
                let what = "mattermost['sql_at_rest_encrypt_key']";
                self.report.person(Origin::Package, what, why);
            }
            self.account(&plan);
            self.undecided();
        }
        Ok(())
    }

    /// Turns PostgreSQL off if Mattermost's database is unknown. The supervisor refuses such a site
    /// file until a person names the database, so no empty database takes the old one's place.
    fn undecided(&mut self) {
        let Database::Undecided(why) = self.package.database() else {
            return;
        };
        let path = ["postgresql", "enable"];
        let note = Some("until it is said which database Mattermost had: see the report");
        let off = Json::from(false);
        self.add(Origin::Machine, Part::Postgresql, &path, off, false, note);
        self.report.person(
            Origin::Machine,
            "Mattermost's database",
            format!(
                "which one it was is not known: {why}. ctl check-config refuses the site file until you say it: set mattermost.sql_data_source in secrets.toml, or, if it was GitLab's own, set mattermost.sql_user and mattermost.database_name and remove postgresql.enable = false"
            ),
        );
    }

    /// The draft with stand-ins for what a person has still to write, and with Mattermost on.
    fn probe(&self) -> Draft {
        let mut draft = self.draft.clone();
        let mut stand_in = |path: &[&str], value: Json| {
            draft.set(Entry {
                part: Part::Site,
                path: path.iter().map(|it| (*it).to_owned()).collect(),
                value,
                secret: false,
                note: None,
                origin: Origin::Machine,
                reported: None,
            });
        };
        if self.package.had_mattermost() {
            if !self.draft.has(&["mattermost_external_url"]) {
                stand_in(&["mattermost_external_url"], Json::from(SOME_URL));
            }
            if self.draft.has(&["mattermost", "enable"]) {
                stand_in(&["mattermost", "enable"], Json::from(true));
            }
        }
        draft
    }

    /// The plan of the draft, once entries that fail the check are removed and left to a person.
    fn checked(&mut self, secrets_file: Option<&Path>) -> Result<(Plan, Vec<Wrong>), Error> {
        for _ in 0..MAX_ROUNDS {
            let probe = self.probe();
            let merged = match secrets_file {
                Some(path) => write::merge(path, &probe)?.map(|it| it.text),
                None => None,
            };
            // A stand-in for a missing key follows the draft's entries and is none of them.
            let own = |wrong: Wrong| Wrong {
                entry: wrong.entry.filter(|it| *it < self.draft.len()),
                ..wrong
            };
            let wrong = match check(&probe, "gitlab.rb", merged.as_deref()) {
                Ok((plan, remarks)) => return Ok((plan, remarks.into_iter().map(own).collect())),
                Err(wrong) => wrong,
            };
            let errors = wrong
                .into_iter()
                .map(own)
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

    /// Removes the wrong entries from the draft and leaves them to a person; returns a message
    /// if no error belongs to an entry.
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
                Some(line) => self.report.lines[line].fate = Disposition::Person(why.clone()),
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

    /// Reports a warning of the check about an entry.
    fn remark(&mut self, wrong: Wrong) {
        let (Some(index), Severity::Warning) = (wrong.entry, wrong.severity) else {
            return;
        };
        let entry = self.draft.entry(index);
        let (origin, key) = (entry.origin, entry.key());
        self.report.person(origin, &key, wrong.message);
    }
}
