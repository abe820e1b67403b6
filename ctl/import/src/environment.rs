//! The environment that GitLab's package gave Mattermost.
//!
//! The package set 19 variables from its settings and three constants; `mattermost['env']` came on
//! top. Each variable was a file: the first line without blanks at its end was the value, and an
//! empty value unset the variable. If a directory of variables is given, the environment is that of
//! the directory alone.

use std::collections::BTreeMap;

use super::{
    known::Known,
    package::{self, CERT_DIR, Package},
};

/// Hosts separated by blanks; the package put a blank before its own host.
pub(super) const TRUSTED: &str = "MM_SERVICESETTINGS_ALLOWEDUNTRUSTEDINTERNALCONNECTIONS";
/// How Mattermost reached its database.
pub(super) const DATA_SOURCE: &str = "MM_SQLSETTINGS_DATASOURCE";

/// Variables that were set, or may have been set.
#[derive(Clone, Debug, Default)]
pub(super) struct Environment(BTreeMap<String, Known>);

impl Environment {
    /// The value of a variable, as far as it is known.
    pub(super) fn get(&self, name: &str) -> Known {
        self.0.get(name).cloned().unwrap_or(Known::Unset)
    }

    /// The variables that were set for certain.
    pub(super) fn set(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter_map(|(name, known)| match known {
            Known::Set(value) => Some((name.as_str(), value.as_str())),
            Known::Unset | Known::Unknown(_) => None,
        })
    }

    fn put(&mut self, name: &str, known: Known) {
        let known = known.map(|value| {
            let first = value.lines().next().unwrap_or_default().trim_end();
            if name == TRUSTED {
                first.split_whitespace().collect::<Vec<_>>().join(" ")
            } else {
                first.to_owned()
            }
        });
        match known.not_empty() {
            Known::Unset => self.0.remove(name),
            known => self.0.insert(name.to_owned(), known),
        };
    }
}

impl Package<'_> {
    /// The environment that Mattermost had.
    pub(super) fn environment(&self) -> Environment {
        let Some(variables) = self.variables else {
            return self.environment_of_ruby();
        };
        let mut out = Environment::default();
        for (name, value) in variables {
            let value = value.clone().map_or(Known::Unset, Known::Set);
            // The line end was a NUL in the file, so the value goes on after it.
            if matches!(&value, Known::Set(it) if it.contains('\n')) {
                out.0.insert(name.clone(), value);
            } else {
                out.put(name, value);
            }
        }
        out
    }

    /// The environment that GitLab's package makes of gitlab.rb and the secrets.
    pub(super) fn environment_of_ruby(&self) -> Environment {
        let mut out = Environment::default();
        self.site_and_mattermost(&mut out);
        self.sign_in(&mut out);
        for (name, value) in [
            ("MM_INSTALL_TYPE", "gitlab_omnibus"),
            ("SSL_CERT_DIR", CERT_DIR),
            ("GODEBUG", "tlsmlkem=0"),
        ] {
            out.put(name, Known::Set(value.to_owned()));
        }
        for setting in self.settings {
            if setting.section == "mattermost"
                && let Some(name) = &setting.variable
            {
                out.put(name, package::known_text(&setting.value));
            }
        }
        out
    }

    fn site_and_mattermost(&self, out: &mut Environment) {
        let site = self.mattermost("service_site_url");
        out.put(
            "MM_SERVICESETTINGS_SITEURL",
            site.or(|| self.text("", "mattermost_external_url")),
        );
        let address = self.mattermost("service_address").or_text("127.0.0.1");
        let port = self.mattermost("service_port").or_text("8065");
        out.put(
            "MM_SERVICESETTINGS_LISTENADDRESS",
            address.and_then(|address| port.map(|port| format!("{address}:{port}"))),
        );
        out.put(TRUSTED, self.trusted_hosts());
        out.put(DATA_SOURCE, self.data_source());
        let key = self.mattermost("sql_at_rest_encrypt_key");
        out.put("MM_SQLSETTINGS_ATRESTENCRYPTKEY", key);
        let defaults = [
            (
                "service_enable_api_team_deletion",
                "MM_SERVICESETTINGS_ENABLEAPITEAMDELETION",
                "true",
            ),
            (
                "team_site_name",
                "MM_TEAMSETTINGS_SITENAME",
                "GitLab Mattermost",
            ),
            ("sql_driver_name", "MM_SQLSETTINGS_DRIVERNAME", "postgres"),
        ];
        let paths = package::PATHS.into_iter().filter(|it| !it.1.is_empty());
        for (key, variable, default) in defaults.into_iter().chain(paths) {
            out.put(variable, self.mattermost(key).or_text(default));
        }
    }

    fn sign_in(&self, out: &mut Environment) {
        for (key, variable, default) in [
            ("gitlab_enable", "ENABLE", "false"),
            ("gitlab_id", "ID", ""),
            ("gitlab_secret", "SECRET", ""),
            ("gitlab_scope", "SCOPE", ""),
        ] {
            let value = self.mattermost(key).or_text(default);
            out.put(&format!("MM_GITLABSETTINGS_{variable}"), value);
        }
        for (key, variable, path) in [
            ("gitlab_auth_endpoint", "AUTHENDPOINT", "/oauth/authorize"),
            ("gitlab_token_endpoint", "TOKENENDPOINT", "/oauth/token"),
            (
                "gitlab_user_api_endpoint",
                "USERAPIENDPOINT",
                "/api/v4/user",
            ),
        ] {
            let of_gitlab = || self.gitlab_url().map(|it| format!("{it}{path}"));
            let value = self.mattermost(key).or(of_gitlab);
            out.put(&format!("MM_GITLABSETTINGS_{variable}"), value);
        }
    }

    /// The hosts of the setting, and GitLab's host: the package let Mattermost connect to GitLab.
    fn trusted_hosts(&self) -> Known {
        let own = self.mattermost("service_allowed_untrusted_internal_connections");
        if self.off("gitlab_rails") || self.off("puma") {
            return own;
        }
        match self.gitlab_url() {
            Known::Set(url) => {
                let host = package::host(&url).unwrap_or_default();
                own.or_text("").map(|own| format!("{own} {host}"))
            }
            Known::Unset => own,
            Known::Unknown(why) => Known::Unknown(why),
        }
    }
}
