//! Every parameter of PostgreSQL that has a key of its own reaches the server as it was written.

use std::{fmt::Write as _, fs, path::Path, process::Command};

use mattervisor_tests::{Site, StatusExt as _, need, postgres, run};

/// Key, value of the site file, and what the server shows.
const PARAMETERS: [(&str, &str, &str); 49] = [
    ("wal_level", "\"logical\"", "logical"),
    ("max_wal_senders", "3", "3"),
    ("max_replication_slots", "4", "4"),
    ("wal_buffers", "\"1MB\"", "1MB"),
    ("wal_log_hints", "true", "on"),
    ("hot_standby", "\"off\"", "off"),
    ("archive_mode", "\"on\"", "on"),
    (
        "archive_command",
        "\"test '%f' != \\\"\\\"\"",
        "test '%f' != \"\"",
    ),
    ("archive_timeout", "\"1min\"", "1min"),
    ("autovacuum_max_workers", "\"2\"", "2"),
    ("autovacuum_freeze_max_age", "300000000", "300000000"),
    ("track_activity_query_size", "\"2048\"", "2kB"),
    ("max_locks_per_transaction", "100", "100"),
    ("max_worker_processes", "9", "9"),
    ("max_connections", "33", "33"),
    ("shared_buffers", "\"16MB\"", "16MB"),
    ("work_mem", "\"5MB\"", "5MB"),
    ("maintenance_work_mem", "\"17MB\"", "17MB"),
    ("effective_cache_size", "\"65MB\"", "65MB"),
    ("min_wal_size", "\"96MB\"", "96MB"),
    ("max_wal_size", "\"192MB\"", "192MB"),
    ("checkpoint_timeout", "\"6min\"", "6min"),
    ("checkpoint_completion_target", "0.8", "0.8"),
    ("checkpoint_warning", "\"31s\"", "31s"),
    ("autovacuum", "false", "off"),
    ("log_autovacuum_min_duration", "5000", "5s"),
    ("autovacuum_naptime", "\"2min\"", "2min"),
    ("autovacuum_vacuum_threshold", "51", "51"),
    ("autovacuum_analyze_threshold", "52", "52"),
    ("autovacuum_vacuum_scale_factor", "0.02", "0.02"),
    ("autovacuum_analyze_scale_factor", "0.01", "0.01"),
    ("autovacuum_vacuum_cost_delay", "\"3ms\"", "3ms"),
    ("autovacuum_vacuum_cost_limit", "300", "300"),
    ("log_statement", "\"ddl\"", "ddl"),
    ("log_min_duration_statement", "1000", "1s"),
    ("log_temp_files", "1024", "1MB"),
    ("log_lock_waits", "1", "on"),
    ("random_page_cost", "1.1", "1.1"),
    ("max_parallel_workers_per_gather", "0", "0"),
    ("deadlock_timeout", "\"2s\"", "2s"),
    ("default_statistics_target", "200", "200"),
    ("wal_keep_size", "16", "16MB"),
    ("max_slot_wal_keep_size", "1024", "1GB"),
    ("max_standby_archive_delay", "\"31s\"", "31s"),
    ("max_standby_streaming_delay", "\"32s\"", "32s"),
    ("synchronous_commit", "\"local\"", "local"),
    ("hot_standby_feedback", "true", "on"),
    ("statement_timeout", "61000", "61s"),
    ("idle_in_transaction_session_timeout", "\"62000\"", "62s"),
];

struct Database {
    site: Site,
    bin: std::path::PathBuf,
}

impl Database {
    /// Starts the shipped database alone.
    fn start(bin: std::path::PathBuf, settings: &str) -> Self {
        let mut site = Site::new();
        site.use_catalog(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../services.d"));
        site.site_file(&format!("postgresql.enable = true\n{settings}"));
        site.start_ready();
        Self { site, bin }
    }

    fn show(&self, parameter: &str) -> String {
        self.ask(&format!("show {parameter}"))
    }

    fn ask(&self, query: &str) -> String {
        let mut command = if nix::unistd::geteuid().is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
            command.arg(self.bin.join("psql"));
            command
        } else {
            Command::new(self.bin.join("psql"))
        };
        let socket = self.site.path("run/mattervisor/postgresql");
        command.arg("-h").arg(socket);
        command.args(["-U", "postgres", "-d", "postgres", "-Atc"]);
        command.arg(query).current_dir("/");
        run(&mut command).ok().stdout.trim().to_owned()
    }
}

#[test]
fn each_parameter_reaches_the_server() {
    let bin = need!(postgres());
    let mut site_file = String::new();
    for (key, value, _) in PARAMETERS {
        writeln!(site_file, "postgresql.{key} = {value}").unwrap();
    }
    let database = Database::start(bin, &site_file);
    for (key, _, shown) in PARAMETERS {
        assert_eq!(database.show(key), shown, "{key}");
    }
    assert_eq!(database.show("listen_addresses"), "");
}

#[test]
fn unset_the_server_decides_and_no_statement_is_cut_off() {
    let bin = need!(postgres());
    let database = Database::start(bin, "postgresql.shared_buffers = '16MB'\n");
    assert_eq!(database.show("statement_timeout"), "0");
    assert_eq!(database.show("idle_in_transaction_session_timeout"), "0");
    assert_eq!(database.show("wal_level"), "replica");
}

/// A value that PostgreSQL rejects is found before anything is stopped, and the message is
/// PostgreSQL's own.
#[test]
fn a_value_that_postgresql_does_not_take_changes_nothing() {
    let bin = need!(postgres());
    let small = "postgresql.enable = true\npostgresql.shared_buffers = '16MB'\n";
    let Database { site, .. } = Database::start(bin, "postgresql.shared_buffers = '16MB'\n");
    let pid = site.status().pid("postgresql");
    for (line, said) in [
        ("postgresql.parameters = { no_such = 1 }", "no_such"),
        (
            "postgresql.max_worker_processes = 'many'",
            "max_worker_processes",
        ),
        ("postgresql.work_mem = '4 megs'", "work_mem"),
    ] {
        site.site_file(&format!("{small}{line}\n"));
        let told = site.ctl(&["reconfigure"]).expect_code(1).both();
        assert!(
            told.contains(said) && told.contains("nothing has changed"),
            "{told}"
        );
        assert_eq!(site.status().pid("postgresql"), pid);
    }
    site.site_file(&format!("{small}postgresql.work_mem = '4MB'\n"));
    site.ctl(&["reconfigure"]).ok();
    assert_eq!(site.status().pid("postgresql"), pid);
}

/// Lines of `pg_hba.conf` that `PostgreSQL` accepts.
const TAKEN: [&str; 27] = [
    "",
    "# a remark",
    "local all all peer map=mattervisor",
    "local all all scram-sha-256",
    "host all all 10.0.0.0/8 md5",
    "host all all 10.0.0.0/8 md5 # a remark",
    "host all all 10.1.2.3 255.255.255.255 md5",
    "host all all ::1 ffff:: md5",
    "host all all ::1/128 trust",
    "host all all ::ffff:10.0.0.0/104 md5",
    "host all all fe80::1%eth0/64 trust",
    "host all all 0.0.0.0/0 md5",
    "host all all 0/0 md5",
    "host all all samenet md5",
    "host all all all md5",
    "host all all .example.com md5",
    "host all all db.example.com md5",
    "host replication rep 10.0.0.0/8 scram-sha-256",
    "host all +group 10.0.0.0/8 reject",
    "host a,b,\"c d\" x 10.0.0.0/8 md5",
    "host a, b x 10.0.0.0/8 md5",
    "host \"all\" \"a b\" \"10.0.0.0/8\" \"md5\"",
    "host all all 10.0.0.0/8 gss include_realm=0",
    "host all all 10.0.0.0/8 ldap ldapserver=x ldapbasedn=\"dc=a, dc=b\"",
    "hostssl all all 10.0.0.0/8 cert map=x",
    "hostssl all all 10.0.0.0/8 md5 clientcert=verify-full",
    "hostnossl all all 10.0.0.0/8 md5",
];
/// Lines that `PostgreSQL` rejects, with the mistakes that people make.
const NOT_TAKEN: [&str; 17] = [
    "host all all 10.0.0.0/8",
    "host all all 10.1.2.3 md5",
    "host all all ::1 trust",
    "host all all 10.1.2.3/33 md5",
    "host all all 10.1.2.300/24 md5",
    "host all all [::1]/128 trust",
    "host all all 10.0.0.0/8,192.168.0.0/16 md5",
    "host all all 10.1.2.3 255.255.255.255",
    "host all 10.0.0.0/8 md5",
    "host all all 10.0.0.0/8 MD5",
    "host all all 10.0.0.0/8 scram",
    "host all all 10.0.0.0/8 peer",
    "host all all 10.0.0.0/8 cert",
    "hosts all all 10.0.0.0/8 md5",
    "local all all",
    "local all all cert",
    "host \"all all 10.0.0.0/8 md5",
];

/// A wrong line would prevent the next start, so `check-config` judges each line as `PostgreSQL`
/// does.
#[test]
fn lines_of_pg_hba_are_judged_as_postgresql_does() {
    let bin = need!(postgres());
    let small = "postgresql.enable = true\npostgresql.shared_buffers = '16MB'\n";
    let database = Database::start(bin, "postgresql.shared_buffers = '16MB'\n");
    let site = &database.site;
    let hba = site.path("run/mattervisor/postgresql-conf/pg_hba.conf");
    let ours = fs::read_to_string(&hba).unwrap();
    let refused = |lines: &[&str]| {
        fs::write(&hba, ours.clone() + &lines.join("\n") + "\n").unwrap();
        database.ask("select count(*) from pg_hba_file_rules where type is null")
    };
    assert_eq!(refused(&TAKEN), "0");
    assert_eq!(refused(&NOT_TAKEN), NOT_TAKEN.len().to_string());
    fs::write(&hba, &ours).unwrap();

    let list = |lines: &[&str]| {
        let lines = lines.iter().map(|line| format!("'{line}'"));
        lines.collect::<Vec<_>>().join(", ")
    };
    let key = "postgresql.custom_pg_hba_entries";
    site.site_file(&format!("{small}{key} = [{}]\n", list(&TAKEN)));
    site.ctl(&["check-config"]).ok();
    for line in NOT_TAKEN {
        site.site_file(&format!("{small}{key} = [{}]\n", list(&[line])));
        let told = site.ctl(&["check-config"]).expect_code(1).both();
        let place = format!("mattervisor.toml:3: error: {key}: must be a line of pg_hba.conf");
        assert!(told.contains(&place), "{line}: {told}");
    }
    site.site_file(&format!(
        "{small}postgresql.md5_auth_cidr_addresses = ['10.1.2.3']\n"
    ));
    let told = site.ctl(&["check-config"]).expect_code(1).both();
    assert!(
        told.contains("md5_auth_cidr_addresses: must be a network") && told.contains("10.1.2.3/32"),
        "{told}"
    );
    site.site_file("postgresql.enable = true\npostgresql.shared_buffers = '900TB'\n");
    let told = site.ctl(&["check-config"]).expect_code(1).both();
    assert!(
        told.contains("mattervisor.toml:2: error: postgresql.shared_buffers: 900TB is more than"),
        "{told}"
    );
}
