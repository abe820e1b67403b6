//! A database on another machine: Mattermost uses it, and nothing of the shipped database is there.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use mattervisor_tests::{Site, StatusExt, free_port, http_get, need, nginx, postgres, run};

use crate::stack::Stack;

/// A `PostgreSQL` that the test has started, as an administrator of another machine would.
struct Elsewhere {
    bin: PathBuf,
    data: PathBuf,
    port: u16,
}

impl Elsewhere {
    fn start(site: &Site, bin: PathBuf) -> Self {
        let data = site.path("elsewhere");
        fs::create_dir(&data).unwrap();
        let it = Self {
            bin,
            data,
            port: free_port(),
        };
        if nix::unistd::geteuid().is_root() {
            let user = nix::unistd::User::from_name("postgres").unwrap().unwrap();
            nix::unistd::chown(&it.data, Some(user.uid), Some(user.gid)).unwrap();
        }
        let data = it.data.display().to_string();
        it.run(
            "initdb",
            &["-D", &data, "-A", "trust", "-U", "postgres", "-N"],
        );
        let options = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off -c shared_buffers=16MB",
            it.port
        );
        let log = format!("{data}/log");
        it.run(
            "pg_ctl",
            &["-D", &data, "-l", &log, "-w", "-o", &options, "start"],
        );
        it.sql(
            "postgres",
            "create role mm login password 'elsewhere-secret'",
        );
        it.sql("postgres", "create database chat owner mm");
        it
    }

    /// Configures Mattermost to use this database.
    fn is_the_source_of(&self, site: &Site) {
        let secrets = site.path("etc/mattervisor/secrets.toml");
        let before = fs::read_to_string(&secrets).unwrap_or_default();
        let source = format!(
            "mattermost.sql_data_source = 'postgres://mm:elsewhere-secret@127.0.0.1:{}/chat?sslmode=disable'\n",
            self.port
        );
        fs::write(&secrets, source + &before).unwrap();
        fs::set_permissions(&secrets, fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Runs one of PostgreSQL's programs, as `postgres` where the test runs as root, which they
    /// refuse.
    fn run(&self, program: &str, arguments: &[&str]) -> String {
        let path = self.bin.join(program);
        let mut command = if nix::unistd::geteuid().is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
            command.arg(path);
            command
        } else {
            Command::new(path)
        };
        command.current_dir("/").args(arguments);
        run(&mut command).ok().stdout.trim().to_owned()
    }

    fn sql(&self, database: &str, query: &str) -> String {
        let port = self.port.to_string();
        let to = [
            "-h",
            "127.0.0.1",
            "-p",
            &port,
            "-U",
            "postgres",
            "-d",
            database,
        ];
        self.run("psql", &[&to[..], &["-Atc", query]].concat())
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        let data = self.data.display().to_string();
        if !std::thread::panicking() {
            self.run("pg_ctl", &["-D", &data, "-m", "immediate", "-w", "stop"]);
        }
    }
}

/// The first of these paths that exists.
fn any<'p>(site: &Site, paths: &[&'p str]) -> Option<&'p str> {
    paths.iter().copied().find(|path| site.path(path).exists())
}

#[test]
fn mattermost_uses_the_database_elsewhere_and_ours_takes_nothing() {
    let bin = need!(postgres());
    need!(nginx());
    let mut stack = Stack::new(bin.clone(), "STANDIN_STOP_MS = '100'");
    let site_file = stack.site.path("etc/mattervisor/mattervisor.toml");
    let usual = fs::read_to_string(&site_file).unwrap();
    stack
        .site
        .site_file(&format!("{usual}postgresql.enable = false\n"));
    let said = stack.site.ctl(&["check-config"]).expect_code(1);
    assert!(
        said.both().contains("mattermost.sql_data_source"),
        "{}",
        said.both()
    );

    let elsewhere = Elsewhere::start(&stack.site, bin);
    elsewhere.is_the_source_of(&stack.site);
    stack.site.start();
    stack.site.wait_for("Mattermost serves", |status| {
        status.ready("mattermost") && status.ready("nginx")
    });
    assert_eq!(http_get(stack.nginx_port, "/").unwrap().0, 200);
    assert_eq!(
        elsewhere.sql("chat", "select count(*) from standin_starts"),
        "1"
    );
    let status = stack.site.status();
    for name in ["postgresql", "postgresql-setup", "mattermost-database"] {
        assert!(!status.service(name).enabled, "{name}");
    }
    let ours = [
        "var/lib/mattervisor/postgresql",
        "run/mattervisor/postgresql",
        "run/mattervisor/postgresql-conf",
        "run/mattervisor/mattermost-database",
        "var/log/mattervisor/postgresql",
        "run/mattervisor/puma",
    ];
    assert_eq!(
        any(&stack.site, &ours),
        None,
        "is there though it is disabled"
    );
    let shown = stack.site.ctl(&["show-config", "mattermost"]).ok().both();
    assert!(!shown.contains("elsewhere-secret"), "{shown}");
    stack.site.stop();
}

/// The shipped database may go on beside the external one. Its schema, here newer than Mattermost,
/// says nothing of the external one's.
#[test]
fn the_database_here_says_nothing_of_one_elsewhere() {
    let bin = need!(postgres());
    need!(nginx());
    let mut stack = Stack::new(bin.clone(), "STANDIN_STOP_MS = '100'");
    stack.start();
    stack.sql("create table if not exists db_migrations (version bigint, name text)");
    stack.sql("insert into db_migrations values (999999, 'of_the_future')");
    let elsewhere = Elsewhere::start(&stack.site, bin);
    elsewhere.is_the_source_of(&stack.site);
    stack.site.ctl(&["reconfigure"]).ok();
    assert!(stack.site.status().ready("mattermost"));
    let starts = elsewhere.sql("chat", "select count(*) from standin_starts");
    assert_eq!(starts, "1");
    assert!(stack.site.status().ready("postgresql"));
}

/// Disabling the shipped PostgreSQL leaves its data where they are.
#[test]
fn data_of_a_disabled_database_stay() {
    let bin = need!(postgres());
    need!(nginx());
    let mut stack = Stack::new(bin, "STANDIN_STOP_MS = '100'");
    stack.start();
    let version = stack
        .site
        .path("var/lib/mattervisor/postgresql/data/PG_VERSION");
    assert!(Path::new(&version).exists());
    let site_file = stack.site.path("etc/mattervisor/mattervisor.toml");
    let usual = fs::read_to_string(&site_file).unwrap();
    let off = "
        mattermost.enable = false
        postgresql.enable = false
        mattermost_nginx.enable = false
    ";
    stack.site.site_file(&format!("{usual}{off}"));
    stack.site.ctl(&["reconfigure"]).ok();
    let status = stack.site.wait_for("all is down", |status| {
        ["postgresql", "mattermost", "nginx"]
            .iter()
            .all(|name| status.service(name).pid.is_none())
    });
    assert!(!status.service("postgresql").enabled);
    assert!(Path::new(&version).exists());
}
