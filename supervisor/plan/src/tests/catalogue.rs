//! The shipped catalogue, on a machine with the programs that it looks for.

use std::{fs, path::Path};

use super::Machine;
use crate::Plan;
use api::VariableSource;

/// The catalogue of this repository on a machine with Debian's PostgreSQL and nginx.
pub(super) fn shipped(site: &str) -> Machine {
    let mut machine = Machine::new();
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../services.d");
    copy(&mut machine, &dir, "/cat/services.d");
    for path in [
        "/usr/sbin/nginx",
        "/usr/lib/postgresql/9.6/bin/postgres",
        "/usr/lib/postgresql/15/bin/postgres",
        "/opt/mattermost/bin/mattermost",
    ] {
        machine.put(path, "");
    }
    machine.site(site);
    machine
}

fn copy(machine: &mut Machine, from: &Path, to: &str) {
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{to}/{}", path.file_name().unwrap().to_str().unwrap());
        if path.is_dir() {
            copy(machine, &path, &name);
        } else {
            machine.put(&name, fs::read(&path).unwrap());
        }
    }
}

pub(super) fn enabled(plan: &Plan) -> Vec<&str> {
    plan.services
        .values()
        .filter(|s| s.enabled)
        .map(|s| s.name.as_str())
        .collect()
}

#[test]
fn without_a_site_file_nothing_runs_and_everything_says_how_to_enable_it() {
    let plan = shipped("").plan();
    assert!(enabled(&plan).is_empty());
    for service in plan.services.values() {
        let own = format!("set {}.enable = true", service.name);
        let key = match service.name.as_str() {
            "backup"
            | "mattermost"
            | "mattermost-database"
            | "mattermost-recovery"
            | "mattermost-version"
            | "nginx"
            | "postgresql"
            | "postgresql-setup"
            | "restore" => "set mattermost_external_url",
            "letsencrypt-placeholder" => "set letsencrypt.enable = true",
            // Services that Mattermost does not need.
            _ => &own,
        };
        assert_eq!(
            service.enable_hint,
            format!("{key} in /etc/mattervisor/mattervisor.toml"),
            "{}",
            service.name
        );
    }
}

/// Services that run if only the address is set.
pub(super) const STACK: [&str; 9] = [
    "backup",
    "mattermost",
    "mattermost-database",
    "mattermost-recovery",
    "mattermost-version",
    "nginx",
    "postgresql",
    "postgresql-setup",
    "restore",
];

#[test]
fn one_line_enables_the_stack() {
    let plan = shipped("mattermost_external_url = \"http://mattermost.example.com\"\n").plan();
    assert_eq!(enabled(&plan), STACK);
    assert!(
        plan.services
            .values()
            .all(|service| service.broken.is_none())
    );
    let mattermost = &plan.services["mattermost"];
    assert_eq!(
        mattermost.env["MM_SERVICESETTINGS_SITEURL"].value,
        "http://mattermost.example.com"
    );
    assert_eq!(mattermost.listens, ["127.0.0.1:8065"]);
    assert!(mattermost.env["MM_SQLSETTINGS_ATRESTENCRYPTKEY"].secret);
    assert_eq!(plan.missing_secrets.len(), 1);
    assert_eq!(
        plan.services["postgresql"].command[0],
        "/usr/lib/postgresql/15/bin/postgres"
    );
    let nginx = plan.services["nginx"]
        .files
        .iter()
        .find(|f| f.path.ends_with("nginx.conf"))
        .unwrap();
    assert!(
        nginx.content.contains("listen \"*:80\";"),
        "{}",
        nginx.content
    );
    assert!(
        nginx
            .validate
            .iter()
            .any(|arg| Path::new(arg) == nginx.candidate)
    );
}

/// Every line of the seed document, in TOML.
pub(super) const SEED: &str = r#"
mattermost_external_url = "https://mattermost.example.com"
mattermost_nginx.redirect_http_to_https = true
mattermost_nginx.ssl_certificate = "/etc/gitlab/ssl/mattermost-nginx.crt"
mattermost_nginx.ssl_certificate_key = "/etc/gitlab/ssl/mattermost-nginx.key"
gitlab_rails.enable = false
redis.enable = false
postgres_exporter.enable = false
grafana.enable = false
gitlab_rails.mattermost_host = "https://mattermost.example.com"
mattermost.gitlab_enable = true
mattermost.gitlab_id = "12345656"
mattermost.gitlab_secret = "123456789"
mattermost.gitlab_scope = "read_user"
mattermost.gitlab_auth_endpoint = "http://gitlab.example.com/oauth/authorize"
mattermost.gitlab_token_endpoint = "http://gitlab.example.com/oauth/token"
mattermost.gitlab_user_api_endpoint = "http://gitlab.example.com/api/v4/user"
mattermost.uid = 1234
mattermost.gid = 1234
mattermost.env = { HTTP_PROXY = "my_proxy", HTTPS_PROXY = "my_proxy", NO_PROXY = "my_no_proxy", MM_SERVICESETTINGS_MAXIMUMLOGINATTEMPTS = '10', MM_LOGSETTINGS_FILELEVEL = 'INFO', MM_WEBRTCSETTINGS_ENABLE = 'false' }
"#;

#[test]
fn every_line_of_the_seed_is_understood() {
    let plan = shipped(SEED).plan();
    let mattermost = &plan.services["mattermost"];
    let var = |name: &str| mattermost.env[name].value.as_str();
    assert_eq!(var("MM_GITLABSETTINGS_ENABLE"), "true");
    assert_eq!(var("MM_GITLABSETTINGS_SECRET"), "123456789");
    assert!(mattermost.env["MM_GITLABSETTINGS_SECRET"].secret);
    assert_eq!(var("HTTP_PROXY"), "my_proxy");
    assert_eq!(
        mattermost.env["HTTP_PROXY"].source,
        VariableSource::SiteFile
    );
    assert_eq!((mattermost.uid, mattermost.gid), (Some(1234), Some(1234)));
    let nginx = &plan.services["nginx"];
    let sources = nginx.credentials.iter().map(|it| it.source.to_str());
    let ssl = ["crt", "key"].map(|end| format!("/etc/gitlab/ssl/mattermost-nginx.{end}"));
    assert_eq!(sources.flatten().collect::<Vec<_>>(), ssl);
    let copies = nginx.credentials.iter().map(|it| it.path.display());
    let copies: Vec<String> = copies.map(|it| it.to_string()).collect();
    let nginx = &nginx.files[0].content;
    for copy in copies {
        assert!(nginx.contains(&format!("\"{copy}\";")), "{copy}: {nginx}");
    }
    assert!(
        nginx.contains("return 301 \"https://mattermost.example.com$request_uri\""),
        "{nginx}"
    );
}

#[test]
fn an_external_database_turns_ours_off() {
    let site = "mattermost_external_url = \"http://m.example\"\npostgresql.enable = false\n\
        mattermost.sql_data_source = \"postgres://u:p@db/m\"\n";
    let plan = shipped(site).plan();
    assert_eq!(
        enabled(&plan),
        [
            "backup",
            "mattermost",
            "mattermost-recovery",
            "mattermost-version",
            "nginx",
            "restore"
        ]
    );
    assert!(
        plan.services["mattermost"]
            .requires
            .iter()
            .eq(["mattermost-recovery"])
    );
    assert_eq!(
        plan.services["mattermost"].env["MM_SQLSETTINGS_DATASOURCE"].value,
        "postgres://u:p@db/m"
    );
}

/// Every shipped service gives up the privileges that it does not need.
#[test]
fn no_service_can_gain_what_it_was_not_given() {
    let site = "mattermost_external_url = \"https://m.example\"\n\
        redis.enable = true\nredis_exporter.enable = true\npostgres_exporter.enable = true\n\
        node_exporter.enable = true\nletsencrypt.enable = true\n";
    let plan = shipped(site).plan();
    let enabled = plan.services.values().filter(|it| it.enabled);
    assert!(enabled.clone().count() >= 10);
    for service in enabled {
        let name = service.name.as_str();
        assert!(service.capability_bounding_set.is_some(), "{name}");
        assert!(service.no_new_privs, "{name}");
        if service.user.is_some() && name != "nginx" {
            assert_eq!(
                service.capability_bounding_set.as_deref(),
                Some(&[][..]),
                "{name}"
            );
        }
    }
    // Services that do not run here are judged by their files.
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../services.d");
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        if path.extension().is_none_or(|it| it != "toml") || name == "catalog" {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains("\ncapability_bounding_set = ["), "{name}");
        assert!(text.contains("\nno_new_privs = true\n"), "{name}");
    }
}

/// A container may lack the capability for low ports, even as root.
#[test]
fn a_port_that_the_supervisor_cannot_give_is_told_with_one_that_it_can() {
    let warnings = |machine: &Machine| {
        machine
            .plan()
            .remarks
            .iter()
            .map(ToString::to_string)
            .collect::<String>()
    };
    let mut machine = shipped("mattermost_external_url = \"http://m.example\"\n");
    assert!(!warnings(&machine).contains("NET_BIND_SERVICE"));
    machine.without_capabilities();
    let told = warnings(&machine);
    assert!(
        told.contains("port 80, but this supervisor lacks the capability"),
        "{told}"
    );
    assert!(
        told.contains("mattermost_nginx.listen_port to a port from 1024 on"),
        "{told}"
    );
    assert_eq!(
        machine.plan().services["nginx"]
            .ambient_capabilities
            .as_deref(),
        Some(&[][..])
    );
    machine.site("mattermost_external_url = \"http://m.example:8080\"\n");
    assert!(!warnings(&machine).contains("NET_BIND_SERVICE"));
}

/// HTTP/2 is an option of `listen` up to nginx 1.25.0, and a directive of its own from 1.25.1 on.
#[test]
fn http2_is_switched_on_as_the_version_of_nginx_has_it() {
    for (version, directive) in [
        ("1.22.1", false),
        ("1.25.0", false),
        ("1.25.1", true),
        ("1.29.0", true),
    ] {
        let site = format!(
            "mattermost_external_url = \"https://m.example\"\nnginx.nginx_version = \"{version}\"\n"
        );
        let plan = shipped(&site).plan();
        let content = &plan.services["nginx"].files[0].content;
        assert_eq!(
            content.contains("    http2 on;\n"),
            directive,
            "{version}: {content}"
        );
        assert_eq!(
            content.contains("\"*:443\" ssl http2;"),
            !directive,
            "{version}: {content}"
        );
    }
}

#[test]
fn other_names_are_refused_as_the_version_of_nginx_can() {
    let content = |lines: &str| {
        let site = format!("mattermost_external_url = \"https://m.example\"\n{lines}\n");
        shipped(&site).plan().services["nginx"].files[0]
            .content
            .clone()
    };
    let new =
        content("nginx.nginx_version = '1.19.4'\nmattermost_nginx.redirect_http_to_https = true");
    assert_eq!(new.matches("\" default_server").count(), 3, "{new}");
    assert_eq!(new.matches("sock\" default_server;").count(), 1, "{new}");
    assert_eq!(new.matches("ssl_reject_handshake on;").count(), 1, "{new}");
    assert_eq!(new.matches("    ssl_certificate ").count(), 1, "{new}");
    assert_eq!(new.matches("    ssl_protocols ").count(), 2, "{new}");
    let old = content("nginx.nginx_version = '1.19.3'");
    assert_eq!(old.matches("    ssl_certificate ").count(), 2, "{old}");
    assert!(!old.contains("ssl_reject_handshake") && old.contains("return 444;"));
    let all = content("mattermost_nginx.other_names = 'serve'");
    assert!(
        all.matches("default_server").count() == 1 && !all.contains("444"),
        "{all}"
    );
    let names = content("letsencrypt.enable = true\nletsencrypt.alt_names = ['x.example']");
    assert_eq!(
        names
            .matches("server_name \"m.example\" \"x.example\";")
            .count(),
        2,
        "{names}"
    );
}

#[test]
fn what_is_said_of_nginx_holds_for_its_section_unless_that_says_otherwise() {
    let site = |lines: &str| format!("mattermost_external_url = \"http://m.example\"\n{lines}");
    let enabled = |lines: &str| shipped(&site(lines)).plan().services["nginx"].enabled;
    assert!(enabled("nginx.enable = true\n"));
    assert!(!enabled(
        "nginx.enable = true\nmattermost_nginx.enable = false\n"
    ));
    assert!(!enabled(
        "nginx.enable = false\nmattermost_nginx.enable = true\n"
    ));
    let both =
        "nginx.proxy_read_timeout = 7\nnginx.keepalive = 9\nmattermost_nginx.keepalive = 5\n";
    let plan = shipped(&site(both)).plan();
    let content = &plan.services["nginx"].files[0].content;
    assert!(content.contains("proxy_read_timeout 7s;"), "{content}");
    assert!(content.contains("keepalive 5;"), "{content}");
    for both in [
        both,
        "mattermost_nginx.keepalive = 5\nnginx.keepalive = 9\n",
    ] {
        let told = shipped(&site(both)).remarks();
        let wanted = "nginx.keepalive: has no effect: mattermost_nginx.keepalive says otherwise, and that counts";
        assert!(told.contains(wanted), "{told}");
    }
    let told = shipped(&site(
        "nginx.keepalive = 5\nmattermost_nginx.keepalive = 5\n",
    ))
    .remarks();
    assert!(!told.contains("says otherwise"), "{told}");
}

/// A missing program breaks the services that need it, with a hint how to install it, and no other
/// service.
#[test]
fn programs_that_are_not_installed_break_their_own_services_alone() {
    let mut machine = shipped("mattermost_external_url = 'http://chat.example.com'\n");
    for path in ["/usr/sbin/nginx", "/opt/mattermost/bin/mattermost"] {
        machine.remove(path);
    }
    machine
        .missing("/opt/mattermost")
        .missing("/opt/mattermost/bin/mattermost");
    let plan = machine.plan();
    let nginx = plan.services["nginx"].broken.clone().unwrap_or_default();
    assert!(
        nginx.ends_with("; install it: apt-get install nginx-light, or dnf install nginx"),
        "{nginx}"
    );
    let broken = plan
        .services
        .values()
        .filter(|it| it.enabled && it.broken.is_some());
    assert_eq!(
        broken.map(|it| it.name.as_str()).collect::<Vec<_>>(),
        ["nginx"]
    );
    let said = machine.remarks();
    let unpack = "there is no program /opt/mattermost/bin/mattermost\n  hint: unpack Mattermost's own archive so that \
                  /opt/mattermost is its directory, or set mattermost.install_dir";
    assert!(said.contains(unpack), "{said}");
}
