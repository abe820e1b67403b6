//! GitLab's package: the inputs that were read, and what they say of its settings.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use super::{coerce, known::Known, ruby::Value, settings::Setting};

/// Directory of certificate authorities that came with the package.
pub(super) const CERT_DIR: &str = "/opt/gitlab/embedded/ssl/certs/";

/// Settings and variables of paths, and the path that the package chose for each. The files have
/// another place here.
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

/// Whether a path is the one that the package chose for this setting or variable.
pub(super) fn own_path(name: &str, path: &str) -> bool {
    let own = PATHS
        .iter()
        .find(|(key, variable, _)| *key == name || (!variable.is_empty() && *variable == name));
    own.is_some_and(|(_, _, own)| path.trim_end_matches('/') == *own)
}

/// Why a variable with this value means nothing outside the package, if so.
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

/// The inputs of an import.
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
    /// The value of a setting in gitlab.rb; `nil` counts as unset.
    pub(super) fn said(&self, section: &str, key: &str) -> Known<&Value> {
        let mut settings = self.settings.iter().rev();
        let last = settings
            .find(|it| it.section == section && it.key == key && it.variable.is_none())
            .map(|it| &it.value);
        match last {
            None | Some(Value::Nil) => Known::Unset,
            Some(value) => match value.doubt() {
                Some(why) => Known::Unknown(why.to_owned()),
                None => Known::Set(value),
            },
        }
    }

    /// [`Package::said`] as the text of a variable, which may be empty.
    pub(super) fn text(&self, section: &str, key: &str) -> Known {
        self.said(section, key).and_then(known_text)
    }

    /// Whether `mattermost['env']` has this variable, with any value: before GitLab 11.0 the
    /// variable won over old-style settings, and later versions ignored old-style settings.
    pub(super) fn in_env(&self, variable: &str) -> bool {
        let named = |it: &Setting| it.variable.as_deref() == Some(variable);
        let mut settings = self.settings.iter();
        settings.any(|it| it.section == "mattermost" && named(it))
    }

    /// Whether a service was off for certain.
    pub(super) fn off(&self, section: &str) -> bool {
        self.said(section, "enable") == Known::Set(&Value::Bool(false))
    }

    /// Whether GitLab goes on running on this machine, so that its nginx has the ports. An unknown
    /// address of GitLab counts as an address.
    pub(super) fn stays(&self) -> bool {
        !self.off("gitlab_rails") && (self.installed || self.gitlab_url() != Known::Unset)
    }

    /// GitLab's address, without a slash at its end.
    pub(super) fn gitlab_url(&self) -> Known {
        let url = self.text("", "external_url").not_empty();
        url.map(|it| it.trim_end_matches('/').to_owned())
    }

    /// Where users reached Mattermost.
    pub(super) fn site_url(&self) -> Known {
        self.text("", "mattermost_external_url").not_empty()
    }

    /// Whether the package had a Mattermost, perhaps switched off, as far as can be known.
    pub(super) fn had_mattermost(&self) -> bool {
        self.site_url() != Known::Unset
            || self.said("mattermost", "enable") == Known::Set(&Value::Bool(true))
            || self.in_directory("MM_SERVICESETTINGS_SITEURL").is_some()
    }

    /// The value that a variable has in the directory of variables.
    pub(super) fn in_directory(&self, name: &str) -> Option<&str> {
        self.variables?.get(name)?.as_deref()
    }

    /// The value of `mattermost['KEY']` in gitlab-secrets.json; an empty value counts as none.
    pub(super) fn secret(&self, key: &str) -> Option<String> {
        let text = match self.secrets.get(key)? {
            Json::String(text) => text.clone(),
            Json::Bool(it) => it.to_string(),
            Json::Number(it) => it.to_string(),
            _ => return None,
        };
        Some(text).filter(|it| !it.is_empty())
    }

    /// The value that `mattermost['KEY']` came to. The secret counted where gitlab.rb has `nil` or
    /// `false` (`||=`). Where only Ruby knows gitlab.rb's value, the secret is the result.
    pub(super) fn mattermost(&self, key: &str) -> Known {
        let said = self.said("mattermost", key);
        let open = !matches!(&said, Known::Set(value) if value.truth() == Some(true));
        if open && let Some(secret) = self.secret(key) {
            return Known::Set(secret);
        }
        said.and_then(known_text)
    }
}

/// A value as the text of a variable.
pub(super) fn known_text(value: &Value) -> Known {
    match coerce::variable(value) {
        Ok(text) => Known::Set(text.unwrap_or_default()),
        Err(why) => Known::Unknown(why),
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
