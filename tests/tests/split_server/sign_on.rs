//! GitLab's sequence diagram of signing on, step by step through both proxies, and its wrong turns.

use mattervisor_tests::{need, run};

use super::{
    both::{Both, MATTERMOSTS, parameter},
    certificates::Authority,
    hosts::{GITLAB, MATTERMOST, ROOT_TOKEN, network},
};

/// The diagram over HTTP, in two browsers: the second one's sign-on finds the account that the
/// first has made.
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
    // A session survives a restart of Mattermost.
    both.mattermost.site.ctl(&["restart", "mattermost"]).ok();
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

/// The diagram over HTTPS, with an authority that `SSL_CERT_FILE` names to Mattermost. Without that
/// variable Mattermost does not trust GitLab's certificate, and its log says so.
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
    both.site_file(&both.secret, false);
    both.reconfigure();
    let browser = both.browser();
    let complete = both.allowed(&browser);
    both.fails(&browser, &complete, 500, "Bad response from token request");
    both.logged("UnknownIssuer", &both.secret);
}

/// The diagram with an application that `ctl gitlab authorize`, on Mattermost's host, has made on
/// the other host, over HTTPS with an authority of the test's own. A second `authorize` succeeds,
/// and signing on still works after `reauthorize`.
#[test]
fn signing_on_as_ctl_has_authorized_it() {
    let network = need!(network());
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let mut both = Both::strangers(&network, Some(&authority), directory.path());
    both.mattermost.site_file(&both.trust(), "");
    both.mattermost.start(&MATTERMOSTS);
    let token = directory.path().join("token");
    std::fs::write(&token, ROOT_TOKEN).unwrap();
    let gitlab = |what: &str| {
        let mut ctl = both.mattermost.site.ctl_command_on(network.second());
        ctl.args(["gitlab", what, "--url", &both.gitlab.url]);
        ctl.arg("--token-file").arg(&token).arg("--ca-file");
        run(ctl.arg(authority.certificate())).ok().both()
    };
    let said = gitlab("authorize");
    let line = format!(
        "gitlab_rails['mattermost_host'] = \"{}\"",
        both.mattermost.url
    );
    assert!(said.contains(&line), "{said}");
    both.reconfigure();
    both.signs_on(&both.browser());
    gitlab("authorize");
    gitlab("reauthorize");
    both.reconfigure();
    both.signs_on(&both.browser());
}

/// Every wrong turn that people take or are led to ends where it should, and signs nobody on.
#[test]
fn wrong_turns_sign_nobody_on() {
    let network = need!(network());
    let directory = tempfile::tempdir().unwrap();
    let both = Both::start(&network, None, directory.path());

    // A redirect URI that is not the application's: GitLab says so, and sends nobody there.
    let browser = both.browser();
    let authorize = both.begin(&browser);
    let elsewhere = authorize.replace(MATTERMOST, "evil.example.com");
    assert_ne!(authorize, elsewhere);
    let page = both.sign_in(&browser, &elsewhere);
    assert_eq!(page.status, 400, "{page:?}");
    assert!(
        page.body.contains("redirect URI included is not valid"),
        "{page:?}"
    );

    // A user who denies the request.
    let question = both.sign_in(&browser, &authorize);
    let denied = both.choose(&browser, &question, "Deny");
    let to = browser.get(&denied).leads_to();
    assert!(to.contains("oauth_access_denied"), "{to}");
    assert_eq!(both.whoami(&browser), None);

    // A state that Mattermost has not given out; another browser's state; a state that is spent.
    let complete = both.allowed(&browser);
    let state = parameter(&complete, "state");
    let changed = complete.replace(state, &"a".repeat(state.len()));
    both.fails(&browser, &changed, 400, "Invalid state token");
    both.fails(&both.browser(), &complete, 400, "Invalid state token");
    both.fails(&browser, &complete, 400, "Invalid state token");

    // A code for the second time, with a good state.
    let used = both.allowed(&browser);
    assert_eq!(browser.get(&used).status, 302);
    assert!(both.whoami(&browser).is_some());
    let thief = both.browser();
    let fresh = both.begin(&thief);
    let replayed = used.replace(parameter(&used, "state"), parameter(&fresh, "state"));
    both.fails(&thief, &replayed, 500, "Bad response from token request");
    both.logged("invalid_grant", &both.secret);

    // A secret that is not the application's.
    both.site_file("not-the-secret", true);
    both.reconfigure();
    let browser = both.browser();
    let complete = both.allowed(&browser);
    both.fails(&browser, &complete, 500, "Bad response from token request");
    both.logged("invalid_client", "not-the-secret");

    // GitLab sign-on that is not enabled.
    both.mattermost
        .site_file("", "mattermost.gitlab_enable = false\n");
    both.reconfigure();
    let browser = both.browser();
    let page = browser.get(&format!("{}/", both.mattermost.url));
    assert!(!page.body.contains("/oauth/gitlab/login"), "{page:?}");
    let login = format!("{}/oauth/gitlab/login", both.mattermost.url);
    both.fails(&browser, &login, 501, "Unsupported OAuth service provider");
}
