//! The two hosts: GitLab's and Mattermost's.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use mattervisor_tests::{
    Missing, Namespace, Network, Site, StatusExt, binary, install, nginx, postgres, program,
    unpack_mattermost,
};

/// A start may take its time: initdb alone needs seconds on a busy machine.
pub(super) const START: Duration = Duration::from_secs(120);
pub(super) const GITLAB: &str = "gitlab.example.com";
pub(super) const MATTERMOST: &str = "mattermost.example.com";
/// The administrator's token for GitLab's API.
pub(super) const ROOT_TOKEN: &str = "glpat-of-the-administrator";
const REDIS_PASSWORD: &str = "what \"redis\" wants # to hear";

/// The network, if every program that its hosts need is installed.
pub(super) fn network() -> Result<Network, Missing> {
    postgres()?;
    nginx()?;
    for (name, package) in [
        ("redis-server", "redis-server"),
        (
            "prometheus-postgres-exporter",
            "prometheus-postgres-exporter",
        ),
        ("prometheus-redis-exporter", "prometheus-redis-exporter"),
        ("prometheus-node-exporter", "prometheus-node-exporter"),
        ("curl", "curl"),
        ("openssl", "openssl"),
        ("ss", "iproute2"),
    ] {
        program(name, package)?;
    }
    Network::new([GITLAB, MATTERMOST])
}

/// A site on this host, with the shipped catalogue.
fn site(host: &Namespace) -> Site {
    let mut site = Site::new();
    let catalog = Path::new(env!("CARGO_MANIFEST_DIR")).join("../services.d");
    site.use_catalog(&catalog).on(host);
    site
}

/// Writes a site file that may hold secrets.
pub(super) fn site_file(site: &Site, text: &str) {
    site.site_file(text);
    let path = site.path("etc/mattervisor/mattervisor.toml");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// GitLab's host. A service of the site stands in for GitLab.
pub(super) struct GitlabHost {
    pub(super) site: Site,
    pub(super) url: String,
    /// Path of redis's socket.
    pub(super) redis: PathBuf,
}

impl GitlabHost {
    /// Serves HTTPS if a directory with a certificate is given.
    pub(super) fn new(host: &Namespace, certificates: Option<&Path>) -> Self {
        let site = site(host);
        stand_in(&site);
        proxy(&site, certificates);
        let scheme = if certificates.is_some() {
            "https"
        } else {
            "http"
        };
        let this = Self {
            redis: site.path("run/mattervisor/redis/redis.socket"),
            url: format!("{scheme}://{GITLAB}"),
            site,
        };
        this.site_file("");
        this
    }

    /// Writes the site file: the stand-in's token, and these lines.
    pub(super) fn site_file(&self, more: &str) {
        let token = format!("gitlab.env = {{ GITLAB_STANDIN_ROOT_TOKEN = '{ROOT_TOKEN}' }}\n");
        site_file(&self.site, &format!("{token}{more}"));
    }

    /// The settings of everything that can run beside GitLab, with redis switched as asked.
    pub(super) fn everything(redis: bool) -> String {
        let password = REDIS_PASSWORD.replace('"', "\\\"");
        format!(
            r#"
                redis.enable = {redis}
                redis.bind = "127.0.0.1"
                redis.port = 6379
                redis.password = "{password}"
                redis_exporter.enable = true
                postgres_exporter.enable = true
                postgres_exporter.per_table_stats = true
                node_exporter.enable = true
                node_exporter.username = "nobody"
                node_exporter.group = "nogroup"
                node_exporter.flags = {{ "collector.arp" = false, "web.max-requests" = 7 }}
                postgresql.enable = true
                postgresql.shared_buffers = "16MB"
                postgresql.max_connections = 40
            "#
        )
    }

    /// Starts the host and waits for these services.
    pub(super) fn start(&mut self, services: &[&str]) {
        start(&mut self.site, services);
    }

    /// Redis's answer to a command.
    pub(super) fn redis(&self, words: &[&str]) -> String {
        let mut command = std::process::Command::new("redis-cli");
        command.env("REDISCLI_AUTH", REDIS_PASSWORD);
        command.arg("-s").arg(&self.redis).args(words);
        mattervisor_tests::run(&mut command)
            .stdout
            .trim()
            .to_owned()
    }
}

/// Starts a host and waits for these services.
fn start(site: &mut Site, services: &[&str]) {
    site.start();
    site.wait_for_within(START, "the services are ready", |status| {
        services.iter().all(|name| status.ready(name))
    });
}

/// The stand-in for GitLab, as a service of the site's own.
fn stand_in(site: &Site) {
    let program = site.path("stand-in");
    install(&binary("gitlab"), &program);
    site.service(
        "gitlab",
        &format!(
            r#"
                command = ["{}", "--listen", "127.0.0.1:8080"]
                user = "nobody"
                group = "nogroup"
                ready.tcp = "127.0.0.1:8080"
            "#,
            program.display()
        ),
    );
}

/// An nginx before the stand-in, on the port of its scheme, as a service of the site's own.
fn proxy(site: &Site, certificates: Option<&Path>) {
    let root = site.root().display();
    let listen = certificates.map_or_else(
        || "listen 80;".to_owned(),
        |directory| {
            let path = directory.join(GITLAB);
            let path = path.display();
            format!("listen 443 ssl;\nssl_certificate {path}.crt;\nssl_certificate_key {path}.key;")
        },
    );
    let port = if certificates.is_some() { 443 } else { 80 };
    let state = site.path("gitlab-nginx");
    fs::create_dir_all(&state).unwrap();
    let configuration = format!(
        "daemon off;\nuser nobody nogroup;\nworker_processes 1;\npid {root}/gitlab-nginx/pid;\n\
         error_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n\
         client_body_temp_path {root}/gitlab-nginx/body;\nproxy_temp_path {root}/gitlab-nginx/proxy;\n\
         fastcgi_temp_path {root}/gitlab-nginx/fastcgi;\nuwsgi_temp_path {root}/gitlab-nginx/uwsgi;\n\
         scgi_temp_path {root}/gitlab-nginx/scgi;\nserver {{\n{listen}\nserver_name {GITLAB};\n\
         location / {{\nproxy_pass http://127.0.0.1:8080;\nproxy_redirect off;\n\
         proxy_set_header Host $http_host;\nproxy_set_header X-Forwarded-Proto $scheme;\n}}\n}}\n}}\n"
    );
    fs::write(state.join("nginx.conf"), configuration).unwrap();
    let nginx = nginx().unwrap();
    site.service(
        "gitlab-nginx",
        &format!(
            r#"
                command = ["{}", "-c", "{root}/gitlab-nginx/nginx.conf"]
                wants = ["gitlab"]
                stop.signal = "QUIT"
                ready.tcp = "127.0.0.1:{port}"
            "#,
            nginx.display()
        ),
    );
}

/// Mattermost's host: the site file of GitLab's documentation, and what the test adds.
pub(super) struct MattermostHost {
    pub(super) site: Site,
    pub(super) url: String,
}

impl MattermostHost {
    /// Serves HTTPS if a directory with a certificate is given, which is copied to its usual place.
    pub(super) fn new(host: &Namespace, certificates: Option<&Path>) -> Self {
        let site = site(host);
        unpack_mattermost(&site.path("opt/mattermost"));
        let scheme = if certificates.is_some() {
            "https"
        } else {
            "http"
        };
        if let Some(from) = certificates {
            let ssl = site.path("etc/mattervisor/ssl");
            fs::create_dir_all(&ssl).unwrap();
            for end in ["crt", "key"] {
                let file = format!("{MATTERMOST}.{end}");
                fs::copy(from.join(&file), ssl.join(&file)).unwrap();
            }
        }
        Self {
            url: format!("{scheme}://{MATTERMOST}"),
            site,
        }
    }

    /// Writes the site file: the documentation's lines, the paths of this site, and these lines.
    pub(super) fn site_file(&self, environment: &str, more: &str) {
        let (root, url) = (self.site.root().display(), &self.url);
        site_file(
            &self.site,
            &format!(
                r#"
                    mattermost_external_url = "{url}"
                    # Shut down GitLab services on the Mattermost server
                    gitlab_rails.enable = false
                    redis.enable = false
                    postgres_exporter.enable = false
                    grafana.enable = false
                    mattermost.install_dir = "{root}/opt/mattermost"
                    mattermost.username = "nobody"
                    mattermost.group = "nogroup"
                    mattermost.env = {{ STANDIN_STOP_MS = "100"{environment} }}
                    nginx.username = "nobody"
                    nginx.group = "nogroup"
                    nginx.worker_processes = 1
                    postgresql.shared_buffers = "16MB"
                    postgresql.max_connections = 40
                    {more}
                "#
            ),
        );
    }

    /// Starts the host and waits for these services.
    pub(super) fn start(&mut self, services: &[&str]) {
        start(&mut self.site, services);
    }
}
