//! `ctl gitlab authorize` and `reauthorize` against the stand-in GitLab: what it makes there, what
//! it stores here, and what it says when that cannot be.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Command,
    thread::JoinHandle,
};

use mattervisor_tests::{
    Ctl, Running, World, binary, eventually, free_port, http_get, install, need, nginx, run,
};
use serde_json::Value;

const ROOT: &str = "glpat-planted-root-token";
const USER: &str = "glpat-planted-user-token";
const READER: &str = "glpat-planted-read-token";
const SITE_URL: &str = "https://mattermost.example.com";

/// A stand-in GitLab whose state can be read.
pub(crate) struct Gitlab {
    pub(crate) port: u16,
    data: PathBuf,
    _running: Running,
}

impl Gitlab {
    /// Starts it with its data below the world's root, and returns once it answers.
    pub(crate) fn start(world: &World, environment: &[(&str, &str)]) -> Self {
        let (port, data) = (free_port(), world.path("gitlab"));
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

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its applications, with their secrets.
    fn applications(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.data.join("state.json")).unwrap_or_default();
        let state: Value = serde_json::from_str(&text).unwrap_or_default();
        state["applications"]
            .as_array()
            .cloned()
            .unwrap_or_default()
    }

    /// Makes an application by its API, as another tool would.
    fn add(&self, name: &str, redirects: &str) -> Value {
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

fn both_uris() -> String {
    format!("{SITE_URL}/signup/gitlab/complete\n{SITE_URL}/login/gitlab/complete")
}

/// A host with a Mattermost of that address; no supervisor runs.
fn host(site: &str) -> World {
    let mut world = World::new();
    world.use_catalog(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../services.d"));
    world.site(&format!("mattermost_external_url = \"{SITE_URL}\"\n{site}"));
    for (name, token) in [
        ("root", ROOT),
        ("user", USER),
        ("read", READER),
        ("bad", "glpat-no"),
    ] {
        let path = world.path(&format!("{name}-token"));
        std::fs::write(&path, format!("{token}\n")).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    }
    world
}

/// `ctl gitlab VERB` with the administrator's token; nothing that it says may hold a token or a
/// secret.
fn ask(world: &World, verb: &str, more: &[&str]) -> Ctl {
    let token = world.file("root-token");
    let said = world.ctl(&[&["gitlab", verb, "--token-file", &token], more].concat());
    let text = said.both();
    assert!(
        !text.contains("planted") && !text.contains("gloas-"),
        "{text}"
    );
    said
}

fn secrets(world: &World) -> toml::Table {
    let text = std::fs::read_to_string(world.path("etc/mattervisor/secrets.toml"));
    let table: toml::Table = toml::from_str(&text.unwrap_or_default()).unwrap();
    let mattermost = table.get("mattermost").and_then(toml::Value::as_table);
    mattermost.cloned().unwrap_or_default()
}

/// Id and secret here are those of the one application there.
fn agree(world: &World, gitlab: &Gitlab) {
    let (here, there) = (secrets(world), gitlab.applications());
    assert_eq!(there.len(), 1, "{there:?}");
    assert_eq!(
        here["gitlab_id"].as_str(),
        there[0]["application_id"].as_str()
    );
    assert_eq!(here["gitlab_secret"].as_str(), there[0]["secret"].as_str());
}

/// From nothing: a dry run does nothing; the application is as Mattermost needs it; what is stored
/// is private and a good configuration; again, nothing has to change.
#[test]
fn the_application_is_made_once_and_found_again() {
    let world = host("");
    let gitlab = Gitlab::start(&world, &[("GITLAB_STANDIN_PAGE", "1")]);
    gitlab.add("another", "https://other.example.com/callback");
    gitlab.add(
        "GitLab Mattermost",
        "https://second.example.com/signup/gitlab/complete",
    );
    let url = gitlab.url();
    let dry = ask(&world, "authorize", &["--url", &url, "--dry-run"]).ok();
    assert!(dry.stdout.contains("would be created"), "{}", dry.stdout);
    assert_eq!(gitlab.applications().len(), 2);
    let file = world.path("etc/mattervisor/secrets.toml");
    assert!(!file.exists());

    let made = ask(&world, "authorize", &["--url", &url]).ok();
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
    let here = secrets(&world);
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
    world.ctl(&["check-config"]).ok();

    let text = std::fs::read(&file).unwrap();
    // The address is known by now.
    let again = ask(&world, "authorize", &[]).ok();
    assert!(
        again.stdout.contains("nothing had to change"),
        "{}",
        again.stdout
    );
    assert_eq!(std::fs::read(&file).unwrap(), text);
    assert_eq!(gitlab.applications().len(), 3);
}

/// The secret is renewed, the id stays; an older GitLab gets another application instead, and so
/// does one whose addresses are wrong. The old one is removed.
#[test]
fn reauthorize_renews_or_replaces() {
    for (environment, keeps) in [(&[][..], true), (&[("GITLAB_STANDIN_OLD", "1")][..], false)] {
        let world = host("");
        let gitlab = Gitlab::start(&world, environment);
        let url = gitlab.url();
        ask(&world, "authorize", &["--url", &url]).ok();
        let before = gitlab.applications()[0].clone();
        let done = ask(&world, "reauthorize", &["--format", "json"]).ok();
        let done: Value = serde_json::from_str(&done.stdout).unwrap();
        assert_eq!(done["action"], if keeps { "renewed" } else { "replaced" });
        agree(&world, &gitlab);
        let after = gitlab.applications()[0].clone();
        assert_ne!(after["secret"], before["secret"]);
        assert_eq!(after["application_id"] == before["application_id"], keeps);
        ask(&world, "authorize", &[]).ok();

        world.site("mattermost_external_url = \"https://moved.example.com\"\n");
        let wrong = ask(&world, "authorize", &[]).expect_code(1);
        assert!(
            wrong
                .stderr
                .contains("sends users to https://mattermost.example.com/signup"),
            "{}",
            wrong.stderr
        );
        ask(&world, "reauthorize", &[]).ok();
        agree(&world, &gitlab);
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

/// By hand, with the lines of the manual: it is found to be right, and left alone; what the site
/// file says cannot be replaced in secrets.toml, which is said before anything is renewed.
#[test]
fn what_was_authorized_by_hand_is_found() {
    let world = host("");
    let gitlab = Gitlab::start(&world, &[]);
    let made = gitlab.add("our chat", &both_uris());
    let (url, id, secret) = (gitlab.url(), &made["application_id"], &made["secret"]);
    world.site(&format!(
        "mattermost_external_url = \"{SITE_URL}\"\nmattermost.gitlab_enable = true\n\
         mattermost.gitlab_id = {id}\nmattermost.gitlab_secret = {secret}\nmattermost.gitlab_scope = \"read_user\"\n\
         mattermost.gitlab_auth_endpoint = \"{url}/oauth/authorize\"\n\
         mattermost.gitlab_token_endpoint = \"{url}/oauth/token\"\n\
         mattermost.gitlab_user_api_endpoint = \"{url}/api/v4/user\"\n"
    ));
    let site = world.path("etc/mattervisor/mattervisor.toml");
    std::fs::set_permissions(&site, PermissionsExt::from_mode(0o600)).unwrap();
    let found = ask(&world, "authorize", &[]).ok();
    assert!(found.stdout.contains("`our chat`"), "{}", found.stdout);
    assert!(
        found.stdout.contains("nothing had to change"),
        "{}",
        found.stdout
    );
    let refused = ask(&world, "reauthorize", &[]).expect_code(1);
    assert!(
        refused
            .stderr
            .contains("wins: mattermost.gitlab_id, mattermost.gitlab_secret"),
        "{}",
        refused.stderr
    );
    assert_eq!(&gitlab.applications()[0]["secret"], secret);
    assert!(!world.path("etc/mattervisor/secrets.toml").exists());
}

/// What is refused, with what to do; and nothing is made or stored.
#[test]
fn every_refusal_says_what_to_do() {
    let world = host("");
    let gitlab = Gitlab::start(&world, &[]);
    let (url, dead) = (gitlab.url(), format!("http://127.0.0.1:{}", free_port()));
    let refused = |token: &str, url: &str, code: i32, words: &[&str]| {
        let token = world.file(&format!("{token}-token"));
        let arguments = ["gitlab", "authorize", "--url", url, "--token-file", &token];
        let said = world.ctl(&arguments).expect_code(code).stderr;
        for word in words.iter().chain(&["error: ", "\nhint: "]) {
            assert!(said.contains(word), "{word}: {said}");
        }
        assert!(!said.contains("glpat"), "{said}");
    };
    refused("bad", &url, 6, &["does not accept the token", "scope api"]);
    refused(
        "user",
        &url,
        6,
        &["not that of an administrator", "admin_mode"],
    );
    refused("read", &url, 6, &["its scope is too small"]);
    refused(
        "none",
        &url,
        1,
        &["cannot read a token from", "No such file"],
    );
    refused("root", &dead, 1, &["cannot ask", "refused", "curl -v"]);
    refused(
        "root",
        &format!("{url}/below"),
        1,
        &["there is no GitLab API at"],
    );
    refused(
        "root",
        "gitlab.example.com",
        2,
        &["not the address of a GitLab"],
    );
    refused(
        "root",
        "https://gitlab.invalid",
        1,
        &["cannot ask https://gitlab.invalid"],
    );
    let said = world.ctl(&[
        "gitlab",
        "authorize",
        "--token-file",
        &world.file("root-token"),
    ]);
    assert!(
        said.expect_code(2)
            .stderr
            .contains("it is not known where GitLab is")
    );
    assert!(gitlab.applications().is_empty());
    assert!(secrets(&world).is_empty());

    world.site("");
    let said = ask(&world, "authorize", &["--url", &url])
        .expect_code(1)
        .stderr;
    assert!(
        said.contains("not enabled") && said.contains("mattermost_external_url"),
        "{said}"
    );
}

/// What answers is something else than GitLab.
#[test]
fn another_server_is_not_taken_for_gitlab() {
    let mut world = host("");
    let ports: Vec<u16> = (0..3).map(|_| free_port()).collect();
    for (port, answer) in ports.iter().zip(["200:hello", "200:{}", "503:no"]) {
        world.child(&format!("a{port}"), &[&format!("http={port}:{answer}")], "");
    }
    world.site(&format!(
        "mattermost_external_url = \"{SITE_URL}\"\nmattermost.enable = false\n"
    ));
    world.start();
    world.site(&format!("mattermost_external_url = \"{SITE_URL}\"\n"));
    for (port, words) in ports
        .iter()
        .zip(["is no GitLab", "is no GitLab", "status 503"])
    {
        eventually("it serves", || http_get(*port, "/"));
        let url = format!("http://127.0.0.1:{port}");
        let said = ask(&world, "authorize", &["--url", &url])
            .expect_code(1)
            .stderr;
        assert!(said.contains(words), "{said}");
    }
}

/// The secret is told once. Without it here there is a way on; with a wrong one, or an application
/// that is gone, too.
#[test]
fn a_secret_that_is_lost_or_wrong_is_noticed() {
    let world = host("");
    let gitlab = Gitlab::start(&world, &[]);
    let url = gitlab.url();
    gitlab.add("GitLab Mattermost", &both_uris());
    let said = ask(&world, "authorize", &["--url", &url])
        .expect_code(1)
        .stderr;
    assert!(
        said.contains("tells it only once") && said.contains("reauthorize"),
        "{said}"
    );
    assert!(secrets(&world).is_empty());
    ask(&world, "reauthorize", &["--url", &url]).ok();
    agree(&world, &gitlab);

    let file = world.path("etc/mattervisor/secrets.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let secret = secrets(&world)["gitlab_secret"]
        .as_str()
        .unwrap()
        .to_owned();
    std::fs::write(&file, text.replace(&secret, "another")).unwrap();
    let said = ask(&world, "authorize", &[]).expect_code(1).stderr;
    assert!(said.contains("not the one that GitLab has"), "{said}");
    let id = secrets(&world)["gitlab_id"].as_str().unwrap().to_owned();
    std::fs::write(&file, text.replace(&id, "gone")).unwrap();
    let said = ask(&world, "authorize", &[]).expect_code(1).stderr;
    assert!(said.contains("no application with the id"), "{said}");
    ask(&world, "reauthorize", &[]).ok();
    agree(&world, &gitlab);
}

/// A user who may not: the files' readers first, then the directory. Nothing is made in GitLab.
#[test]
fn what_cannot_be_stored_is_not_made() {
    let world = host("");
    let gitlab = Gitlab::start(&world, &[]);
    let etc = world.path("etc/mattervisor");
    let (program, token) = (world.path("ctl"), world.path("their-token"));
    install(&binary("ctl"), &program);
    let catalog = copied_catalog(&world);
    std::fs::write(&token, ROOT).unwrap();
    let mode = |path: &Path, mode| {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    };
    let refused = || {
        let mut command = Command::new("setpriv");
        if nix::unistd::geteuid().is_root() {
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        } else {
            command.arg("--no-new-privs");
        }
        command.arg(&program).arg("--root").arg(world.root());
        command.arg("--catalog").arg(&catalog);
        command.args([
            "gitlab",
            "authorize",
            "--url",
            &gitlab.url(),
            "--token-file",
        ]);
        run(command.arg(&token))
    };
    mode(&etc, 0o555);
    let directory = refused();
    mode(&etc, 0o755);
    let secrets = etc.join("secrets.toml");
    std::fs::write(&secrets, "mattermost.gitlab_scope = \"read_user\"\n").unwrap();
    mode(&secrets, 0o000);
    let file = refused();
    mode(&secrets, 0o600);
    for (said, words) in [
        (directory, "cannot write beside"),
        (file, "cannot read the file"),
    ] {
        let said = said.expect_code(6).stderr;
        assert!(said.contains(words) && said.contains("sudo ctl"), "{said}");
    }
    assert!(gitlab.applications().is_empty());
}

/// Where another user can read it.
fn copied_catalog(world: &World) -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../services.d");
    let to = world.path("services.d");
    run(Command::new("cp").arg("-r").arg(from).arg(&to)).ok();
    to
}

/// What cannot be stored although it could a moment ago is unmade again.
#[test]
fn an_application_that_could_not_be_stored_is_removed_again() {
    let world = host("");
    let file = world.path("etc/mattervisor/secrets.toml");
    let (url, requests) = scripted(file.clone());
    let said = ask(&world, "authorize", &["--url", &url])
        .expect_code(1)
        .stderr;
    assert!(
        said.contains("secrets.toml cannot take another value"),
        "{said}"
    );
    assert!(said.contains("was removed again"), "{said}");
    let requests = requests.join().unwrap();
    assert_eq!(
        requests[2], "DELETE /api/v4/applications/7 HTTP/1.1",
        "{requests:?}"
    );
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "[broken");
}

/// A GitLab for three requests: an empty list, a new application, its removal. With the second one
/// somebody spoils the file.
fn scripted(file: PathBuf) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let application = "{\"id\":7,\"application_id\":\"a\",\"secret\":\"gloas-1\"}";
    let answers = [
        ("200 OK", "[]"),
        ("201 Created", application),
        ("204 No Content", ""),
    ];
    let serve = move || {
        let mut requests = Vec::new();
        for (status, body) in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut first, mut length) = (String::new(), 0);
            reader.read_line(&mut first).unwrap();
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                let line = line.to_ascii_lowercase();
                if let Some(value) = line.strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if line.trim().is_empty() {
                    break;
                }
            }
            reader.read_exact(&mut vec![0; length]).unwrap();
            if first.starts_with("POST") {
                std::fs::write(&file, "[broken").unwrap();
            }
            requests.push(first.trim().to_owned());
            let size = body.len();
            write!(
                stream,
                "HTTP/1.1 {status}\r\ncontent-length: {size}\r\nconnection: close\r\n\r\n{body}"
            )
            .unwrap();
        }
        requests
    };
    (url, std::thread::spawn(serve))
}

/// By HTTPS: an authority that is not known is refused with the way out, and taken with
/// `--ca-file`; plain HTTP that redirects is not followed.
#[test]
fn tls_is_checked_and_an_own_authority_can_be_given() {
    let program = need!(nginx());
    let world = host("");
    let gitlab = Gitlab::start(&world, &[]);
    let (tls, plain, own) = (free_port(), free_port(), free_port());
    certificates(world.root());
    let conf = world.path("proxy.conf");
    std::fs::write(
        &conf,
        format!(
            "daemon off;\npid {root}/proxy.pid;\nerror_log stderr;\nevents {{}}\nhttp {{\n access_log off;\n\
             client_body_temp_path {root}/t1;\n proxy_temp_path {root}/t2;\n fastcgi_temp_path {root}/t3;\n\
             uwsgi_temp_path {root}/t4;\n scgi_temp_path {root}/t5;\n\
             server {{ listen 127.0.0.1:{tls} ssl; ssl_certificate {root}/leaf.crt; ssl_certificate_key {root}/leaf.key;\n\
             location / {{ proxy_pass http://127.0.0.1:{}; }} }}\n\
             server {{ listen 127.0.0.1:{own} ssl; ssl_certificate {root}/ca.crt; ssl_certificate_key {root}/ca.key; }}\n\
             server {{ listen 127.0.0.1:{plain}; return 301 https://localhost:{tls}$request_uri; }}\n}}\n",
            gitlab.port,
            root = world.root().display(),
        ),
    )
    .unwrap();
    let _proxy = Running::start(Command::new(program).arg("-c").arg(&conf));
    eventually("the proxy is up", || http_get(plain, "/"));
    let url = format!("https://localhost:{tls}");
    let said = ask(&world, "authorize", &["--url", &url])
        .expect_code(1)
        .stderr;
    assert!(
        said.contains("not trusted here") && said.contains("--ca-file"),
        "{said}"
    );
    let said = ask(
        &world,
        "authorize",
        &["--url", &format!("http://localhost:{plain}")],
    );
    let said = said.expect_code(1).stderr;
    assert!(said.contains(&format!("sends elsewhere: {url}")), "{said}");
    let ca = world.file("ca.crt");
    let other = format!("https://127.0.0.1:{tls}");
    let said = ask(&world, "authorize", &["--url", &other, "--ca-file", &ca]);
    let said = said.expect_code(1).stderr;
    assert!(said.contains("for another name"), "{said}");
    let own = format!("https://localhost:{own}");
    let said = ask(&world, "authorize", &["--url", &own, "--ca-file", &ca]);
    let said = said.expect_code(1).stderr;
    assert!(
        said.contains("that of an authority") && said.contains("CA:FALSE"),
        "{said}"
    );
    let key = world.file("leaf.key");
    let said = ask(&world, "authorize", &["--url", &url, "--ca-file", &key]);
    let said = said.expect_code(1).stderr;
    assert!(said.contains("no certificate in it"), "{said}");
    assert!(gitlab.applications().is_empty());
    ask(&world, "authorize", &["--url", &url, "--ca-file", &ca]).ok();
    agree(&world, &gitlab);
}

/// `ca.crt`, and `leaf.crt` of it for localhost.
fn certificates(dir: &Path) {
    let make = |name: &str, more: &[&str]| {
        let mut openssl = Command::new("openssl");
        openssl.current_dir(dir);
        openssl.args([
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
        ]);
        openssl.args(["-subj", &format!("/CN=test {name}")]);
        openssl.args([
            "-keyout",
            &format!("{name}.key"),
            "-out",
            &format!("{name}.crt"),
        ]);
        run(openssl.args(more)).ok();
    };
    make("ca", &[]);
    let leaf = ["-addext", "subjectAltName=DNS:localhost"];
    let by = [
        "-CA",
        "ca.crt",
        "-CAkey",
        "ca.key",
        "-addext",
        "basicConstraints=critical,CA:FALSE",
    ];
    make("leaf", &[&leaf[..], &by].concat());
}

/// A Mattermost of which it is known that it needs a licence for this.
#[test]
fn a_mattermost_without_gitlab_sign_on_is_told() {
    let world = host("");
    let gitlab = Gitlab::start(&world, &[]);
    let url = gitlab.url();
    let home = world.path("var/lib/mattervisor/mattermost");
    std::fs::create_dir_all(&home).unwrap();
    for (version, told) in [("10.11.13", false), ("11.6.0", true)] {
        std::fs::write(home.join("VERSION"), format!("{version}\n")).unwrap();
        let said = ask(&world, "authorize", &["--url", &url]).ok().stdout;
        assert_eq!(
            said.contains("its free edition has no sign-on"),
            told,
            "{said}"
        );
    }
}

/// The document shows what is printed.
#[test]
fn the_document_shows_what_is_printed() {
    let world = host("");
    let gitlab = Gitlab::start(&world, &[]);
    let said = ask(&world, "authorize", &["--url", &gitlab.url()])
        .ok()
        .stdout;
    let said = said.replace(&gitlab.url(), "https://gitlab.example.com");
    let said = said.replace(&world.root().display().to_string(), "");
    let document = include_str!("../../docs/gitlab.md");
    assert!(
        document.contains(said.trim_end()),
        "docs/gitlab.md lacks:\n{said}"
    );
}
