//! `ctl gitlab authorize` and `reauthorize` against the stand-in GitLab: the application that they
//! make in GitLab, the values that they store here, and what they say when either is impossible.

mod gitlab;
mod refusals;
mod storing;

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use serde_json::Value;

use gitlab::{Gitlab, SITE_URL, agree, ask, both_uris, host, secrets};
/// From nothing: a dry run changes nothing; the application is as Mattermost needs it; the stored
/// values are private and a valid configuration; a second run has nothing to change.
#[test]
fn the_application_is_made_once_and_found_again() {
    let site = host("");
    let gitlab = Gitlab::start(&site, &[("GITLAB_STANDIN_PAGE", "1")]);
    gitlab.add("another", "https://other.example.com/callback");
    gitlab.add(
        "GitLab Mattermost",
        "https://second.example.com/signup/gitlab/complete",
    );
    let url = gitlab.url();
    let dry = ask(&site, "authorize", &["--url", &url, "--dry-run"]).ok();
    assert!(dry.stdout.contains("would be created"), "{}", dry.stdout);
    assert_eq!(gitlab.applications().len(), 2);
    let file = site.path("etc/mattervisor/secrets.toml");
    assert!(!file.exists());

    let made = ask(&site, "authorize", &["--url", &url]).ok();
    for line in [
        "ctl reconfigure",
        "gitlab_rails['mattermost_host'] = \"https://mattermost.example.com\"",
        "gitlab-ctl reconfigure",
        "tick Trusted",
    ] {
        assert!(made.stdout.contains(line), "{line}: {}", made.stdout);
    }
    let application = gitlab.applications().pop().unwrap();
    assert_eq!(application["application_name"], "GitLab Mattermost");
    assert_eq!(application["callback_url"], both_uris());
    assert_eq!(application["scopes"], "read_user");
    assert_eq!(application["confidential"], true);
    let here = secrets(&site);
    assert_eq!(
        here["gitlab_id"].as_str(),
        application["application_id"].as_str()
    );
    assert_eq!(
        here["gitlab_secret"].as_str(),
        application["secret"].as_str()
    );
    assert_eq!(here["gitlab_enable"].as_bool(), Some(true));
    assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    site.ctl(&["check-config"]).ok();

    let text = std::fs::read(&file).unwrap();
    // No --url: the stored configuration tells GitLab's address by now.
    let again = ask(&site, "authorize", &[]).ok();
    assert!(
        again.stdout.contains("nothing had to change"),
        "{}",
        again.stdout
    );
    assert_eq!(std::fs::read(&file).unwrap(), text);
    assert_eq!(gitlab.applications().len(), 3);
}

/// The secret is renewed, and the id stays. An older GitLab gets another application instead, as
/// does an application with wrong addresses; the old application is removed.
#[test]
fn reauthorize_renews_or_replaces() {
    for (environment, keeps) in [(&[][..], true), (&[("GITLAB_STANDIN_OLD", "1")][..], false)] {
        let site = host("");
        let gitlab = Gitlab::start(&site, environment);
        let url = gitlab.url();
        ask(&site, "authorize", &["--url", &url]).ok();
        let before = gitlab.applications()[0].clone();
        let done = ask(&site, "reauthorize", &["--format", "json"]).ok();
        let done: Value = serde_json::from_str(&done.stdout).unwrap();
        assert_eq!(done["action"], if keeps { "renewed" } else { "replaced" });
        agree(&site, &gitlab);
        let after = gitlab.applications()[0].clone();
        assert_ne!(after["secret"], before["secret"]);
        assert_eq!(after["application_id"] == before["application_id"], keeps);
        ask(&site, "authorize", &[]).ok();

        site.site_file("mattermost_external_url = 'https://moved.example.com'\n");
        let wrong = ask(&site, "authorize", &[]).expect_code(1);
        assert!(
            wrong
                .stderr
                .contains("sends users to https://mattermost.example.com/signup"),
            "{}",
            wrong.stderr
        );
        ask(&site, "reauthorize", &[]).ok();
        agree(&site, &gitlab);
        let moved = gitlab.applications()[0]["callback_url"].clone();
        assert!(
            moved
                .as_str()
                .unwrap()
                .starts_with("https://moved.example.com/"),
            "{moved}"
        );
    }
}

/// An application that was made by hand, with the lines of the manual, is found to be right and
/// left alone. secrets.toml cannot replace a value of the site file: `reauthorize` says so before
/// it renews anything.
#[test]
fn what_was_authorized_by_hand_is_found() {
    let site = host("");
    let gitlab = Gitlab::start(&site, &[]);
    let made = gitlab.add("our chat", &both_uris());
    let (url, id, secret) = (gitlab.url(), &made["application_id"], &made["secret"]);
    site.site_file(&format!(
        r#"
            mattermost_external_url = "{SITE_URL}"
            mattermost.gitlab_enable = true
            mattermost.gitlab_id = {id}
            mattermost.gitlab_secret = {secret}
            mattermost.gitlab_scope = "read_user"
            mattermost.gitlab_auth_endpoint = "{url}/oauth/authorize"
            mattermost.gitlab_token_endpoint = "{url}/oauth/token"
            mattermost.gitlab_user_api_endpoint = "{url}/api/v4/user"
        "#
    ));
    let site_file = site.path("etc/mattervisor/mattervisor.toml");
    std::fs::set_permissions(&site_file, PermissionsExt::from_mode(0o600)).unwrap();
    let found = ask(&site, "authorize", &[]).ok();
    assert!(found.stdout.contains("`our chat`"), "{}", found.stdout);
    assert!(
        found.stdout.contains("nothing had to change"),
        "{}",
        found.stdout
    );
    let refused = ask(&site, "reauthorize", &[]).expect_code(1);
    assert!(
        refused
            .stderr
            .contains("wins: mattermost.gitlab_id, mattermost.gitlab_secret"),
        "{}",
        refused.stderr
    );
    assert_eq!(&gitlab.applications()[0]["secret"], secret);
    assert!(!site.path("etc/mattervisor/secrets.toml").exists());
}

/// `authorize` warns of a Mattermost version that is known to need a licence for sign-on with
/// GitLab.
#[test]
fn a_mattermost_without_gitlab_sign_on_is_told() {
    let site = host("");
    let gitlab = Gitlab::start(&site, &[]);
    let url = gitlab.url();
    let home = site.path("var/lib/mattervisor/mattermost");
    std::fs::create_dir_all(&home).unwrap();
    for (version, told) in [("10.11.13", false), ("11.6.0", true)] {
        std::fs::write(home.join("VERSION"), format!("{version}\n")).unwrap();
        let said = ask(&site, "authorize", &["--url", &url]).ok().stdout;
        assert_eq!(
            said.contains("its free edition has no sign-on"),
            told,
            "{said}"
        );
    }
}

/// docs/sign-on.md shows what `authorize` prints.
#[test]
fn the_document_shows_what_is_printed() {
    let site = host("");
    let gitlab = Gitlab::start(&site, &[]);
    let said = ask(&site, "authorize", &["--url", &gitlab.url()])
        .ok()
        .stdout;
    let said = said.replace(&gitlab.url(), "https://gitlab.example.com");
    let said = said.replace(&site.root().display().to_string(), "");
    let document = include_str!("../../docs/sign-on.md");
    assert!(
        document.contains(said.trim_end()),
        "docs/sign-on.md lacks:\n{said}"
    );
}
