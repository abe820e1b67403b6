//! GitLab and Mattermost on one machine: our nginx reports that GitLab's nginx holds its port, and
//! then GitLab's nginx serves both sites by name.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
};

use mattervisor_tests::{
    Ctl, Running, Site, StatusExt, children, eventually, free_port, kill, need, nginx, openssl,
    postgres, run,
};
use nix::sys::signal::Signal;

use crate::stack::Stack;

/// An nginx as GitLab configures its own: its log formats and maps in the http block, its virtual
/// host, and an include for further virtual hosts.
struct GitlabNginx {
    running: Running,
    port: u16,
    scheme: &'static str,
    conf: PathBuf,
    vhost: PathBuf,
}

impl GitlabNginx {
    fn start(site: &Site, program: &Path, tls: bool) -> Self {
        let (root, port) = (site.root().display().to_string(), free_port());
        let dir = site.path("gitlab-nginx");
        std::fs::create_dir_all(&dir).unwrap();
        let keys = if tls {
            certificate(&dir, "gitlab", "gitlab.test");
            format!(
                "ssl_certificate {root}/gitlab-nginx/gitlab.crt; ssl_certificate_key {root}/gitlab-nginx/gitlab.key;"
            )
        } else {
            String::new()
        };
        let temp: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|it| format!("  {it}_temp_path {root}/gitlab-nginx/{it};\n"))
            .concat();
        let ssl = if tls { " ssl" } else { "" };
        let conf = dir.join("nginx.conf");
        let text = format!(
            "daemon off;\npid {root}/gitlab-nginx/nginx.pid;\nerror_log {root}/gitlab-nginx/error.log warn;\n\
             worker_processes 1;\nevents {{ worker_connections 100; }}\nhttp {{\n{temp}\
             log_format gitlab_access '$remote_addr';\n  log_format gitlab_mattermost_access '$remote_addr';\n\
             map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}\n\
             proxy_cache_path {root}/gitlab-nginx/cache keys_zone=gitlab:1m max_size=1m levels=1:2;\n  proxy_cache gitlab;\n\
             upstream gitlab-workhorse {{ server 127.0.0.1:1 fail_timeout=0; }}\n\
             server {{\n listen *:{port}{ssl}; server_name gitlab.test; {keys}\n\
             access_log {root}/gitlab-nginx/gitlab_access.log gitlab_access;\n return 200 'this is gitlab';\n }}\n\
             include {root}/gitlab-nginx/*.custom;\n}}\n"
        );
        std::fs::write(&conf, text).unwrap();
        let running = Running::start(Command::new(program).arg("-c").arg(&conf));
        let it = Self {
            running,
            port,
            scheme: if tls { "https" } else { "http" },
            conf,
            vhost: dir.join("mattermost.custom"),
        };
        eventually("GitLab's nginx serves", || {
            (it.curl("gitlab.test", "/", &[]).code == 0).then_some(())
        });
        it
    }

    /// Requests a path under a host name that resolves to this nginx.
    fn curl(&self, name: &str, path: &str, more: &[&str]) -> Ctl {
        let mut curl = Command::new("curl");
        curl.args([
            "-sSk",
            "-i",
            "--max-time",
            "20",
            "--noproxy",
            "*",
            "--http1.1",
        ]);
        curl.args(["--resolve", &format!("{name}:{}:127.0.0.1", self.port)]);
        run(curl
            .args(more)
            .arg(format!("{}://{name}:{}{path}", self.scheme, self.port)))
    }
}

fn certificate(dir: &Path, file: &str, name: &str) {
    let at = |end: &str| dir.join(format!("{file}.{end}"));
    openssl::self_signed(&at("crt"), &at("key"), &format!("DNS:{name}"), 90);
}

/// A stack whose external URL is a name of its own at the port of GitLab's nginx.
fn stack_beside(bin: PathBuf, program: &Path, tls: bool) -> (Stack, GitlabNginx, String) {
    let stack = Stack::new(bin, "STANDIN_STOP_MS = '100'");
    let gitlab = GitlabNginx::start(&stack.site, program, tls);
    let file = stack.site.path("etc/mattervisor/mattervisor.toml");
    let site_file = std::fs::read_to_string(&file).unwrap();
    let site_file = site_file.replace(
        &format!("http://127.0.0.1:{}", stack.nginx_port),
        &format!("{}://mattermost.test:{}", gitlab.scheme, gitlab.port),
    );
    // The default: our nginx listens on every address.
    let site_file = site_file.replace("nginx.listen_addresses = [\"127.0.0.1\"]\n", "");
    stack.site.site_file(&site_file);
    if tls {
        let dir = stack.site.path("etc/mattervisor/ssl");
        std::fs::create_dir_all(&dir).unwrap();
        certificate(&dir, "mattermost.test", "mattermost.test");
    }
    (stack, gitlab, site_file)
}

/// Our nginx does not start; its reason names the holder of the port and the command that helps.
fn refused_with_hint(site: &Site, port: u16) {
    let status = site.wait_for("nginx finds the port in use", |status| {
        status.state("nginx") == "backoff" || status.state("nginx") == "failed"
    });
    let reason = status.service("nginx").reason.clone().unwrap_or_default();
    let holder = format!("0.0.0.0:{port} is in use by nginx (pid ");
    assert!(reason.contains(&holder), "{reason}");
    assert!(reason.contains("ctl gitlab vhost"), "{reason}");
    let why = site.ctl(&["why", "nginx"]).both();
    assert!(why.contains("mattermost_nginx.enable = false"), "{why}");
}

/// Writes the virtual host, reloads GitLab's nginx, and returns the path of the access log.
fn take_in(site: &Site, gitlab: &GitlabNginx, program: &Path) -> String {
    let vhost = gitlab.vhost.display().to_string();
    let (log, program) = (
        site.file("gitlab-nginx/mm.log"),
        program.display().to_string(),
    );
    let arguments = [
        "gitlab",
        "vhost",
        "-o",
        &vhost,
        "--nginx",
        &program,
        "--access-log",
        &log,
    ];
    let said = site.ctl(&arguments).ok().stdout;
    let line = format!("nginx['custom_nginx_config'] = \"include {vhost};\"");
    assert!(
        said.contains(&line) && said.contains("gitlab-ctl reconfigure"),
        "{said}"
    );
    assert!(!said.contains("mattermost_nginx.enable"), "{said}");
    let again = site.ctl(&arguments).ok().stdout;
    assert!(again.contains("nothing was written"), "{again}");
    let mut check = Command::new(&program);
    let checked = run(check.args(["-t", "-c"]).arg(&gitlab.conf)).ok().both();
    assert!(
        !checked.contains("[warn]") && !checked.contains("[emerg]"),
        "{checked}"
    );
    let before = children(gitlab.running.pid());
    kill(gitlab.running.pid(), Signal::SIGHUP);
    eventually("the workers with the old configuration are gone", || {
        let now = children(gitlab.running.pid());
        (!now.is_empty() && before.iter().all(|pid| !now.contains(pid))).then_some(())
    });
    log
}

/// The whole way: our nginx reports the holder of the port, the test follows the hint, and both
/// names lead to the right server, websockets too.
fn both_are_served(tls: bool) {
    let bin = need!(postgres());
    let program = need!(nginx());
    let (mut stack, gitlab, site_file) = stack_beside(bin, &program, tls);
    stack.site.start();
    refused_with_hint(&stack.site, gitlab.port);
    stack
        .site
        .site_file(&format!("{site_file}mattermost_nginx.enable = false\n"));
    stack.site.ctl(&["reconfigure"]).ok();
    let log = take_in(&stack.site, &gitlab, &program);
    eventually("Mattermost is there by its name", || {
        let page = gitlab
            .curl("mattermost.test", "/?token=planted", &[])
            .stdout;
        (page.starts_with("HTTP/1.1 200") && page.contains("stand-in for a Mattermost"))
            .then_some(())
    });
    let page = gitlab.curl("gitlab.test", "/", &[]).ok().stdout;
    assert!(page.contains("this is gitlab"), "{page}");
    let headers = gitlab
        .curl("mattermost.test", "/api/v4/echo-headers", &[])
        .ok()
        .stdout;
    assert!(
        headers.contains(&format!("\"x-forwarded-proto\":\"{}\"", gitlab.scheme)),
        "{headers}"
    );
    websocket(&gitlab);
    let logged = std::fs::read_to_string(&log).unwrap();
    assert!(
        logged.contains("GET / HTTP/1.1") && !logged.contains("planted"),
        "{logged}"
    );
    told_by_gitlabs_nginx(&stack.site, &gitlab);
}

/// GitLab's nginx tells users of maintenance and of a stop from the same files as our nginx would.
fn told_by_gitlabs_nginx(site: &Site, gitlab: &GitlabNginx) {
    let page = || gitlab.curl("mattermost.test", "/", &[]).stdout;
    let on = site
        .ctl(&["maintenance", "on", "--message", "back soon"])
        .ok();
    assert!(
        on.stderr.contains("no web server of this host tells users"),
        "{}",
        on.stderr
    );
    let told = page();
    assert!(told.starts_with("HTTP/1.1 503"), "{told}");
    assert!(
        told.contains("down for maintenance") && told.contains("back soon"),
        "{told}"
    );
    assert!(told.contains("\r\nRetry-After: 10\r\n"), "{told}");
    let gitlab_goes_on = gitlab.curl("gitlab.test", "/", &[]).stdout;
    assert!(
        gitlab_goes_on.contains("this is gitlab"),
        "{gitlab_goes_on}"
    );
    site.ctl(&["maintenance", "off"]).ok();
    assert!(page().starts_with("HTTP/1.1 200"));
    site.ctl(&["stop", "mattermost"]).ok();
    eventually("GitLab's nginx says that it is stopped", || {
        let told = page();
        (told.starts_with("HTTP/1.1 503")
            && told.contains("has been stopped by its administrators"))
        .then_some(())
    });
}

/// The websocket upgrade passes the proxy, and so does the server's first message.
fn websocket(gitlab: &GitlabNginx) {
    let headers = [
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    let mut more: Vec<&str> = headers.iter().flat_map(|it| ["-H", *it]).collect();
    // The websocket never ends by itself.
    more.extend(["--max-time", "3"]);
    let said = gitlab
        .curl("mattermost.test", "/api/v4/websocket", &more)
        .stdout;
    assert!(
        said.starts_with("HTTP/1.1 101") && said.contains("hello"),
        "{said}"
    );
}

#[test]
fn both_names_are_served_by_http() {
    both_are_served(false);
}

#[test]
fn both_names_are_served_by_https() {
    both_are_served(true);
}

/// `ctl gitlab vhost` reports that our nginx is still enabled and that the certificate is missing,
/// overwrites no other file, and prints nothing but the configuration to standard output.
#[test]
fn the_virtual_host_is_written_with_care() {
    let mut site = Site::new();
    site.use_catalog(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../services.d"));
    let unset = site.ctl(&["gitlab", "vhost"]).expect_code(1).stderr;
    assert!(unset.contains("mattermost_external_url"), "{unset}");
    site.site_file("mattermost_external_url = 'https://mattermost.test'\n");
    let file = site.file("vhost.conf");
    let said = site.ctl(&["gitlab", "vhost", "-o", &file]).ok().stdout;
    assert!(said.contains("mattermost_nginx.enable = false"), "{said}");
    assert!(
        said.contains("ssl/mattermost.test.crt is not there yet"),
        "{said}"
    );
    let printed = site.ctl(&["gitlab", "vhost"]).ok();
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(printed.stdout, text);
    assert!(
        text.contains("/var/log/gitlab/nginx/mattermost_access.log"),
        "{text}"
    );
    // GitLab's nginx is not installed, so the file uses the directives that every version
    // understands.
    assert!(
        text.contains(" ssl http2;") && !text.contains("http2 on"),
        "{text}"
    );
    let json = site.ctl(&["gitlab", "vhost", "-o", &file, "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json.ok().stdout).unwrap();
    assert_eq!(json["written"], false);
    assert_eq!(json["mattermost_nginx_enabled"], true);
    let other = site.file("gitlab.rb");
    std::fs::write(&other, "# GitLab\n").unwrap();
    let said = site
        .ctl(&["gitlab", "vhost", "-o", &other])
        .expect_code(1)
        .stderr;
    assert!(said.contains("is another file already"), "{said}");
    let said = site.ctl(&["gitlab", "vhost", "-o", &site.file("no/dir")]);
    assert!(said.expect_code(1).stderr.contains("cannot write"));
    assert_eq!(std::fs::read_to_string(&other).unwrap(), "# GitLab\n");
}

/// Any service may have a `listens_hint`: start, status and `ctl why` add it to the message of a
/// port in use.
#[test]
fn a_port_in_use_is_told_with_the_hint_of_the_service_file() {
    let mut site = Site::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let listens = format!("listens = ['{address}']\n");
    let hint = r#"
        listens_hint = "ask {{ whom }}"
        [settings]
        whom = { type = "string", default = "the operator" }
    "#;
    site.child("hinted", &["sleep"], &format!("{listens}{hint}"));
    site.start();
    let said = site.ctl(&["start", "hinted", "--timeout", "3s"]).both();
    assert!(said.contains("; ask the operator"), "{said}");
    let status = site.ctl(&["status", "hinted", "--format", "json"]).stdout;
    assert!(status.contains("; ask the operator"), "{status}");
    let why = site.ctl(&["why", "hinted"]).both();
    assert_eq!(why.matches("ask the operator").count(), 1, "{why}");
}
