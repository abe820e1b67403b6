//! An OAuth application of GitLab, and what Mattermost requires of the application.

use serde::Deserialize;

use super::Secret;

/// Omnibus' name for the application, so that an existing one is found.
pub(super) const NAME: &str = "GitLab Mattermost";
/// The only scope that Mattermost needs.
pub(super) const SCOPE: &str = "read_user";

/// Addresses to which GitLab redirects users, for a Mattermost at `site_url`.
pub(super) fn redirect_uris(site_url: &str) -> [String; 2] {
    let site_url = site_url.trim_end_matches('/');
    ["signup", "login"].map(|way| format!("{site_url}/{way}/gitlab/complete"))
}

/// An application, as `GET /api/v4/applications` lists it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Application {
    /// The application's number in the API's paths.
    pub(super) id: u64,
    /// The client's id: `mattermost.gitlab_id`.
    #[serde(rename = "application_id")]
    pub(super) client_id: String,
    /// The application's name.
    #[serde(default, rename = "application_name")]
    pub(super) name: String,
    /// Redirect URIs, separated by white space.
    #[serde(default)]
    pub(super) callback_url: String,
    /// Whether the client needs its secret.
    #[serde(default = "yes")]
    pub(super) confidential: bool,
    /// Scopes of the application; an older GitLab does not list them.
    #[serde(default)]
    pub(super) scopes: Option<Vec<String>>,
}

fn yes() -> bool {
    true
}

impl Application {
    /// Whether the application may read users, as far as GitLab tells.
    pub(super) fn may_read_users(&self) -> bool {
        let enough = |scope: &String| [SCOPE, "api", "read_api"].contains(&scope.as_str());
        self.scopes.as_ref().is_none_or(|it| it.iter().any(enough))
    }

    /// Whether GitLab may redirect users to all of these addresses.
    pub(super) fn redirects_to(&self, uris: &[String; 2]) -> bool {
        uris.iter().all(|uri| {
            self.callback_url
                .split_whitespace()
                .any(|known| known == uri)
        })
    }
}

/// An application whose secret GitLab has just revealed.
#[derive(Clone, Debug)]
pub(super) struct Told {
    /// The application.
    pub(super) application: Application,
    /// The secret; GitLab reveals it only once.
    pub(super) secret: Secret,
}

/// An application that redirects to these addresses, and the one named [`NAME`] if several do.
pub(super) fn by_redirects<'a>(
    all: &'a [Application],
    uris: &[String; 2],
) -> Option<&'a Application> {
    let mut fitting = all.iter().filter(|it| it.redirects_to(uris));
    let first = fitting.clone().next();
    fitting.find(|it| it.name == NAME).or(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn application(id: u64, name: &str, callbacks: &str) -> Application {
        Application {
            id,
            client_id: format!("app{id}"),
            name: name.to_owned(),
            callback_url: callbacks.to_owned(),
            confidential: true,
            scopes: None,
        }
    }

    #[test]
    fn the_application_is_found_by_its_addresses_whatever_parts_and_names_them() {
        let uris = redirect_uris("https://mm.example.com/");
        assert_eq!(uris[0], "https://mm.example.com/signup/gitlab/complete");
        let both = format!("{}\r\n{}", uris[0], uris[1]);
        let all = [
            application(1, NAME, "https://other.example.com/signup/gitlab/complete"),
            application(2, NAME, &uris[0]),
            application(3, "chat", &format!("{} {}", uris[1], uris[0])),
            application(4, NAME, &both),
        ];
        assert_eq!(by_redirects(&all, &uris).map(|it| it.id), Some(4));
        assert_eq!(by_redirects(&all[..3], &uris).map(|it| it.id), Some(3));
        assert!(by_redirects(&all[..2], &uris).is_none());
    }
}
