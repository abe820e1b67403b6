//! Both hosts ready for signing on, and a browser's steps from Mattermost's page to its session.

use std::path::Path;

use mattervisor_tests::{Network, StatusExt};
use serde_json::Value;

use super::{
    browser::{Browser, Page},
    certificates::Authority,
    hosts::{GITLAB, GitlabHost, MATTERMOST, MattermostHost, ROOT_TOKEN, START},
};

pub(super) const MATTERMOSTS: [&str; 3] = ["postgresql", "mattermost", "nginx"];

/// Both hosts, and the application by which GitLab knows Mattermost.
pub(super) struct Both<'n> {
    network: &'n Network,
    authority: Option<&'n Authority>,
    pub(super) gitlab: GitlabHost,
    pub(super) mattermost: MattermostHost,
    pub(super) id: String,
    pub(super) secret: String,
}

impl<'n> Both<'n> {
    /// Starts both hosts; GitLab has the application that an administrator has added.
    pub(super) fn start(
        network: &'n Network,
        authority: Option<&'n Authority>,
        directory: &Path,
    ) -> Self {
        let mut both = Self::strangers(network, authority, directory);
        (both.id, both.secret) = both.add_application();
        both.site_file(&both.secret, true);
        both.mattermost.start(&MATTERMOSTS);
        both
    }

    /// Starts GitLab alone. Mattermost does not run yet, and GitLab has no application for it.
    pub(super) fn strangers(
        network: &'n Network,
        authority: Option<&'n Authority>,
        directory: &Path,
    ) -> Self {
        if let Some(authority) = authority {
            authority.certify(GITLAB, directory);
            authority.certify(MATTERMOST, directory);
        }
        let certificates = authority.map(|_| directory);
        let mut gitlab = GitlabHost::new(network.first(), certificates);
        gitlab.start(&["gitlab", "gitlab-nginx"]);
        let mattermost = MattermostHost::new(network.second(), certificates);
        Self {
            network,
            authority,
            gitlab,
            mattermost,
            id: String::new(),
            secret: String::new(),
        }
    }

    /// The variable in Mattermost's environment that makes it trust the authority.
    pub(super) fn trust(&self) -> String {
        self.authority.map_or_else(String::new, |authority| {
            let file = authority.certificate();
            format!(", SSL_CERT_FILE = \"{}\"", file.display())
        })
    }

    pub(super) fn browser(&self) -> Browser<'n> {
        let authority = self.authority.map(Authority::certificate);
        Browser::new(self.network.second(), authority.as_deref())
    }

    /// Adds the application, as an administrator does under Settings > Applications.
    fn add_application(&self) -> (String, String) {
        let mattermost = &self.mattermost.url;
        let uris = format!(
            "redirect_uri={mattermost}/signup/gitlab/complete\n{mattermost}/login/gitlab/complete"
        );
        let token = format!("PRIVATE-TOKEN: {ROOT_TOKEN}");
        let answer = self.browser().ask(
            &format!("{}/api/v4/applications", self.gitlab.url),
            &[
                "-H",
                &token,
                "--data-urlencode",
                "name=Mattermost",
                "--data-urlencode",
                &uris,
                "-d",
                "scopes=read_user",
                "-d",
                "confidential=true",
            ],
        );
        assert_eq!(answer.status, 201, "{answer:?}");
        let answer: Value = serde_json::from_str(&answer.body).unwrap();
        let told = |key: &str| answer[key].as_str().unwrap().to_owned();
        (told("application_id"), told("secret"))
    }

    /// Writes Mattermost's site file, as GitLab's documentation shows it.
    pub(super) fn site_file(&self, secret: &str, trusting: bool) {
        let (gitlab, id) = (&self.gitlab.url, &self.id);
        let environment = if trusting {
            self.trust()
        } else {
            String::new()
        };
        self.mattermost.site_file(
            &environment,
            &format!(
                r#"
                    mattermost.gitlab_enable = true
                    mattermost.gitlab_id = "{id}"
                    mattermost.gitlab_secret = "{secret}"
                    mattermost.gitlab_scope = "read_user"
                    mattermost.gitlab_auth_endpoint = "{gitlab}/oauth/authorize"
                    mattermost.gitlab_token_endpoint = "{gitlab}/oauth/token"
                    mattermost.gitlab_user_api_endpoint = "{gitlab}/api/v4/user"
                "#
            ),
        );
    }

    /// Applies the files that were written, and returns once Mattermost is ready again.
    pub(super) fn reconfigure(&self) {
        self.mattermost.site.ctl(&["reconfigure"]).ok();
        self.mattermost
            .site
            .wait_for_within(START, "Mattermost is ready", |status| {
                status.ready("mattermost")
            });
    }

    /// Goes from Mattermost's page to GitLab's question; returns where Mattermost sends the
    /// browser.
    #[track_caller]
    pub(super) fn begin(&self, browser: &Browser<'_>) -> String {
        let page = browser.get(&format!("{}/", self.mattermost.url));
        assert!(page.body.contains("\"/oauth/gitlab/login\""), "{page:?}");
        browser
            .get(&format!("{}/oauth/gitlab/login", self.mattermost.url))
            .leads_to()
    }

    /// Signs in to GitLab as alice if GitLab asks for that, and gets to GitLab's question.
    #[track_caller]
    pub(super) fn sign_in(&self, browser: &Browser<'_>, authorize: &str) -> Page {
        let mut page = browser.get(authorize);
        if page.status == 302 {
            let to = page.leads_to();
            assert_eq!(to, format!("{}/users/sign_in", self.gitlab.url));
            let (action, hidden) = browser.get(&to).form("Sign in");
            let mut fields = pairs(&hidden);
            fields.push(("user[login]", "alice"));
            fields.push(("user[password]", "stand-in-password"));
            let to = browser
                .post(&format!("{}{action}", self.gitlab.url), &fields)
                .leads_to();
            assert!(to.starts_with(&format!("{}/oauth/authorize?", self.gitlab.url)));
            page = browser.get(&to);
        }
        page
    }

    /// Chooses Authorize or Deny; returns where GitLab sends the browser.
    #[track_caller]
    pub(super) fn choose(&self, browser: &Browser<'_>, question: &Page, button: &str) -> String {
        let (action, hidden) = question.form(button);
        let url = format!("{}{action}", self.gitlab.url);
        let to = browser.post(&url, &pairs(&hidden)).leads_to();
        let complete = format!("{}/signup/gitlab/complete?", self.mattermost.url);
        assert!(to.starts_with(&complete), "{to}");
        to
    }

    /// Goes all the way to the address that has the code, and returns this address.
    #[track_caller]
    pub(super) fn allowed(&self, browser: &Browser<'_>) -> String {
        let authorize = self.begin(browser);
        let question = self.sign_in(browser, &authorize);
        assert_eq!(question.status, 200, "{question:?}");
        self.choose(browser, &question, "Authorize")
    }

    /// The user that Mattermost takes the browser for.
    pub(super) fn whoami(&self, browser: &Browser<'_>) -> Option<Value> {
        let page = browser.get(&format!("{}/api/v4/users/me", self.mattermost.url));
        if page.status == 401 {
            return None;
        }
        assert_eq!(page.status, 200, "{page:?}");
        Some(serde_json::from_str(&page.body).unwrap())
    }

    /// Goes the whole way that signs alice on, from the first page to the session.
    #[track_caller]
    pub(super) fn signs_on(&self, browser: &Browser<'_>) -> Page {
        assert_eq!(self.whoami(browser), None);
        let complete = self.allowed(browser);
        let done = browser.get(&complete);
        assert_eq!(done.leads_to(), format!("{}/", self.mattermost.url));
        let user = self.whoami(browser).expect("alice is signed on");
        assert_eq!(user["username"], "alice");
        assert_eq!(user["auth_service"], "gitlab");
        done
    }

    /// Takes a wrong turn: the answer has this status and these words, and nobody is signed on.
    #[track_caller]
    pub(super) fn fails(&self, browser: &Browser<'_>, complete: &str, status: u16, words: &str) {
        let page = browser.get(complete);
        assert_eq!(page.status, status, "{page:?}");
        assert!(page.body.contains(words), "{page:?}");
        assert!(!page.head.contains("MMAUTHTOKEN"), "{page:?}");
        assert_eq!(self.whoami(browser), None);
    }

    /// The log says why, and holds no secret.
    #[track_caller]
    pub(super) fn logged(&self, words: &str, secret: &str) {
        let said = self
            .mattermost
            .site
            .ctl(&["logs", "mattermost", "-n", "200"])
            .ok()
            .stdout;
        assert!(said.contains(words), "{said}");
        assert!(!said.contains(secret), "a secret was logged: {said}");
    }
}

fn pairs(fields: &[(String, String)]) -> Vec<(&str, &str)> {
    let fields = fields.iter();
    fields
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}

/// The value of a query's parameter, still encoded.
pub(super) fn parameter<'u>(url: &'u str, name: &str) -> &'u str {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let found = pairs.find(|(key, _)| *key == name);
    found.unwrap_or_else(|| panic!("no {name} in {url}")).1
}
