//! A stand-in GitLab, and a host whose Mattermost is to sign users on with it.

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use mattervisor_tests::{Ctl, Running, Site, binary, eventually, free_port, http_get, run};
use serde_json::Value;
pub(super) const ROOT: &str = "glpat-planted-root-token";
pub(super) const USER: &str = "glpat-planted-user-token";
pub(super) const READER: &str = "glpat-planted-read-token";
pub(super) const SITE_URL: &str = "https://mattermost.example.com";

/// A stand-in GitLab whose state can be read.
pub(crate) struct Gitlab {
    pub(crate) port: u16,
    pub(super) data: PathBuf,
    _running: Running,
}

impl Gitlab {
    /// Starts the stand-in with its data below the root of the site, and returns once it answers.
    pub(crate) fn start(site: &Site, environment: &[(&str, &str)]) -> Self {
        let (port, data) = (free_port(), site.path("gitlab"));
        let mut command = Command::new(binary("gitlab"));
        command.args(["--listen", &format!("127.0.0.1:{port}")]);
        command.env("GITLAB_STANDIN_DATA", &data);
        command.env("GITLAB_STANDIN_ROOT_TOKEN", ROOT);
        command.env("GITLAB_STANDIN_USER_TOKEN", USER);
        command.env("GITLAB_STANDIN_READ_TOKEN", READER);
        command.envs(environment.iter().copied());
        let it = Self {
            port,
            data,
            _running: Running::start(&mut command),
        };
        eventually("GitLab is up", || http_get(port, "/-/health"));
        it
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The stand-in's applications, with their secrets.
    pub(super) fn applications(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.data.join("state.json")).unwrap_or_default();
        let state: Value = serde_json::from_str(&text).unwrap_or_default();
        state["applications"]
            .as_array()
            .cloned()
            .unwrap_or_default()
    }

    /// Makes an application over the API, as another tool would.
    pub(super) fn add(&self, name: &str, redirects: &str) -> Value {
        let mut curl = Command::new("curl");
        curl.args([
            "-sS",
            "--fail",
            "--noproxy",
            "*",
            "-H",
            &format!("PRIVATE-TOKEN: {ROOT}"),
        ]);
        curl.args([
            "-d",
            "scopes=read_user",
            "--data-urlencode",
            &format!("name={name}"),
        ]);
        curl.args(["--data-urlencode", &format!("redirect_uri={redirects}")]);
        let answer = run(curl.arg(format!("{}/api/v4/applications", self.url()))).ok();
        serde_json::from_str(&answer.stdout).unwrap()
    }
}

pub(super) fn both_uris() -> String {
    format!("{SITE_URL}/signup/gitlab/complete\n{SITE_URL}/login/gitlab/complete")
}

/// A site whose Mattermost has the address [`SITE_URL`]; no supervisor runs.
pub(super) fn host(site_file: &str) -> Site {
    let mut site = Site::new();
    site.use_catalog(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../services.d"));
    site.site_file(&format!(
        "mattermost_external_url = '{SITE_URL}'\n{site_file}"
    ));
    for (name, token) in [
        ("root", ROOT),
        ("user", USER),
        ("read", READER),
        ("bad", "glpat-no"),
    ] {
        let path = site.path(&format!("{name}-token"));
        std::fs::write(&path, format!("{token}\n")).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    }
    site
}

/// `ctl gitlab VERB` with the administrator's token; no output may hold a token or a secret.
pub(super) fn ask(site: &Site, verb: &str, more: &[&str]) -> Ctl {
    let token = site.file("root-token");
    let said = site.ctl(&[&["gitlab", verb, "--token-file", &token], more].concat());
    let text = said.both();
    assert!(
        !text.contains("planted") && !text.contains("gloas-"),
        "{text}"
    );
    said
}

pub(super) fn secrets(site: &Site) -> toml::Table {
    let text = std::fs::read_to_string(site.path("etc/mattervisor/secrets.toml"));
    let table: toml::Table = toml::from_str(&text.unwrap_or_default()).unwrap();
    let mattermost = table.get("mattermost").and_then(toml::Value::as_table);
    mattermost.cloned().unwrap_or_default()
}

/// Asserts that the id and secret stored here are those of GitLab's only application.
pub(super) fn agree(site: &Site, gitlab: &Gitlab) {
    let (here, there) = (secrets(site), gitlab.applications());
    assert_eq!(there.len(), 1, "{there:?}");
    assert_eq!(
        here["gitlab_id"].as_str(),
        there[0]["application_id"].as_str()
    );
    assert_eq!(here["gitlab_secret"].as_str(), there[0]["secret"].as_str());
}
