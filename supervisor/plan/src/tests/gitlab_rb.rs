//! The shipped catalogue accepts the keys of `gitlab.rb`, with the same meaning.

mod keys;

use self::keys::{MATTERMOST, NGINX, OTHERS, POSTGRESQL};
use super::catalogue::{SEED, STACK, enabled, shipped};
use crate::Plan;

/// The shipped `catalog.toml`.
const CATALOG_TOML: &str = include_str!("../../../../services.d/catalog.toml");
const URL: &str = "mattermost_external_url = \"https://mattermost.example.com\"\n";

fn under(section: &str, lines: &str) -> Vec<String> {
    let lines = lines.lines().filter(|line| !line.is_empty());
    lines.map(|line| format!("{section}{line}\n")).collect()
}

#[test]
fn every_key_is_accepted() {
    let mut all = under("mattermost.", MATTERMOST);
    all.extend(under("mattermost_nginx.", NGINX));
    all.extend(under("postgresql.", POSTGRESQL));
    all.extend(under("", OTHERS));
    let together = format!("{URL}{}", all.concat());
    shipped(&together).plan();
    for line in SEED.lines().filter(|line| line.contains('=')) {
        shipped(line).plan();
    }
}

#[test]
fn nginx_itself_takes_the_keys_of_its_virtual_host() {
    let lines = under("nginx.", NGINX).concat();
    shipped(&format!("{URL}{lines}")).plan();
}

/// In GitLab's package `logging` holds for each service that says nothing itself.
#[test]
fn limits_of_logs_hold_for_every_service() {
    let site = format!("{URL}logging.svlogd_size = '1M'\nlogging.svlogd_num = 3\n");
    let plan = shipped(&site).plan();
    for (name, service) in plan.services.iter().filter(|(_, it)| it.enabled) {
        let limits = (service.log.size_bytes, service.log.keep);
        assert_eq!(limits, (1 << 20, 3), "{name}");
    }
    let plan = shipped(&format!("{site}mattermost.svlogd_num = 4\n")).plan();
    assert_eq!(plan.services["mattermost"].log.keep, 4);
}

fn var<'p>(plan: &'p Plan, name: &str) -> Option<&'p str> {
    let env = &plan.services["mattermost"].env;
    env.get(name).map(|it| it.value.as_str())
}

#[test]
fn sign_in_with_gitlab_needs_its_url_id_and_secret_alone() {
    let site = format!(
        "{URL}mattermost.gitlab_enable = true\nmattermost.gitlab_url = 'https://gitlab.example.com/git/'\n\
        mattermost.gitlab_id = 'a'\nmattermost.gitlab_secret = 'b'\n"
    );
    let plan = shipped(&site).plan();
    let section = |key: &str| var(&plan, &format!("MM_GITLABSETTINGS_{key}"));
    assert_eq!(section("ENABLE"), Some("true"));
    assert_eq!(section("SCOPE"), Some("read_user"));
    assert_eq!(
        section("AUTHENDPOINT"),
        Some("https://gitlab.example.com/git/oauth/authorize")
    );
    assert_eq!(
        section("TOKENENDPOINT"),
        Some("https://gitlab.example.com/git/oauth/token")
    );
    assert_eq!(
        section("USERAPIENDPOINT"),
        Some("https://gitlab.example.com/git/api/v4/user")
    );
    assert_eq!(
        var(&plan, "MM_EMAILSETTINGS_ENABLESIGNUPWITHEMAIL"),
        Some("false")
    );
    assert_eq!(
        var(&plan, "MM_TEAMSETTINGS_SITENAME"),
        Some("GitLab Mattermost")
    );
    assert_eq!(
        var(
            &plan,
            "MM_SERVICESETTINGS_ALLOWEDUNTRUSTEDINTERNALCONNECTIONS"
        ),
        None
    );
    assert!(
        !plan.remarks.iter().any(|it| it.key.contains("gitlab")),
        "{:?}",
        plan.remarks
    );
    let both = [
        "mattermost.email_enable_sign_up_with_email = true\n",
        "mattermost.env = { MM_EMAILSETTINGS_ENABLESIGNUPWITHEMAIL = true }\n",
    ];
    for line in both {
        let plan = shipped(&format!("{site}{line}")).plan();
        assert_eq!(
            var(&plan, "MM_EMAILSETTINGS_ENABLESIGNUPWITHEMAIL"),
            Some("true")
        );
    }
    let without = shipped(URL).plan();
    assert_eq!(
        var(&without, "MM_EMAILSETTINGS_ENABLESIGNUPWITHEMAIL"),
        None
    );
    assert_eq!(var(&without, "MM_GITLABSETTINGS_ENABLE"), Some("false"));
    assert_eq!(
        var(&without, "MM_TEAMSETTINGS_SITENAME"),
        Some("Mattermost")
    );
}

#[test]
fn sign_in_with_gitlab_without_what_it_needs_warns_and_says_what_to_do() {
    let remarks = shipped(&format!("{URL}mattermost.gitlab_enable = true\n")).remarks();
    assert_eq!(
        remarks.matches("warning: mattermost.gitlab_enable").count(),
        2,
        "{remarks}"
    );
    assert!(remarks.contains("ctl gitlab authorize"), "{remarks}");
}

#[test]
fn gitlab_on_the_same_machine_is_an_internal_host_that_is_allowed() {
    const NAME: &str = "MM_SERVICESETTINGS_ALLOWEDUNTRUSTEDINTERNALCONNECTIONS";
    let site = format!(
        "{URL}mattermost.gitlab_enable = true\nmattermost.gitlab_url = 'https://gitlab.example.com'\n"
    );
    let mut machine = shipped(&site);
    machine.put("/opt/gitlab/service/puma", "");
    assert_eq!(var(&machine.plan(), NAME), Some("gitlab.example.com"));
    let more = "mattermost.service_allowed_untrusted_internal_connections = '10.0.0.0/8'\n";
    machine.site(&format!("{site}{more}"));
    assert_eq!(
        var(&machine.plan(), NAME),
        Some("10.0.0.0/8 gitlab.example.com")
    );
    // Without sign-on by GitLab there is no value; with GitLab on another machine, only the site's
    // own value counts.
    machine.site(&format!(
        "{URL}mattermost.gitlab_url = 'https://gitlab.example.com'\n"
    ));
    assert_eq!(var(&machine.plan(), NAME), None);
    assert_eq!(
        var(&shipped(&format!("{site}{more}")).plan(), NAME),
        Some("10.0.0.0/8")
    );
    let empty = "mattermost.service_allowed_untrusted_internal_connections = ''\n";
    assert_eq!(
        var(&shipped(&format!("{URL}{empty}")).plan(), NAME),
        Some("")
    );
}

#[test]
fn without_a_database_it_says_so() {
    let errors = shipped(&format!("{URL}postgresql.enable = false\n")).errors();
    assert!(
        errors.starts_with("/etc/mattervisor/mattervisor.toml:2: error: postgresql.enable: PostgreSQL does not run here")
            && errors.contains("mattermost.sql_data_source"),
        "{errors}"
    );
    let errors = shipped(&format!("{URL}mattermost.sql_driver_name = 'mysql'\n")).errors();
    assert!(
        errors.contains("mattermost.sql_driver_name: the database that runs here"),
        "{errors}"
    );
}

#[test]
fn no_time_limit_of_gitlab_s_is_on_the_database() {
    let rendered = |site: &str| {
        let plan = shipped(&format!("{URL}{site}")).plan();
        let files = plan.services["postgresql"].files.iter();
        files.map(|file| file.content.clone()).collect::<String>()
    };
    let usual = rendered("");
    assert!(
        !usual.contains("\nstatement_timeout") && !usual.contains("\nidle_in_transaction"),
        "{usual}"
    );
    // The values for a machine with 8 GB.
    assert!(usual.contains("shared_buffers = '2048MB'"), "{usual}");
    assert!(usual.contains("effective_cache_size = '4096MB'"), "{usual}");
    assert!(usual.contains("listen_addresses = ''"), "{usual}");
    let said = rendered(
        "postgresql.statement_timeout = 60000\npostgresql.wal_level = 'logical'\n\
        postgresql.random_page_cost = 1.1\npostgresql.shared_buffers = '64MB'\n\
        postgresql.ssl_cert_file = '/a.crt'\npostgresql.ssl_key_file = '/a.key'\npostgresql.hostssl = true\n\
        postgresql.md5_auth_cidr_addresses = ['10.0.0.0/8']\n",
    );
    for line in [
        "statement_timeout = '60000'",
        "wal_level = 'logical'",
        "random_page_cost = '1.1'",
        "shared_buffers = '64MB'",
        "ssl = on",
        "hostssl all all 10.0.0.0/8 md5",
    ] {
        assert!(said.lines().any(|it| it == line), "{line}\n{said}");
    }
    let errors = shipped(&format!("{URL}postgresql.ssl = 'on'\n")).errors();
    assert!(errors.contains("TLS needs a certificate"), "{errors}");
}

#[test]
fn roles_are_presets_that_everything_else_overrides() {
    let site = format!("{URL}roles = [\"mattermost\"]\n");
    assert_eq!(enabled(&shipped(&site).plan()), STACK);
    let mut machine = shipped(&format!(
        "{site}redis.enable = true\nmattermost_nginx.enable = false\n"
    ));
    machine.put("/usr/bin/redis-server", "");
    let plan = machine.plan();
    assert!(plan.services["redis"].enabled && !plan.services["nginx"].enabled);
    // The address alone would enable Mattermost, but this is GitLab's machine.
    let site = format!(
        "{URL}roles = [\"gitlab\"]\ngitlab_rails.enable = false\nprometheus_monitoring.enable = false\n"
    );
    let plan = shipped(&site).plan();
    assert_eq!(enabled(&plan), ["postgresql", "postgresql-setup", "redis"]);
}

/// A service of `gitlab.rb` that cannot run here may be switched off and keep its settings, and is
/// no service.
#[test]
fn what_of_gitlabs_cannot_run_here_is_no_service() {
    let catalog: toml::Table = toml::from_str(CATALOG_TOML).unwrap();
    let entries = catalog["unavailable"].as_array().unwrap();
    let names = entries
        .iter()
        .flat_map(|it| it["names"].as_array().unwrap());
    let names: Vec<&str> = names.map(|name| name.as_str().unwrap()).collect();
    assert!(names.len() > 15, "{names:?}");
    let off = |name: &&str| format!("{name}.enable = false\n{name}.worker_processes = 2\n");
    let plan = shipped(&names.iter().map(off).collect::<String>()).plan();
    for name in names {
        let service = plan.services.keys().find(|it| it.replace('-', "_") == name);
        assert_eq!(service, None);
        let errors = shipped(&format!("{name}.enable = true\n")).errors();
        let told = format!("mattervisor.toml:1: error: {name}.enable: `{name}` cannot run here: ");
        assert!(errors.contains(&told), "{errors}");
    }
}

/// A disabled service contributes nothing to the plan.
#[test]
fn a_disabled_service_takes_nothing() {
    let plan = shipped("").plan();
    for service in plan.services.values() {
        let name = &service.name;
        assert!(
            service.command.is_empty() && service.listens.is_empty(),
            "{name}"
        );
        assert!(
            service.directories.is_empty() && service.files.is_empty(),
            "{name}"
        );
        assert!(service.env.is_empty(), "{name}");
    }
}

#[test]
fn a_value_reaches_mattermost_as_it_was_written() {
    let site = format!(
        "{URL}mattermost.team_site_name = \"two  blanks \"\nmattermost.env = {{ MOTD = \"a\\nb\", EMPTY = '' }}\n"
    );
    let plan = shipped(&site).plan();
    assert_eq!(var(&plan, "MM_TEAMSETTINGS_SITENAME"), Some("two  blanks "));
    assert_eq!(var(&plan, "MOTD"), Some("a\nb"));
    assert_eq!(var(&plan, "EMPTY"), Some(""));
    for line in [
        "mattermost.team_site_name = \"a\\u0000b\"",
        "mattermost.env = { A = \"a\\u0000b\" }",
    ] {
        let errors = shipped(&format!("{URL}{line}\n")).errors();
        assert!(errors.contains("cannot contain a NUL"), "{errors}");
    }
}

#[test]
fn the_address_of_mattermost_is_checked() {
    for (url, why) in [
        ("mattermost.example.com", "no scheme"),
        ("ftp://mattermost.example.com", "http:// or https://"),
        ("https://", "no host"),
        ("https://mattermost.example.com/chat", "path"),
    ] {
        let errors = shipped(&format!("mattermost_external_url = \"{url}\"\n")).errors();
        assert!(
            errors.contains(":1: error: mattermost_external_url: ") && errors.contains(why),
            "{errors}"
        );
    }
    shipped("mattermost_external_url = \"https://mattermost.example.com:8443/\"\n").plan();
}

#[test]
fn the_version_is_what_mattermost_said() {
    let mut machine = shipped(URL);
    machine.shipped("probe", "command = ['/bin/{{ mattermost.version if mattermost.version is defined else \"unknown\" }}']\n");
    assert_eq!(machine.plan().services["probe"].command, ["/bin/unknown"]);
    machine.put("/var/lib/mattervisor/mattermost/VERSION", "10.11.20\n");
    assert_eq!(machine.plan().services["probe"].command, ["/bin/10.11.20"]);
}
