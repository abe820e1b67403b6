//! The shipped catalogue takes the keys of `gitlab.rb`, and they mean what they meant there.

use super::catalogue::{SEED, enabled, shipped};
use crate::Plan;

const URL: &str = "mattermost_external_url = \"https://mattermost.example.com\"\n";

/// `mattermost['…']`, each with a value of the kind that it had.
const MATTERMOST: &str = r#"
enable = true
username = "mattermost"
group = "mattermost"
uid = 994
gid = 994
home = "/var/opt/gitlab/mattermost"
database_name = "mattermost_production"
env_directory = "/opt/gitlab/etc/mattermost/env"
env = { SSL_CERT_DIR = "/opt/gitlab/embedded/ssl/certs/", GODEBUG = "tlsmlkem=0" }
log_file_directory = "/var/log/gitlab/mattermost"
service_use_ssl = false
service_address = "127.0.0.1"
service_port = "8065"
service_site_url = "https://mattermost.example.com"
service_allowed_untrusted_internal_connections = "10.0.0.0/8 gitlab.example.com"
service_enable_api_team_deletion = true
team_site_name = "GitLab Mattermost"
sql_driver_name = "postgres"
sql_data_source = "user=gitlab_mattermost host=/var/opt/gitlab/postgresql port=5432 dbname=mattermost_production"
sql_at_rest_encrypt_key = "0123456789abcdef0123456789abcdef"
email_invite_salt = "0123456789abcdef0123456789abcdef"
file_public_link_salt = "0123456789abcdef0123456789abcdef"
file_directory = "/var/opt/gitlab/mattermost/data"
plugin_directory = "/var/opt/gitlab/mattermost/plugins"
plugin_client_directory = "/var/opt/gitlab/mattermost/client-plugins"
gitlab_enable = true
gitlab_id = "12345656"
gitlab_secret = "123456789"
gitlab_scope = "read_user"
gitlab_auth_endpoint = "http://gitlab.example.com/oauth/authorize"
gitlab_token_endpoint = "http://gitlab.example.com/oauth/token"
gitlab_user_api_endpoint = "http://gitlab.example.com/api/v4/user"
register_as_oauth_app = true
svlogd_size = 209715200
svlogd_num = 30
svlogd_timeout = 86400
svlogd_filter = "gzip"
svlogd_udp = "192.0.2.1:514"
svlogd_prefix = "mm"
log_group = "adm"
logrotate_frequency = "daily"
logrotate_maxsize = "100M"
logrotate_size = "100M"
logrotate_rotate = 30
logrotate_compress = "compress"
logrotate_method = "copytruncate"
logrotate_postrotate = "true"
logrotate_dateformat = "-%Y-%m-%d"
"#;

/// `mattermost_nginx['…']`, and `nginx['…']` besides.
const NGINX: &str = r#"
enable = true
listen_addresses = ["*"]
listen_port = 443
listen_https = true
redirect_http_to_https = true
redirect_http_to_https_port = 80
client_max_body_size = "0"
ssl_certificate = "/etc/gitlab/ssl/mattermost.example.com.crt"
ssl_certificate_key = "/etc/gitlab/ssl/mattermost.example.com.key"
ssl_protocols = "TLSv1.2 TLSv1.3"
ssl_ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256"
ssl_prefer_server_ciphers = "off"
ssl_session_cache = "shared:SSL:10m"
ssl_session_timeout = "1d"
ssl_session_tickets = "off"
ssl_dhparam = "/etc/gitlab/ssl/dhparams.pem"
ssl_ecdh_curve = "X25519:prime256v1"
ssl_conf_command = ["Options PrioritizeChaCha"]
ssl_password_file = "/etc/gitlab/ssl/passphrase"
ssl_client_certificate = "/etc/gitlab/ssl/ca.crt"
ssl_verify_client = "off"
ssl_verify_depth = "1"
http2_enabled = true
hsts_max_age = 63072000
hsts_include_subdomains = false
proxy_read_timeout = 3600
proxy_connect_timeout = 300
proxy_protocol = false
real_ip_trusted_addresses = []
real_ip_header = "X-Forwarded-For"
real_ip_recursive = "on"
referrer_policy = "strict-origin-when-cross-origin"
proxy_custom_buffer_size = "8k"
error_log_level = "error"
custom_gitlab_mattermost_server_config = ""
log_format = "$remote_addr"
proxy_set_headers = { X-Forwarded-Proto = "https" }
"#;

/// `postgresql['…']`.
const POSTGRESQL: &str = r#"
enable = true
ha = false
dir = "/var/opt/gitlab/postgresql"
home = "/var/opt/gitlab/postgresql"
data_dir = "/var/opt/gitlab/postgresql/data"
unix_socket_directory = "/var/opt/gitlab/postgresql"
username = "gitlab-psql"
group = "gitlab-psql"
uid = 996
gid = 996
shell = "/bin/sh"
user_path = "/opt/gitlab/embedded/bin"
sql_user = "gitlab"
sql_user_password = "x"
sql_superuser_password = "x"
sql_mattermost_user = "gitlab_mattermost"
sql_replication_user = "gitlab_replicator"
port = 5432
connect_port = 5432
registry = { auto_create = true }
listen_address = "127.0.0.1"
max_connections = 400
md5_auth_cidr_addresses = ["10.0.0.0/8"]
trust_auth_cidr_addresses = ["127.0.0.1/32"]
ssl = "on"
hostssl = true
ssl_ciphers = "HIGH:!aNULL"
ssl_cert_file = "/etc/gitlab/ssl/pg.crt"
ssl_key_file = "/etc/gitlab/ssl/pg.key"
ssl_ca_file = "/etc/gitlab/ssl/ca.crt"
ssl_crl_file = "/etc/gitlab/ssl/ca.crl"
cert_auth_addresses = { "10.0.0.1/32" = { database = "x", user = "y" } }
shmmax = 17179869184
shmall = 4194304
semmsl = 250
semmns = 32000
semopm = 32
semmni = 275
shared_buffers = "512MB"
work_mem = "16MB"
maintenance_work_mem = "16MB"
effective_cache_size = "1GB"
log_min_duration_statement = 1000
min_wal_size = "80MB"
max_wal_size = "1GB"
checkpoint_timeout = "5min"
checkpoint_completion_target = 0.9
checkpoint_warning = "30s"
wal_buffers = "-1"
autovacuum = "on"
log_autovacuum_min_duration = "-1"
autovacuum_max_workers = "3"
autovacuum_naptime = "1min"
autovacuum_vacuum_threshold = "50"
autovacuum_analyze_threshold = "50"
autovacuum_vacuum_scale_factor = "0.02"
autovacuum_analyze_scale_factor = "0.01"
autovacuum_freeze_max_age = "200000000"
autovacuum_vacuum_cost_delay = "20ms"
autovacuum_vacuum_cost_limit = "-1"
statement_timeout = "60000"
idle_in_transaction_session_timeout = "60000"
log_line_prefix = "%t"
log_statement = "none"
track_activity_query_size = "1024"
shared_preload_libraries = "pg_stat_statements"
dynamic_shared_memory_type = "posix"
random_page_cost = 2.0
max_locks_per_transaction = 128
log_temp_files = -1
log_checkpoints = "off"
effective_io_concurrency = 1
max_worker_processes = 8
max_parallel_workers_per_gather = 0
log_lock_waits = 1
deadlock_timeout = "5s"
track_io_timing = "off"
default_statistics_target = 1000
log_destination = "stderr"
logging_collector = "off"
log_directory = "/var/log/gitlab/postgresql"
log_truncate_on_rotation = "off"
log_rotation_age = "1d"
log_rotation_size = 0
log_connections = "off"
log_disconnections = "off"
wal_level = "minimal"
wal_log_hints = "off"
max_wal_senders = 0
wal_keep_segments = 10
wal_keep_size = 160
max_slot_wal_keep_size = -1
hot_standby = "off"
max_standby_archive_delay = "30s"
max_standby_streaming_delay = "30s"
max_replication_slots = 0
synchronous_commit = "on"
synchronous_standby_names = ""
hot_standby_feedback = "off"
archive_mode = "off"
archive_command = "true"
archive_timeout = "0"
version = 16
max_service_checks = 20
service_check_interval = 5
auto_restart_on_version_change = true
svlogd_size = 209715200
svlogd_num = 30
log_group = "adm"
"#;

/// What else the documents name.
const OTHERS: &str = r#"
manage_accounts.enable = false
gitlab_rails.enable = false
gitlab_rails.mattermost_host = "https://mattermost.example.com"
puma.enable = false
sidekiq.enable = false
gitlab_workhorse.enable = false
gitaly.enable = false
gitlab_kas.enable = false
gitlab_exporter.enable = false
redis.enable = false
redis_exporter.enable = false
postgres_exporter.enable = false
grafana.enable = false
prometheus.enable = false
prometheus_monitoring.enable = false
alertmanager.enable = false
node_exporter.enable = false
letsencrypt.enable = false
registry.enable = false
mailroom.enable = false
crond.enable = false
logrotate.enable = false
gitlab_pages.enable = false
gitlab_sshd.enable = false
praefect.enable = false
storage_check.enable = false
spamcheck.enable = false
user.username = "git"
user.group = "git"
logging.svlogd_size = 209715200
logging.svlogd_num = 30
logging.svlogd_timeout = 86400
logging.log_group = "adm"
"#;

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
    let mut world = shipped(&site);
    world.put("/opt/gitlab/service/puma", "");
    assert_eq!(var(&world.plan(), NAME), Some("gitlab.example.com"));
    let more = "mattermost.service_allowed_untrusted_internal_connections = '10.0.0.0/8'\n";
    world.site(&format!("{site}{more}"));
    assert_eq!(
        var(&world.plan(), NAME),
        Some("10.0.0.0/8 gitlab.example.com")
    );
    // Off, it is nobody's business; elsewhere, only what is said counts.
    world.site(&format!(
        "{URL}mattermost.gitlab_url = 'https://gitlab.example.com'\n"
    ));
    assert_eq!(var(&world.plan(), NAME), None);
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
    // A machine of 8 GB.
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
    let mattermost = [
        "mattermost",
        "mattermost-database",
        "mattermost-version",
        "nginx",
        "postgresql",
        "postgresql-setup",
    ];
    let site = format!("{URL}roles = [\"mattermost\"]\n");
    assert_eq!(enabled(&shipped(&site).plan()), mattermost);
    let mut world = shipped(&format!(
        "{site}redis.enable = true\nmattermost_nginx.enable = false\n"
    ));
    world.put("/usr/bin/redis-server", "");
    let plan = world.plan();
    assert!(plan.services["redis"].enabled && !plan.services["nginx"].enabled);
    // The address alone would enable Mattermost, but this is GitLab's machine.
    let site = format!(
        "{URL}roles = [\"gitlab\"]\ngitlab_rails.enable = false\nprometheus_monitoring.enable = false\nlogrotate.enable = false\n"
    );
    let plan = shipped(&site).plan();
    assert_eq!(enabled(&plan), ["postgresql", "postgresql-setup", "redis"]);
}

#[test]
fn a_service_of_gitlab_runs_where_gitlab_is_and_nobody_else_runs_it() {
    let errors = shipped("puma.enable = true\n").errors();
    assert!(
        errors.starts_with("/etc/mattervisor/mattervisor.toml:1: error: puma.enable: GitLab's puma is not installed here"),
        "{errors}"
    );
    let mut world =
        shipped("gitlab_dir = '/srv/gitlab'\ngitlab_state_dir = '/srv/data'\npuma.enable = true\n");
    world.put("/srv/gitlab/embedded/bin/bundle", "");
    world.put("/srv/data/gitlab-rails/etc/puma.rb", "");
    let plan = world.plan();
    let puma = &plan.services["puma"];
    assert_eq!(puma.command[..2], ["/srv/gitlab/embedded/bin/chpst", "-e"]);
    assert_eq!(puma.user.as_deref(), Some("git"));
    world.put("/srv/gitlab/service/puma", "");
    let errors = world.errors();
    assert!(
        errors.contains("gitlab-runsvdir") && errors.contains("gitlab-ctl reconfigure"),
        "{errors}"
    );
}

/// Nothing of a disabled service is anywhere in the plan.
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
        "{URL}mattermost.team_site_name = \"two\\nlines \"\nmattermost.env = {{ MOTD = \"a\\nb\", EMPTY = '' }}\n"
    );
    let plan = shipped(&site).plan();
    assert_eq!(var(&plan, "MM_TEAMSETTINGS_SITENAME"), Some("two\nlines "));
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
    let mut world = shipped(URL);
    world.shipped("probe", "command = ['/bin/{{ mattermost.version if mattermost.version is defined else \"unknown\" }}']\n");
    assert_eq!(world.plan().services["probe"].command, ["/bin/unknown"]);
    world.put("/var/lib/mattervisor/mattermost/VERSION", "10.11.20\n");
    assert_eq!(world.plan().services["probe"].command, ["/bin/10.11.20"]);
}
