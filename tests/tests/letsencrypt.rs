//! Certificates from an ACME authority: pebble, a real ACME server, validates the name by a request
//! to nginx.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use mattervisor_tests::{
    Missing, Site, StatusExt, eventually, free_port, need, nginx,
    openssl::{fingerprint, served, signed},
    program, run,
};
use tempfile::TempDir;

const HOST: &str = "chat.mv.test";
const LIMIT: Duration = Duration::from_secs(120);

/// An authority with a DNS server of its own, which resolves every name to this machine.
struct Authority {
    program: PathBuf,
    dir: TempDir,
    port: u16,
    /// Port at which the authority requests its challenges below `/.well-known/`.
    http_port: u16,
    management: u16,
    dns_port: u16,
    children: Vec<Child>,
}

impl Drop for Authority {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Authority {
    fn new() -> Result<Self, Missing> {
        let pebble = program("pebble", "pebble")?;
        let dns = program("pebble-challtestsrv", "pebble")?;
        let dir = tempfile::tempdir().unwrap();
        signed(dir.path(), "DNS:localhost");
        let at = |name: &str| dir.path().join(name).display().to_string();
        let (port, http_port, management) = (free_port(), free_port(), free_port());
        let dns_port = free_port();
        let configuration = serde_json::json!({ "pebble": {
            "listenAddress": format!("127.0.0.1:{port}"),
            "managementListenAddress": format!("127.0.0.1:{}", free_port()),
            "certificate": at("server.crt"),
            "privateKey": at("server.key"),
            "httpPort": http_port,
            "tlsPort": free_port(),
        }});
        fs::write(at("pebble.json"), configuration.to_string()).unwrap();
        let mut names = Command::new(dns);
        names.args([
            "-http01",
            "",
            "-https01",
            "",
            "-tlsalpn01",
            "",
            "-defaultIPv6",
            "",
        ]);
        names.args(["-dns01", &format!("127.0.0.1:{dns_port}")]);
        names.args(["-management", &format!("127.0.0.1:{management}")]);
        let mut authority = Self {
            program: pebble,
            dir,
            port,
            http_port,
            management,
            dns_port,
            children: vec![quiet(&mut names)],
        };
        authority.begin();
        Ok(authority)
    }

    /// Starts the authority itself, which has no accounts yet.
    fn begin(&mut self) {
        let mut authority = Command::new(&self.program);
        authority
            .arg("-config")
            .arg(self.dir.path().join("pebble.json"));
        authority.args(["-dnsserver", &format!("127.0.0.1:{}", self.dns_port)]);
        // The authority validates without delay, and rejects 2 % of the nonces, as a real one may:
        // few enough that ctl, which gives up after three rejections in a row, never does so in a
        // test.
        authority
            .env("PEBBLE_VA_NOSLEEP", "1")
            .env("PEBBLE_WFE_NONCEREJECT", "2");
        self.children.push(quiet(&mut authority));
        self.wait();
    }

    fn wait(&self) {
        for port in [self.port, self.management] {
            eventually("the authority listens", || {
                std::net::TcpStream::connect(("127.0.0.1", port)).ok()
            });
        }
    }

    /// From now on every name resolves to this address.
    fn names_lead_to(&self, address: &str) {
        let mut curl = Command::new("curl");
        curl.args([
            "-sSf",
            "--noproxy",
            "*",
            "-d",
            &format!("{{\"ip\":\"{address}\"}}"),
        ]);
        curl.arg(format!(
            "http://127.0.0.1:{}/set-default-ipv4",
            self.management
        ));
        run(&mut curl).ok();
    }

    /// Lines for the site file.
    fn site_file(&self) -> String {
        format!(
            r#"
                letsencrypt.enable = true
                letsencrypt.acme_directory = "https://localhost:{}/dir"
                letsencrypt.acme_ca_file = "{}"
                letsencrypt.contact_emails = ["admin@mv.test"]
            "#,
            self.port,
            self.dir.path().join("ca.crt").display()
        )
    }
}

/// The shipped catalogue on a root of its own. Mattermost is not installed, so nginx answers 503.
struct Front {
    site: Site,
    port: u16,
    site_file: String,
}

impl Front {
    fn new(plain: u16) -> Self {
        let mut site = Site::new();
        site.use_catalog(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../services.d"));
        let port = free_port();
        let nobody = if nix::unistd::geteuid().is_root() {
            r#"
                nginx.username = "nobody"
                nginx.group = "nogroup"
                mattermost.username = "nobody"
                mattermost.group = "nogroup"
            "#
        } else {
            ""
        };
        let site_file = format!(
            r#"
                mattermost_nginx.listen_addresses = ["127.0.0.1"]
                mattermost_nginx.redirect_http_to_https_port = {plain}
                nginx.worker_processes = 1
                postgresql.enable = false
                mattermost.sql_data_source = "postgres://127.0.0.1:1/none"
                mattermost.service_port = {}
                {nobody}
            "#,
            free_port()
        );
        Self {
            site,
            port,
            site_file,
        }
    }

    fn write(&self, scheme: &str, more: &str) {
        let url = format!(
            "mattermost_external_url = '{scheme}://{HOST}:{}'\n",
            self.port
        );
        self.site
            .site_file(&format!("{url}{}{more}", self.site_file));
        let path = self.site.path("etc/mattervisor/mattervisor.toml");
        fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
    }

    fn certificate(&self) -> PathBuf {
        self.site.path(&format!("etc/mattervisor/ssl/{HOST}.crt"))
    }

    /// The issuer of the certificate file.
    fn issuer(&self) -> String {
        let path = self.certificate();
        let mut openssl = Command::new("openssl");
        run(openssl.args(["x509", "-noout", "-issuer", "-in"]).arg(path)).stdout
    }

    #[track_caller]
    fn wait_state(&self, name: &str, state: &str) {
        self.site
            .wait_for_within(LIMIT, &format!("{name} is {state}"), |status| {
                status
                    .services
                    .iter()
                    .any(|it| it.name == name && it.state.as_str() == state)
            });
    }

    #[track_caller]
    fn serves_its_file(&self) {
        eventually("what is on disk is served", || {
            (served(self.port, HOST)? == fingerprint(&self.certificate())).then_some(())
        });
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the authority is the test's, no service"
)]
fn quiet(command: &mut Command) -> Child {
    let command = command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// HTTPS with a certificate from the authority is switched on by a reconfigure of a running HTTP
/// installation; nginx keeps its process, serves the certificate, redirects, and nobody but root
/// can read the keys. `ctl renew-le-certs` renews a good certificate only with --force.
#[test]
fn a_running_installation_gets_https_by_one_line() {
    need!(nginx());
    let mut authority = need!(Authority::new());
    let mut front = Front::new(authority.http_port);
    front.write("http", "");
    let refused = front.site.ctl(&["renew-le-certs"]).expect_code(1).both();
    assert!(refused.contains("letsencrypt.enable = true"), "{refused}");
    front.site.start();
    front.wait_state("nginx", "running");
    let pid = front.site.status().pid("nginx");
    front.write("https", &authority.site_file());
    front.site.ctl(&["reconfigure", "--dry-run"]).ok();
    assert!(
        !front.certificate().exists(),
        "a dry run made a certificate"
    );
    front.site.ctl(&["reconfigure"]);
    front.wait_state("letsencrypt", "completed");
    front.serves_its_file();
    assert!(front.issuer().contains("Pebble"), "{}", front.issuer());
    assert_eq!(front.site.status().pid("nginx"), pid, "nginx was restarted");
    front.site.wait_for("nginx is well", |status| {
        let nginx = status.services.iter().find(|it| it.name == "nginx");
        nginx.is_some_and(|it| it.ready && it.healthy != Some(false))
    });
    let state = front.site.path("var/lib/mattervisor/letsencrypt");
    assert_eq!(
        (mode(&state), mode(&state.join("account.json"))),
        (0o700, 0o600)
    );
    assert_eq!(mode(&front.certificate().with_extension("key")), 0o600);
    assert_eq!(mode(&front.site.path("etc/mattervisor/ssl")), 0o755);
    let place = front
        .site
        .path("var/lib/mattervisor/letsencrypt-www/.well-known/acme-challenge");
    assert_eq!(
        fs::read_dir(place).unwrap().count(),
        0,
        "an answer still lies open"
    );
    let mut curl = Command::new("curl");
    curl.args(["-sSi", "--noproxy", "*"])
        .args(["-H", &format!("Host: {HOST}")])
        .arg(format!("http://127.0.0.1:{}/x?y=1", authority.http_port));
    let answer = run(&mut curl).ok().stdout;
    assert!(answer.starts_with("HTTP/1.1 301"), "{answer}");
    assert!(
        answer.contains(&format!("ocation: https://{HOST}:{}/x?y=1", front.port)),
        "{answer}"
    );

    // Maintenance affects the users of Mattermost alone: nginx still answers the authority.
    front.site.ctl(&["maintenance", "on"]).ok();
    by_hand(&front);
    front.site.ctl(&["maintenance", "off"]).ok();
    assert_eq!(front.site.status().pid("nginx"), pid, "nginx was restarted");

    // A new authority at the same address does not know our account.
    let mut gone = authority.children.pop().unwrap();
    gone.kill().and_then(|()| gone.wait()).unwrap();
    authority.begin();
    let told = front.site.ctl(&["renew-le-certs", "--force"]).ok().stdout;
    assert!(
        told.contains("does not know our account any more"),
        "{told}"
    );
    front.serves_its_file();
}

fn by_hand(front: &Front) {
    let before = fingerprint(&front.certificate());
    let told = front.site.ctl(&["renew-le-certs"]).ok().stdout;
    assert!(told.contains("is good; it is renewed from"), "{told}");
    assert_eq!(fingerprint(&front.certificate()), before);
    let told = front.site.ctl(&["renew-le-certs", "--force"]).ok().stdout;
    assert!(told.contains("is new; it is renewed from"), "{told}");
    assert_ne!(fingerprint(&front.certificate()), before);
    front.serves_its_file();
}

/// Until the authority can reach this host, nginx serves a certificate of our own and is degraded,
/// `ctl why` shows the authority's error, and the failure is notified. Then nginx serves the
/// authority's certificate.
#[test]
fn what_the_authority_says_is_shown_and_told() {
    need!(nginx());
    let authority = need!(Authority::new());
    authority.names_lead_to("127.0.0.9");
    let mut front = Front::new(authority.http_port);
    let (told, notify) = front.site.notified();
    front.write("https", &format!("{}{notify}", authority.site_file()));
    // The shipped service, but with a shorter delay between its attempts.
    front
        .site
        .service("letsencrypt", "[restart]\ndelay = '100ms'\n");
    front.site.start();
    front.wait_state("letsencrypt", "failed");
    front.serves_its_file();
    let status = front.site.status();
    let nginx = status
        .services
        .iter()
        .find(|it| it.name == "nginx")
        .unwrap();
    assert!(nginx.ready && nginx.healthy == Some(false), "{nginx:?}");
    let reason = nginx.reason.clone().unwrap_or_default();
    assert!(
        reason.contains("our own until `letsencrypt` has got one"),
        "{reason}"
    );
    let why = front.site.ctl(&["why", "letsencrypt"]).both();
    assert!(
        why.contains("could not see that this host is ours"),
        "{why}"
    );
    assert!(
        why.contains("127.0.0.9") && why.contains("connection refused"),
        "{why}"
    );
    eventually("it is told", || {
        let text = fs::read_to_string(&told).ok()?;
        text.contains("letsencrypt has failed").then_some(())
    });
    let refused = front.site.ctl(&["renew-le-certs"]).expect_code(1).both();
    assert!(
        refused.contains("connection refused") && refused.contains("port 80"),
        "{refused}"
    );

    authority.names_lead_to("127.0.0.1");
    front.site.ctl(&["start", "letsencrypt"]);
    front.wait_state("letsencrypt", "completed");
    front.serves_its_file();
    assert!(front.issuer().contains("Pebble"), "{}", front.issuer());
    front.site.wait_for("nginx is well", |status| {
        let nginx = status.services.iter().find(|it| it.name == "nginx");
        nginx.is_some_and(|it| it.ready && it.healthy != Some(false))
    });
}
