//! GitLab's sequence diagram of signing on, step by step through both proxies, and its wrong turns.

use std::path::Path;

use mattervisor_tests::{Network, need};
use serde_json::Value;

use super::{
    browser::{Browser, Page},
    certificates::Authority,
    hosts::{GITLAB, GitlabHost, MATTERMOST, MattermostHost, ROOT_TOKEN, START, network},
};

/// Both hosts, and the application that GitLab knows Mattermost by.
struct Both<'n> {
    network: &'n Network,
    authority: Option<&'n Authority>,
    gitlab: GitlabHost,
    mattermost: MattermostHost,
    id: String,
    secret: String,
}

impl<'n> Both<'n> {
    fn start(network: &'n Network, authority: Option<&'n Authority>, directory: &Path) -> Self {
        if let Some(authority) = authority {
            authority.certify(GITLAB, directory);
            authority.certify(MATTERMOST, directory);
        }
        let certificates = authority.map(|_| directory);
        let mut gitlab = GitlabHost::new(network.first(), certificates);
        gitlab.start(&["puma", "gitlab-nginx"]);
        let mattermost = MattermostHost::new(network.second(), certificates);
        let mut both = Self {
            network,
            authority,
            gitlab,
            mattermost,
            id: String::new(),
            secret: String::new(),
        };
        both.add_application();
        both.site(&both.secret, true);
        both.mattermost
            .start(&["postgresql", "mattermost", "nginx"]);
        both
    }

    fn browser(&self) -> Browser<'n> {
        let authority = self.authority.map(Authority::certificate);
        Browser::new(self.network.second(), authority.as_deref())
    }

    /// As an administrator does under Settings > Applications.
    fn add_application(&mut self) {
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
        self.id = answer["application_id"].as_str().unwrap().to_owned();
        self.secret = answer["secret"].as_str().unwrap().to_owned();
    }

    /// Mattermost's site file, as GitLab's documentation has it.
    fn site(&self, secret: &str, trusting: bool) {
        let (gitlab, id) = (&self.gitlab.url, &self.id);
        let environment = match self.authority {
            Some(authority) if trusting => format!(
                ", SSL_CERT_FILE = \"{}\"",
                authority.certificate().display()
            ),
            _ => String::new(),
        };
        self.mattermost.site(
            &environment,
            &format!(
                "mattermost.gitlab_enable = true\nmattermost.gitlab_id = \"{id}\"\n\
                 mattermost.gitlab_secret = \"{secret}\"\nmattermost.gitlab_scope = \"read_user\"\n\
                 mattermost.gitlab_auth_endpoint = \"{gitlab}/oauth/authorize\"\n\
                 mattermost.gitlab_token_endpoint = \"{gitlab}/oauth/token\"\n\
                 mattermost.gitlab_user_api_endpoint = \"{gitlab}/api/v4/user\"\n"
            ),
        );
    }

    /// Applies what was written, and returns once Mattermost is ready again.
    fn reconfigure(&self) {
        use mattervisor_tests::StatusExt;
        self.mattermost.world.ctl(&["reconfigure"]).ok();
        self.mattermost
            .world
            .wait_for_within(START, "Mattermost is ready", |status| {
                status.ready("mattermost")
            });
    }

    /// From Mattermost's page to GitLab's question: where Mattermost sends the browser.
    #[track_caller]
    fn begin(&self, browser: &Browser<'_>) -> String {
        let page = browser.get(&format!("{}/", self.mattermost.url));
        assert!(page.body.contains("\"/oauth/gitlab/login\""), "{page:?}");
        browser
            .get(&format!("{}/oauth/gitlab/login", self.mattermost.url))
            .leads_to()
    }

    /// Signs in to GitLab as alice if it asks for that, and gets to its question.
    #[track_caller]
    fn sign_in(&self, browser: &Browser<'_>, authorize: &str) -> Page {
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

    /// Chooses Authorize or Deny; where GitLab sends the browser.
    #[track_caller]
    fn choose(&self, browser: &Browser<'_>, question: &Page, button: &str) -> String {
        let (action, hidden) = question.form(button);
        let url = format!("{}{action}", self.gitlab.url);
        let to = browser.post(&url, &pairs(&hidden)).leads_to();
        let complete = format!("{}/signup/gitlab/complete?", self.mattermost.url);
        assert!(to.starts_with(&complete), "{to}");
        to
    }

    /// All the way to the address that has the code.
    #[track_caller]
    fn allowed(&self, browser: &Browser<'_>) -> String {
        let authorize = self.begin(browser);
        let question = self.sign_in(browser, &authorize);
        assert_eq!(question.status, 200, "{question:?}");
        self.choose(browser, &question, "Authorize")
    }

    /// Who Mattermost takes the browser for.
    fn whoami(&self, browser: &Browser<'_>) -> Option<Value> {
        let page = browser.get(&format!("{}/api/v4/users/me", self.mattermost.url));
        if page.status == 401 {
            return None;
        }
        assert_eq!(page.status, 200, "{page:?}");
        Some(serde_json::from_str(&page.body).unwrap())
    }

    /// The way that leads there, from the first page to the session.
    #[track_caller]
    fn signs_on(&self, browser: &Browser<'_>) -> Page {
        assert_eq!(self.whoami(browser), None);
        let complete = self.allowed(browser);
        let done = browser.get(&complete);
        assert_eq!(done.leads_to(), format!("{}/", self.mattermost.url));
        let user = self.whoami(browser).expect("alice is signed on");
        assert_eq!(user["username"], "alice");
        assert_eq!(user["auth_service"], "gitlab");
        done
    }

    /// A wrong turn: this status, these words, and nobody is signed on.
    #[track_caller]
    fn fails(&self, browser: &Browser<'_>, complete: &str, status: u16, words: &str) {
        let page = browser.get(complete);
        assert_eq!(page.status, status, "{page:?}");
        assert!(page.body.contains(words), "{page:?}");
        assert!(!page.head.contains("MMAUTHTOKEN"), "{page:?}");
        assert_eq!(self.whoami(browser), None);
    }

    /// The log says why, and no secret.
    #[track_caller]
    fn logged(&self, words: &str, secret: &str) {
        let said = self
            .mattermost
            .world
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

/// The value of a query's parameter, as it stands there.
fn parameter<'u>(url: &'u str, name: &str) -> &'u str {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let found = pairs.find(|(key, _)| *key == name);
    found.unwrap_or_else(|| panic!("no {name} in {url}")).1
}

/// The diagram over HTTP, twice: the second time GitLab knows the browser, and the account is there.
#[test]
fn signing_on_over_http() {
    let network = need!(network());
    let directory = tempfile::tempdir().unwrap();
    let both = Both::start(&network, None, directory.path());
    let browser = both.browser();
    let authorize = both.begin(&browser);
    assert!(authorize.starts_with(&format!("http://{GITLAB}/oauth/authorize?")));
    assert_eq!(parameter(&authorize, "client_id"), both.id);
    assert_eq!(parameter(&authorize, "response_type"), "code");
    assert_eq!(parameter(&authorize, "scope"), "read_user");
    assert_eq!(
        parameter(&authorize, "redirect_uri"),
        format!("http%3A%2F%2F{MATTERMOST}%2Fsignup%2Fgitlab%2Fcomplete")
    );
    let done = both.signs_on(&browser);
    let cookies = done.headers("set-cookie").join("\n");
    assert!(cookies.contains("MMAUTHTOKEN="), "{cookies}");
    assert!(!cookies.contains("Secure"), "{cookies}");
    let id = both.whoami(&browser).unwrap()["id"].clone();
    let again = both.browser();
    both.signs_on(&again);
    assert_eq!(both.whoami(&again).unwrap()["id"], id, "the same account");
    // Who is signed on stays so over a restart of Mattermost.
    both.mattermost.world.ctl(&["restart", "mattermost"]).ok();
    assert_eq!(both.whoami(&again).unwrap()["id"], id);
    // With GitLab, nobody signs up by email.
    let page = both.browser().ask(
        &format!("{}/api/v4/users", both.mattermost.url),
        &[
            "-d",
            "{\"username\":\"eve\",\"email\":\"eve@example.com\",\"password\":\"x\"}",
        ],
    );
    assert_eq!(page.status, 501, "{page:?}");
    assert!(
        page.body.contains("sign-up with email is disabled"),
        "{page:?}"
    );
}

/// The same over HTTPS, with an authority that Mattermost is told of by `SSL_CERT_FILE`. Without
/// that it trusts nobody, and says so.
#[test]
fn signing_on_over_https() {
    let network = need!(network());
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let both = Both::start(&network, Some(&authority), directory.path());
    let browser = both.browser();
    let authorize = both.begin(&browser);
    assert!(authorize.starts_with(&format!("https://{GITLAB}/oauth/authorize?")));
    let done = both.signs_on(&browser);
    let cookies = done.headers("set-cookie");
    let session = cookies.iter().find(|it| it.starts_with("MMAUTHTOKEN="));
    assert!(session.unwrap().contains("; Secure"), "{cookies:?}");
    both.site(&both.secret, false);
    both.reconfigure();
    let browser = both.browser();
    let complete = both.allowed(&browser);
    both.fails(&browser, &complete, 500, "Bad response from token request");
    both.logged("UnknownIssuer", &both.secret);
}

/// Every wrong turn that people take or are led to: each ends where it should, and signs nobody on.
#[test]
fn wrong_turns_sign_nobody_on() {
    let network = need!(network());
    let directory = tempfile::tempdir().unwrap();
    let both = Both::start(&network, None, directory.path());

    // A redirect URI that is not the application's: GitLab says so, and sends nobody there.
    let browser = both.browser();
    let authorize = both.begin(&browser);
    let elsewhere = authorize.replace(&MATTERMOST.replace('.', "."), "evil.example.com");
    assert_ne!(authorize, elsewhere);
    let page = both.sign_in(&browser, &elsewhere);
    assert_eq!(page.status, 400, "{page:?}");
    assert!(
        page.body.contains("redirect URI included is not valid"),
        "{page:?}"
    );

    // Deny.
    let question = both.sign_in(&browser, &authorize);
    let denied = both.choose(&browser, &question, "Deny");
    let to = browser.get(&denied).leads_to();
    assert!(to.contains("oauth_access_denied"), "{to}");
    assert_eq!(both.whoami(&browser), None);

    // A state that Mattermost has not given out; one of another browser's; one that is spent.
    let complete = both.allowed(&browser);
    let state = parameter(&complete, "state");
    let changed = complete.replace(state, &"a".repeat(state.len()));
    both.fails(&browser, &changed, 400, "Invalid state token");
    both.fails(&both.browser(), &complete, 400, "Invalid state token");
    both.fails(&browser, &complete, 400, "Invalid state token");

    // A code for the second time, with a state that is good.
    let used = both.allowed(&browser);
    assert_eq!(browser.get(&used).status, 302);
    assert!(both.whoami(&browser).is_some());
    let thief = both.browser();
    let fresh = both.begin(&thief);
    let replayed = used.replace(parameter(&used, "state"), parameter(&fresh, "state"));
    both.fails(&thief, &replayed, 500, "Bad response from token request");
    both.logged("invalid_grant", &both.secret);

    // A secret that is not the application's.
    both.site("not-the-secret", true);
    both.reconfigure();
    let browser = both.browser();
    let complete = both.allowed(&browser);
    both.fails(&browser, &complete, 500, "Bad response from token request");
    both.logged("invalid_client", "not-the-secret");

    // Not enabled.
    both.mattermost
        .site("", "mattermost.gitlab_enable = false\n");
    both.reconfigure();
    let browser = both.browser();
    let page = browser.get(&format!("{}/", both.mattermost.url));
    assert!(!page.body.contains("/oauth/gitlab/login"), "{page:?}");
    let login = format!("{}/oauth/gitlab/login", both.mattermost.url);
    both.fails(&browser, &login, 501, "Unsupported OAuth service provider");
}
