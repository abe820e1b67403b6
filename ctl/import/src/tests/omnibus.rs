//! A gitlab.rb with a known meaning: the settings, their text in Ruby, and the environment that
//! GitLab's package makes of the settings. The model follows the package's own code
//! (omnibus-gitlab 18.11) and shares no code with the importer.

use std::{collections::BTreeMap, fmt::Write as _};

/// A Ruby value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ruby {
    Nil,
    Bool(bool),
    Int(i64),
    Text(String),
}

impl Ruby {
    fn truthy(&self) -> bool {
        !matches!(self, Self::Nil | Self::Bool(false))
    }

    fn to_s(&self) -> String {
        match self {
            Self::Nil => String::new(),
            Self::Bool(it) => it.to_string(),
            Self::Int(it) => it.to_string(),
            Self::Text(it) => it.clone(),
        }
    }
}

/// One setting, and whether gitlab.rb hides its value in a form that only Ruby can follow.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) section: &'static str,
    pub(super) key: &'static str,
    pub(super) value: Ruby,
    pub(super) hidden: bool,
}

/// All inputs of an import.
#[derive(Clone, Debug, Default)]
pub(super) struct Site {
    pub(super) settings: Vec<Setting>,
    /// The hash `mattermost['env']`.
    pub(super) env: Vec<Setting>,
    /// Mattermost's block of gitlab-secrets.json.
    pub(super) secrets: BTreeMap<&'static str, Ruby>,
    /// Whether the directory of variables is given too.
    pub(super) directory: bool,
}

pub(super) type Environment = BTreeMap<String, String>;

impl Site {
    fn get(&self, section: &str, key: &str) -> Ruby {
        let mut settings = self.settings.iter();
        settings
            .find(|it| it.section == section && it.key == key)
            .map_or(Ruby::Nil, |it| it.value.clone())
    }

    /// `Gitlab['mattermost'][key] ||= secret`, then the cookbook's default for `nil`.
    fn mattermost(&self, key: &str, default: &str) -> String {
        let said = self.get("mattermost", key);
        let secret = self.secrets.get(key).cloned().unwrap_or(Ruby::Nil);
        let value = if said.truthy() || secret == Ruby::Nil {
            said
        } else {
            secret
        };
        match value {
            Ruby::Nil => default.to_owned(),
            value => value.to_s(),
        }
    }

    fn text(&self, section: &str, key: &str, default: &str) -> String {
        match self.get(section, key) {
            Ruby::Nil => default.to_owned(),
            value => value.to_s(),
        }
    }

    /// Mattermost's environment under GitLab's package.
    pub(super) fn environment(&self) -> Environment {
        let of_settings = [
            self.of_service(),
            self.of_database(),
            self.of_directories(),
            self.of_sign_in(),
        ];
        let mut files: Environment = of_settings
            .into_iter()
            .flatten()
            .map(|(name, value)| (format!("MM_{name}"), value))
            .collect();
        for (name, value) in [
            ("MM_INSTALL_TYPE", "gitlab_omnibus"),
            ("SSL_CERT_DIR", "/opt/gitlab/embedded/ssl/certs/"),
            ("GODEBUG", "tlsmlkem=0"),
        ] {
            files.insert(name.to_owned(), value.to_owned());
        }
        for variable in &self.env {
            files.insert(variable.key.to_owned(), variable.value.to_s());
        }
        // An empty file unsets its variable.
        files.retain(|_, value| !value.is_empty());
        files
    }

    fn of_service(&self) -> Vec<(&'static str, String)> {
        let url = self.text("", "mattermost_external_url", "");
        let address = self.mattermost("service_address", "127.0.0.1");
        let port = self.mattermost("service_port", "8065");
        vec![
            (
                "SERVICESETTINGS_SITEURL",
                self.mattermost("service_site_url", &url),
            ),
            ("SERVICESETTINGS_LISTENADDRESS", format!("{address}:{port}")),
            (
                "SERVICESETTINGS_ALLOWEDUNTRUSTEDINTERNALCONNECTIONS",
                self.trusted(),
            ),
            (
                "SERVICESETTINGS_ENABLEAPITEAMDELETION",
                self.mattermost("service_enable_api_team_deletion", "true"),
            ),
            (
                "TEAMSETTINGS_SITENAME",
                self.mattermost("team_site_name", "GitLab Mattermost"),
            ),
        ]
    }

    /// The hosts of the setting, then the host of a GitLab that runs on the same machine.
    fn trusted(&self) -> String {
        let own = self.mattermost("service_allowed_untrusted_internal_connections", "");
        let host = self.gitlab().split("://").nth(1).map(str::to_owned);
        let beside = self.get("gitlab_rails", "enable") != Ruby::Bool(false);
        let hosts = [Some(own), host.filter(|_| beside)];
        let hosts = hosts.into_iter().flatten().filter(|it| !it.is_empty());
        hosts.collect::<Vec<_>>().join(" ")
    }

    fn gitlab(&self) -> String {
        let url = self.text("", "external_url", "");
        url.trim_end_matches('/').to_owned()
    }

    fn of_database(&self) -> Vec<(&'static str, String)> {
        let dir = self.text("postgresql", "dir", "/var/opt/gitlab/postgresql");
        let source = format!(
            "user={} host={} port={} dbname={}",
            self.text("postgresql", "sql_mattermost_user", "gitlab_mattermost"),
            self.text("postgresql", "unix_socket_directory", &dir),
            self.text("postgresql", "port", "5432"),
            self.text("mattermost", "database_name", "mattermost_production"),
        );
        vec![
            ("SQLSETTINGS_DRIVERNAME", "postgres".to_owned()),
            (
                "SQLSETTINGS_DATASOURCE",
                self.mattermost("sql_data_source", &source),
            ),
            (
                "SQLSETTINGS_ATRESTENCRYPTKEY",
                self.mattermost("sql_at_rest_encrypt_key", ""),
            ),
        ]
    }

    fn of_directories(&self) -> Vec<(&'static str, String)> {
        let below = |key: &str, end: &str| {
            self.mattermost(key, &format!("/var/opt/gitlab/mattermost/{end}"))
        };
        vec![
            (
                "LOGSETTINGS_FILELOCATION",
                "/var/log/gitlab/mattermost".to_owned(),
            ),
            ("FILESETTINGS_DIRECTORY", below("file_directory", "data")),
            (
                "PLUGINSETTINGS_DIRECTORY",
                below("plugin_directory", "plugins"),
            ),
            (
                "PLUGINSETTINGS_CLIENTDIRECTORY",
                below("plugin_client_directory", "client-plugins"),
            ),
        ]
    }

    fn of_sign_in(&self) -> Vec<(&'static str, String)> {
        let gitlab = self.gitlab();
        let endpoint = |key: &str, path: &str| {
            let default = if gitlab.is_empty() {
                String::new()
            } else {
                format!("{gitlab}{path}")
            };
            self.mattermost(key, &default)
        };
        vec![
            (
                "GITLABSETTINGS_ENABLE",
                self.mattermost("gitlab_enable", "false"),
            ),
            ("GITLABSETTINGS_ID", self.mattermost("gitlab_id", "")),
            (
                "GITLABSETTINGS_SECRET",
                self.mattermost("gitlab_secret", ""),
            ),
            ("GITLABSETTINGS_SCOPE", self.mattermost("gitlab_scope", "")),
            (
                "GITLABSETTINGS_AUTHENDPOINT",
                endpoint("gitlab_auth_endpoint", "/oauth/authorize"),
            ),
            (
                "GITLABSETTINGS_TOKENENDPOINT",
                endpoint("gitlab_token_endpoint", "/oauth/token"),
            ),
            (
                "GITLABSETTINGS_USERAPIENDPOINT",
                endpoint("gitlab_user_api_endpoint", "/api/v4/user"),
            ),
        ]
    }

    /// The variables that gitlab.rb and the secrets leave open: those that change if the hidden
    /// values change.
    pub(super) fn open(&self) -> Vec<String> {
        let truth = self.environment();
        let mut names: Vec<String> = Vec::new();
        for other in [Ruby::Nil, Ruby::Text("http://other.example.org".to_owned())] {
            let mut site = self.clone();
            let all = site.settings.iter_mut().chain(&mut site.env);
            for setting in all.filter(|it| it.hidden) {
                setting.value = other.clone();
            }
            let different = site.environment();
            let known = truth.keys().chain(different.keys());
            names.extend(
                known
                    .filter(|name| truth.get(*name) != different.get(*name))
                    .cloned(),
            );
        }
        names
    }
}

/// Choices, one byte each. After the tape's end each choice is 0, the plainest.
pub(super) struct Tape<'t>(pub(super) std::slice::Iter<'t, u8>);

impl Tape<'_> {
    /// A number below `count`.
    pub(super) fn below(&mut self, count: usize) -> usize {
        usize::from(self.0.next().copied().unwrap_or(0)) % count
    }

    /// One of the items.
    pub(super) fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }
}

/// The text of a gitlab.rb with the site's settings, in forms that the tape chooses.
pub(super) fn written(site: &Site, tape: &mut Tape<'_>) -> String {
    let mut out = String::from("on = true\noff = false\n");
    for (number, setting) in site.settings.iter().enumerate() {
        let target = match setting.section {
            "" => format!("{} ", setting.key),
            section => format!("{section}['{}'] = ", setting.key),
        };
        one(&mut out, &target, setting, number, tape);
    }
    if !site.env.is_empty() {
        env(&mut out, &site.env, tape);
    }
    out
}

/// Writes one setting, in a form that the tape chooses.
fn one(out: &mut String, target: &str, setting: &Setting, number: usize, tape: &mut Tape<'_>) {
    let literal = literal(&setting.value, tape);
    let _ = if setting.hidden {
        match (&setting.value, tape.below(3)) {
            (Ruby::Text(_), 0) => writeln!(out, "{target}ENV['V{number}']"),
            (Ruby::Text(_), 1) => writeln!(out, "{target}\"#{{ENV.fetch('V{number}')}}\""),
            _ => writeln!(out, "{target}{literal} if ENV['V{number}']"),
        }
    } else {
        let text = matches!(&setting.value, Ruby::Text(text) if !text.is_empty());
        match tape.below(if text { 9 } else { 5 }) {
            0 => writeln!(out, "{target}{literal}"),
            1 => writeln!(
                out,
                "if off\n  {target}'other'\nelse\n  {target}{literal}\nend"
            ),
            2 => writeln!(out, "unless off then {target}{literal} end"),
            3 => writeln!(out, "{target}'before'\n{target}{literal} if on && !off"),
            4 => writeln!(
                out,
                "v{number} = on ? {literal} : 'other'\n{target}v{number}"
            ),
            5 => writeln!(out, "v{number} = {literal}\n{target}\"#{{v{number}}}\""),
            6 => writeln!(out, "{target}'' + {literal}"),
            7 => writeln!(
                out,
                "{target}<<~'END'.strip\n  {}\nEND",
                setting.value.to_s()
            ),
            _ => writeln!(out, "{target}[{literal}].join(',')"),
        }
    };
}

fn literal(value: &Ruby, tape: &mut Tape<'_>) -> String {
    let Ruby::Text(text) = value else {
        return match value {
            Ruby::Nil => "nil".to_owned(),
            other => other.to_s(),
        };
    };
    let escaped = text.replace('\\', "\\\\");
    if tape.below(2) == 0 {
        format!("'{}'", escaped.replace('\'', "\\'"))
    } else {
        format!("\"{}\"", escaped.replace('"', "\\\"").replace('#', "\\#"))
    }
}

/// Writes `mattermost['env']` as two merged hashes, or as a hash that grows by pairs.
fn env(out: &mut String, env: &[Setting], tape: &mut Tape<'_>) {
    let mut pairs = Vec::new();
    for (number, variable) in env.iter().enumerate() {
        let value = if variable.hidden {
            format!("ENV['E{number}']")
        } else {
            literal(&variable.value, tape)
        };
        let symbol = tape.below(4) == 1;
        let key = if symbol {
            format!("{}: ", variable.key)
        } else {
            format!("'{}' => ", variable.key)
        };
        pairs.push((variable.key, value, key));
    }
    let (first, rest) = pairs.split_at(tape.below(pairs.len() + 1));
    let hash = |pairs: &[(&str, String, String)]| {
        let pairs = pairs.iter().map(|(_, value, key)| format!("{key}{value}"));
        format!("{{ {} }}", pairs.collect::<Vec<_>>().join(",\n  "))
    };
    let target = "mattermost['env']";
    let _ = match tape.below(4) {
        0 => writeln!(
            out,
            "{target} = {}\n{target}.merge!({})",
            hash(first),
            hash(rest)
        ),
        1 => writeln!(
            out,
            "{target} = {}\n{target} = {target}.merge({})",
            hash(first),
            hash(rest)
        ),
        2 => writeln!(
            out,
            "base = {}\n{target} = base.merge({})",
            hash(first),
            hash(rest)
        ),
        _ => {
            let _ = writeln!(out, "{target} = {}", hash(first));
            for (name, value, _) in rest {
                let _ = writeln!(out, "{target}['{name}'] = {value}");
            }
            Ok(())
        }
    };
}
