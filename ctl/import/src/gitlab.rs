//! Sections and keys of gitlab.rb that are GitLab's own, and why the import leaves them out.

/// Sections of GitLab's template that are not Mattermost's.
const SECTIONS: [&str; 60] = [
    "alertmanager",
    "bitbucket_importer",
    "ci_nginx",
    "consul",
    "crond",
    "geo_logcursor",
    "geo_postgresql",
    "geo_secondary",
    "git_data_dirs",
    "gitaly",
    "gitlab_ci",
    "gitlab_exporter",
    "gitlab_kas",
    "gitlab_kas_nginx",
    "gitlab_backup_cli",
    "gitlab_pages",
    "gitlab_rails",
    "gitlab_relay",
    "gitlab_shell",
    "gitlab_sshd",
    "gitlab_workhorse",
    "grafana",
    "high_availability",
    "incoming_email",
    "logging",
    "logrotate",
    "mailroom",
    "manage_storage_directories",
    "monitoring_role",
    "node_exporter",
    "oak",
    "omnibus_gitconfig",
    "package",
    "pages_nginx",
    "patroni",
    "pgbouncer",
    "pgbouncer_exporter",
    "postgres_exporter",
    "praefect",
    "prometheus",
    "prometheus_monitoring",
    "puma",
    "redis",
    "redis_exporter",
    "registry",
    "registry_nginx",
    "remote_syslog",
    "repmgr",
    "repmgrd",
    "runtime_dir",
    "sentinel",
    "service_desk_email",
    "sidekiq",
    "sidekiq_cluster",
    "spamcheck",
    "storage_check",
    "suggested_reviewers",
    "unicorn",
    "user",
    "web_server",
];

/// Settings at the top that are GitLab's.
const TOP: [&str; 9] = [
    "external_url",
    "registry_external_url",
    "pages_external_url",
    "gitlab_kas_external_url",
    "gitlab_relay_external_url",
    "oak_external_url",
    "ci_external_url",
    "git_data_dirs",
    "runtime_dir",
];

/// Whether a section of gitlab.rb is GitLab's.
pub(super) fn is_section(name: &str) -> bool {
    SECTIONS.contains(&name)
}

/// Whether a setting at the top is GitLab's.
pub(super) fn is_top(name: &str) -> bool {
    TOP.contains(&name)
}

/// Every section that a gitlab.rb may have, to suggest the nearest name for an unknown section.
pub(super) fn known() -> impl Iterator<Item = &'static str> {
    let ours = [
        "mattermost",
        "mattermost_nginx",
        "nginx",
        "postgresql",
        "letsencrypt",
        "manage_accounts",
    ];
    SECTIONS.into_iter().chain(ours)
}

/// Why a setting of GitLab's own is not needed here.
pub(super) fn reason(section: &str, key: &str) -> &'static str {
    match (section, key) {
        ("user" | "web_server", _) => {
            "an account of GitLab's package; services here have accounts of their own"
        }
        ("logging" | "logrotate" | "remote_syslog", _) => {
            "logs of GitLab's package; here `log` sets size, number and age of log files, see docs/operate.md"
        }
        ("package" | "runtime_dir" | "manage_storage_directories", _) => {
            "about how GitLab's package starts and keeps its files; systemd starts the supervisor here"
        }
        ("gitlab_rails", _) if key.starts_with("smtp_") => {
            "belongs to GitLab; Mattermost sends mail by its own settings: System Console, Environment, SMTP"
        }
        ("gitlab_rails", _) if key.starts_with("backup_") => {
            "belongs to GitLab, whose backup never had Mattermost in it"
        }
        _ => "belongs to GitLab",
    }
}

/// Settings of GitLab's `postgresql` that are parameters of PostgreSQL under their own names.
pub(super) const PARAMETERS: [&str; 68] = [
    "archive_command",
    "archive_mode",
    "archive_timeout",
    "autovacuum",
    "autovacuum_analyze_scale_factor",
    "autovacuum_analyze_threshold",
    "autovacuum_freeze_max_age",
    "autovacuum_max_workers",
    "autovacuum_naptime",
    "autovacuum_vacuum_cost_delay",
    "autovacuum_vacuum_cost_limit",
    "autovacuum_vacuum_scale_factor",
    "autovacuum_vacuum_threshold",
    "autovacuum_work_mem",
    "checkpoint_completion_target",
    "checkpoint_segments",
    "checkpoint_timeout",
    "checkpoint_warning",
    "deadlock_timeout",
    "default_statistics_target",
    "default_toast_compression",
    "dynamic_shared_memory_type",
    "effective_cache_size",
    "effective_io_concurrency",
    "hot_standby_feedback",
    "huge_pages",
    "idle_in_transaction_session_timeout",
    "jit",
    "lock_timeout",
    "log_autovacuum_min_duration",
    "log_checkpoints",
    "log_connections",
    "log_disconnections",
    "log_line_prefix",
    "log_lock_waits",
    "log_min_duration_statement",
    "log_statement",
    "log_temp_files",
    "maintenance_work_mem",
    "max_connections",
    "max_files_per_process",
    "max_locks_per_transaction",
    "max_parallel_maintenance_workers",
    "max_parallel_workers",
    "max_parallel_workers_per_gather",
    "max_pred_locks_per_transaction",
    "max_replication_slots",
    "max_standby_archive_delay",
    "max_standby_streaming_delay",
    "max_wal_senders",
    "max_wal_size",
    "max_worker_processes",
    "min_wal_size",
    "random_page_cost",
    "seq_page_cost",
    "shared_buffers",
    "shared_preload_libraries",
    "statement_timeout",
    "synchronous_commit",
    "tcp_keepalives_idle",
    "temp_buffers",
    "track_activity_query_size",
    "track_functions",
    "track_io_timing",
    "wal_buffers",
    "wal_keep_size",
    "wal_level",
    "work_mem",
];

/// Settings of `nginx` that count for all sites; the others are about GitLab's own site.
pub(super) const NGINX_GLOBAL: [&str; 21] = [
    "cache_max_size",
    "custom_nginx_config",
    "client_header_buffer_size",
    "gzip",
    "gzip_comp_level",
    "gzip_enabled",
    "gzip_http_version",
    "gzip_proxied",
    "hide_server_tokens",
    "gzip_types",
    "hsts_max_age_global",
    "keepalive_time",
    "keepalive_timeout",
    "large_client_header_buffers",
    "sendfile",
    "server_names_hash_bucket_size",
    "tcp_nodelay",
    "tcp_nopush",
    "worker_connections",
    "worker_processes",
    "worker_rlimit_nofile",
];

/// Settings of `mattermost_nginx` in GitLab's template that have no meaning here.
pub(super) const NGINX_OWN: [&str; 22] = [
    "cache_max_size",
    "consul_service_name",
    "consul_service_meta",
    "dir",
    "gzip",
    "gzip_comp_level",
    "gzip_enabled",
    "gzip_http_version",
    "gzip_proxied",
    "gzip_types",
    "keepalive_timeout",
    "log_2xx_3xx",
    "log_directory",
    "log_group",
    "log_format",
    "request_buffering",
    "sendfile",
    "server_names_hash_bucket_size",
    "ssl_session_tickets",
    "status",
    "tcp_nodelay",
    "tcp_nopush",
];
