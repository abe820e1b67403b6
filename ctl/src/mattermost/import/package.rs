//! What GitLab's package made of its settings: above all the environment that it gave Mattermost.
//!
//! It set twenty variables from its settings and two more by themselves; `mattermost['env']` and the
//! file of secrets came on top. A directory of variables, where one is given, is the truth of it.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use super::{coerce, ruby::Value, settings::Setting};

/// The role that GitLab's package made for Mattermost.
pub(super) const SQL_USER: &str = "gitlab_mattermost";
/// Its database.
pub(super) const DATABASE: &str = "mattermost_production";
/// Where GitLab's PostgreSQL has its socket.
pub(super) const SOCKET_DIR: &str = "/var/opt/gitlab/postgresql";
/// Certificates of authorities that came with the package.
pub(super) const CERT_DIR: &str = "/opt/gitlab/embedded/ssl/certs/";

/// Paths that the package chose, with the settings and variables that carry them. The same files
/// have another place here.
pub(super) const PATHS: [(&str, &str, &str); 5] = [
    ("home", "", "/var/opt/gitlab/mattermost"),
    (
        "file_directory",
        "MM_FILESETTINGS_DIRECTORY",
        "/var/opt/gitlab/mattermost/data",
    ),
    (
        "plugin_directory",
        "MM_PLUGINSETTINGS_DIRECTORY",
        "/var/opt/gitlab/mattermost/plugins",
    ),
    (
        "plugin_client_directory",
        "MM_PLUGINSETTINGS_CLIENTDIRECTORY",
        "/var/opt/gitlab/mattermost/client-plugins",
    ),
    (
        "log_file_directory",
        "MM_LOGSETTINGS_FILELOCATION",
        "/var/log/gitlab/mattermost",
    ),
];

/// Variables of the package that have texts, which may be empty.
pub(super) const TEXTS: [&str; 2] = [
    "MM_GITLABSETTINGS_SCOPE",
    "MM_SERVICESETTINGS_ALLOWEDUNTRUSTEDINTERNALCONNECTIONS",
];

/// Whether a path is the one that the package chose for this setting or variable.
pub(super) fn own_path(name: &str, path: &str) -> bool {
    let own = PATHS
        .iter()
        .find(|(key, variable, _)| *key == name || (!variable.is_empty() && *variable == name));
    own.is_some_and(|(_, _, own)| path.trim_end_matches('/') == *own)
}

/// Variables of the package that mean nothing outside it.
pub(super) fn means_nothing(variable: &str, value: &str) -> Option<&'static str> {
    match variable {
        "MM_INSTALL_TYPE" if value == "gitlab_omnibus" => {
            Some("it says that Mattermost came with GitLab's package, which this one does not")
        }
        "SSL_CERT_DIR" if value.trim_end_matches('/') == CERT_DIR.trim_end_matches('/') => {
            Some("certificates of GitLab's package; Mattermost takes the system's here")
        }
        _ if own_path(variable, value) => Some("its place in GitLab's package"),
        _ => None,
    }
}

/// How Mattermost reached its database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Database {
    /// The package's own, with this role and database.
    Bundled { user: String, name: String },
    /// Another one.
    Elsewhere(String),
}

impl Database {
    /// Reads `user=… host=… dbname=…` or an address.
    pub(super) fn of(source: &str) -> Self {
        let field = |name: &str| {
            source
                .split_whitespace()
                .find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
                .map(|it| it.trim_matches('\'').to_owned())
        };
        if field("host").is_some_and(|host| host.trim_end_matches('/') == SOCKET_DIR) {
            return Self::Bundled {
                user: field("user").unwrap_or_else(|| SQL_USER.to_owned()),
                name: field("dbname").unwrap_or_else(|| DATABASE.to_owned()),
            };
        }
        Self::Elsewhere(source.to_owned())
    }
}

/// Everything that was read.
pub(super) struct Package<'a> {
    pub(super) settings: &'a [Setting],
    /// The block `mattermost` of gitlab-secrets.json.
    pub(super) secrets: &'a Map<String, Json>,
    /// The directory of variables.
    pub(super) variables: Option<&'a BTreeMap<String, Option<String>>>,
    /// GitLab's package is on this machine.
    pub(super) installed: bool,
}

impl Package<'_> {
    /// What gitlab.rb says of a setting, if it can be known.
    pub(super) fn said(&self, section: &str, key: &str) -> Option<&Value> {
        let mut settings = self.settings.iter().rev();
        settings
            .find(|it| it.section == section && it.key == key && it.variable.is_none())
            .map(|it| &it.value)
            .filter(|it| !matches!(it, Value::Unknown(_) | Value::Nil))
    }

    /// See [`Package::said`], as text; an empty one says nothing.
    pub(super) fn text(&self, section: &str, key: &str) -> Option<String> {
        let value = self.said(section, key)?;
        coerce::variable(value).ok().flatten()
    }

    /// Whether gitlab.rb sets one of these for certain, rightly or wrongly.
    pub(super) fn decides(&self, variable: &str, keys: &[&str]) -> bool {
        self.settings.iter().any(|it| {
            let named = match &it.variable {
                Some(name) => name == variable,
                None => keys.contains(&it.key.as_str()),
            };
            named
                && matches!(it.section.as_str(), "mattermost" | "")
                && !matches!(it.value, Value::Unknown(_) | Value::Nil)
        })
    }

    /// Whether `mattermost['env']` has this variable, with whatever value: before GitLab 11.0 it won
    /// over the settings of that style, and later nothing else was read.
    pub(super) fn in_env(&self, variable: &str) -> bool {
        let named = |it: &Setting| it.variable.as_deref() == Some(variable);
        let mut settings = self.settings.iter();
        settings.any(|it| it.section == "mattermost" && named(it))
    }

    fn off(&self, section: &str) -> bool {
        self.said(section, "enable") == Some(&Value::Bool(false))
    }

    /// GitLab goes on running on this machine, so its nginx has the ports.
    pub(super) fn stays(&self) -> bool {
        !self.off("gitlab_rails") && (self.installed || self.text("", "external_url").is_some())
    }

    /// GitLab's address, without a slash at its end.
    pub(super) fn gitlab_url(&self) -> Option<String> {
        let url = self.text("", "external_url")?;
        Some(url.trim_end_matches('/').to_owned())
    }

    /// What `mattermost['KEY']` came to: gitlab.rb, else the secrets.
    fn mattermost(&self, key: &str) -> Option<String> {
        if self.said("mattermost", key).is_some() {
            return self.text("mattermost", key);
        }
        let text = match self.secrets.get(key)? {
            Json::String(text) => text.clone(),
            Json::Bool(it) => it.to_string(),
            Json::Number(it) => it.to_string(),
            _ => return None,
        };
        Some(text).filter(|it| !it.is_empty())
    }

    /// How Mattermost reached its database.
    pub(super) fn database(&self) -> Database {
        let of_environment = self.environment();
        of_environment
            .get("MM_SQLSETTINGS_DATASOURCE")
            .map_or_else(|| Database::of(&self.data_source()), |it| Database::of(it))
    }

    fn data_source(&self) -> String {
        self.mattermost("sql_data_source").unwrap_or_else(|| {
            let text = |section, key: &str, default: &str| {
                self.text(section, key)
                    .unwrap_or_else(|| default.to_owned())
            };
            format!(
                "user={} host={} port={} dbname={}",
                text("postgresql", "sql_mattermost_user", SQL_USER),
                SOCKET_DIR,
                text("postgresql", "port", "5432"),
                text("mattermost", "database_name", DATABASE)
            )
        })
    }

    /// The environment that Mattermost had.
    pub(super) fn environment(&self) -> BTreeMap<String, String> {
        if let Some(variables) = self.variables {
            let set = variables.iter();
            return set
                .filter_map(|(name, value)| Some((name.clone(), value.clone()?)))
                .collect();
        }
        let mut out = self.computed();
        for setting in self.settings {
            if setting.section == "mattermost"
                && let Some(name) = &setting.variable
            {
                match coerce::variable(&setting.value) {
                    Ok(Some(value)) => {
                        // A file of the directory counted up to the end of its first line.
                        let first = value.lines().next().unwrap_or_default().trim_end();
                        out.insert(name.clone(), first.to_owned());
                    }
                    Ok(None) => {
                        out.remove(name);
                    }
                    Err(_) => {}
                }
            }
        }
        out
    }

    fn computed(&self) -> BTreeMap<String, String> {
        let mut out = BTreeMap::new();
        let mut set = |name: &str, value: Option<String>| {
            if let Some(value) = value.filter(|it| !it.is_empty()) {
                out.insert(name.to_owned(), value);
            }
        };
        let own = |key: &str| self.mattermost(key);
        let or = |key: &str, default: &str| Some(own(key).unwrap_or_else(|| default.to_owned()));
        let site = own("service_site_url").or_else(|| self.text("", "mattermost_external_url"));
        set("MM_SERVICESETTINGS_SITEURL", site);
        let address = own("service_address").unwrap_or_else(|| "127.0.0.1".to_owned());
        let port = own("service_port").unwrap_or_else(|| "8065".to_owned());
        set(
            "MM_SERVICESETTINGS_LISTENADDRESS",
            Some(format!("{address}:{port}")),
        );
        set(
            "MM_SERVICESETTINGS_ALLOWEDUNTRUSTEDINTERNALCONNECTIONS",
            self.trusted_hosts(),
        );
        set(
            "MM_SERVICESETTINGS_ENABLEAPITEAMDELETION",
            or("service_enable_api_team_deletion", "true"),
        );
        set(
            "MM_TEAMSETTINGS_SITENAME",
            or("team_site_name", "GitLab Mattermost"),
        );
        set(
            "MM_SQLSETTINGS_DRIVERNAME",
            or("sql_driver_name", "postgres"),
        );
        set("MM_SQLSETTINGS_DATASOURCE", Some(self.data_source()));
        set(
            "MM_SQLSETTINGS_ATRESTENCRYPTKEY",
            own("sql_at_rest_encrypt_key"),
        );
        for (key, variable, default) in PATHS.iter().filter(|it| !it.1.is_empty()) {
            set(variable, or(key, default));
        }
        set("MM_GITLABSETTINGS_ENABLE", or("gitlab_enable", "false"));
        set("MM_GITLABSETTINGS_ID", own("gitlab_id"));
        set("MM_GITLABSETTINGS_SECRET", own("gitlab_secret"));
        set("MM_GITLABSETTINGS_SCOPE", own("gitlab_scope"));
        let gitlab = self.gitlab_url();
        let endpoint = |path: &str| gitlab.as_ref().map(|it| format!("{it}{path}"));
        for (key, variable, path) in [
            ("gitlab_auth_endpoint", "AUTHENDPOINT", "/oauth/authorize"),
            ("gitlab_token_endpoint", "TOKENENDPOINT", "/oauth/token"),
            (
                "gitlab_user_api_endpoint",
                "USERAPIENDPOINT",
                "/api/v4/user",
            ),
        ] {
            let value = own(key).or_else(|| endpoint(path));
            set(&format!("MM_GITLABSETTINGS_{variable}"), value);
        }
        set("MM_INSTALL_TYPE", Some("gitlab_omnibus".to_owned()));
        set("SSL_CERT_DIR", Some(CERT_DIR.to_owned()));
        set("GODEBUG", Some("tlsmlkem=0".to_owned()));
        out
    }

    /// The package let Mattermost connect to the GitLab beside it.
    fn trusted_hosts(&self) -> Option<String> {
        let own = self.mattermost("service_allowed_untrusted_internal_connections");
        if self.off("gitlab_rails") || self.off("puma") {
            return own;
        }
        let url = self.gitlab_url();
        let host = url.as_deref().and_then(host);
        match (own, host) {
            (Some(own), Some(host)) => Some(format!("{own} {host}")),
            (own, host) => own.or(host.map(str::to_owned)),
        }
    }
}

/// The host of an address.
pub(super) fn host(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let address = authority.rsplit_once('@').map_or(authority, |(_, it)| it);
    let end = if address.starts_with('[') {
        address.find(']').map(|it| it + 1)
    } else {
        address.find(':')
    };
    Some(&address[..end.unwrap_or(address.len())]).filter(|it| !it.is_empty())
}
