//! The whole stack: the shipped catalogue with a real `PostgreSQL`, nginx, and the stand-in
//! Mattermost.

use std::{
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use mattervisor_tests::{
    Site, StatusExt, eventually, free_port, http_get, kill, need, nginx, postgres, run, skip,
    unpack_mattermost,
};
use nix::{mount::MsFlags, sys::signal::Signal};

use crate::faults::Disk;

/// Limit for the start of a stack: initdb alone needs seconds on a busy machine.
const START: Duration = Duration::from_secs(120);

/// The database that the catalogue makes.
pub(crate) const DATABASE: &str = "mattermost_production";

/// A stack on a root of its own.
pub(crate) struct Stack {
    pub(crate) site: Site,
    pub(crate) nginx_port: u16,
    mattermost_port: u16,
    bin: PathBuf,
}

impl Stack {
    pub(crate) fn new(bin: PathBuf, environment: &str) -> Self {
        let mut site = Site::new();
        let (nginx_port, mattermost_port) = (free_port(), free_port());
        let catalog = Path::new(env!("CARGO_MANIFEST_DIR")).join("../services.d");
        unpack_mattermost(&site.path("opt"));
        site.use_catalog(&catalog);
        let root = site.root().display().to_string();
        let nobody = if nix::unistd::geteuid().is_root() {
            r#"
                mattermost.username = "nobody"
                mattermost.group = "nogroup"
                nginx.username = "nobody"
                nginx.group = "nogroup"
            "#
        } else {
            ""
        };
        site.site_file(&format!(
            r#"
                mattermost_external_url = "http://127.0.0.1:{nginx_port}"
                mattermost.install_dir = "{root}/opt"
                mattermost.service_port = {mattermost_port}
                mattermost.env = {{ {environment} }}
                nginx.listen_addresses = ["127.0.0.1"]
                nginx.worker_processes = "1"
                postgresql.shared_buffers = "16MB"
                postgresql.max_connections = 40
                {nobody}
            "#
        ));
        Self {
            site,
            nginx_port,
            mattermost_port,
            bin,
        }
    }

    /// Serves by HTTPS as localhost; plain HTTP on the other port is redirected.
    pub(crate) fn over_tls(&self, plain: u16) {
        let file = self.site.path("etc/mattervisor/mattervisor.toml");
        let site_file = std::fs::read_to_string(file).unwrap();
        let site_file = site_file.replace("\"http://127.0.0.1:", "\"https://localhost:");
        self.site.site_file(&format!(
            "
                {site_file}
                mattermost_nginx.redirect_http_to_https = true
                mattermost_nginx.redirect_http_to_https_port = {plain}
            "
        ));
    }

    pub(crate) fn start(&mut self) -> &mut Self {
        self.site.start();
        self.site
            .wait_for_within(START, "the stack is ready", |status| {
                ["postgresql", "mattermost", "nginx"]
                    .iter()
                    .all(|name| status.ready(name))
            });
        self
    }

    /// Waits until no service starts, reloads or stops.
    pub(crate) fn settle(&self) {
        const MOVING: [&str; 4] = ["spawning", "starting", "reloading", "stopping"];
        self.site
            .wait_for_within(START, "nothing is on its way", |status| {
                status
                    .services
                    .iter()
                    .all(|it| !MOVING.contains(&it.state.as_str()))
            });
    }

    /// HTTP status of the page, through nginx.
    fn page(&self) -> Option<u16> {
        http_get(self.nginx_port, "/").map(|(status, _)| status)
    }

    fn recovers(&self) {
        eventually("the page is there again", || {
            (self.page() == Some(200)).then_some(())
        });
    }

    /// The result of a query, which the superuser runs.
    pub(crate) fn sql(&self, query: &str) -> String {
        let mut command = self.postgres_program("psql");
        command.args(["-d", DATABASE, "-Atc", query]);
        run(&mut command).ok().stdout.trim().to_owned()
    }

    /// A program of PostgreSQL, as the superuser's account and with the arguments to connect.
    pub(crate) fn postgres_program(&self, name: &str) -> Command {
        let mut command = Command::new("setpriv");
        if nix::unistd::geteuid().is_root() {
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
        } else {
            command.arg("--inh-caps=-all");
        }
        let socket = self.site.path("run/mattervisor/postgresql");
        command.arg(self.bin.join(name)).arg("-h").arg(socket);
        command.args(["-U", "postgres"]).current_dir("/");
        command
    }
}

/// The stack comes up from nothing, serves its page, and stops without a leftover; a second start
/// keeps the data.
#[test]
fn the_stack_comes_up_and_goes_down() {
    let bin = need!(postgres());
    need!(nginx());
    let mut stack = Stack::new(bin, "STANDIN_STOP_MS = '100'");
    stack.start();
    let (code, body) = http_get(stack.nginx_port, "/").unwrap();
    assert_eq!(code, 200);
    assert!(body.contains("Mattermost"), "{body}");
    assert_eq!(stack.sql("select count(*) from standin_starts"), "1");
    let (_, headers) = http_get(stack.nginx_port, "/api/v4/echo-headers").unwrap();
    assert!(headers.to_lowercase().contains("x-forwarded"), "{headers}");
    let status = stack.site.status();
    assert_eq!(status.state("mattermost-database"), "completed");
    assert_eq!(status.state("postgresql-setup"), "completed");
    assert_eq!(stack.site.stop(), 0, "{}", stack.site.supervisor_log());
    assert_eq!(stack.site.leftovers(), Vec::<String>::new());
    stack.start();
    assert_eq!(stack.sql("select count(*) from standin_starts"), "2");
}

/// Each service comes back after SIGKILL, the others keep their processes, and the page recovers by
/// itself.
#[test]
fn kill_9_of_each_comes_back_and_bounces_nobody() {
    let bin = need!(postgres());
    need!(nginx());
    let mut stack = Stack::new(bin, "STANDIN_STOP_MS = '100'");
    stack.start();
    for name in ["mattermost", "nginx", "postgresql"] {
        let before = stack.site.status();
        kill(before.pid(name), Signal::SIGKILL);
        let after = stack.site.wait_reborn(name, before.pid(name));
        for other in ["mattermost", "nginx", "postgresql"]
            .into_iter()
            .filter(|other| *other != name)
        {
            assert_eq!(
                after.pid(other),
                before.pid(other),
                "{other} was bounced by {name}"
            );
        }
        assert_eq!(
            after.service(name).restarts,
            before.service(name).restarts + 1
        );
        assert_eq!(
            after
                .service(name)
                .last_exit
                .as_ref()
                .unwrap()
                .signal
                .as_deref(),
            Some("KILL")
        );
        stack.recovers();
    }
    let before = stack.site.status();
    let backend: i32 = stack
        .sql("select pid from pg_stat_activity where backend_type = 'checkpointer'")
        .parse()
        .unwrap();
    kill(backend, Signal::SIGKILL);
    eventually("PostgreSQL has recovered", || {
        let (status, _) = http_get(
            stack.mattermost_port,
            "/api/v4/system/ping?get_server_status=true",
        )?;
        (status == 200 && stack.site.status().ready("postgresql")).then_some(())
    });
    assert_eq!(
        stack.site.status().pid("mattermost"),
        before.pid("mattermost")
    );
}

/// `ctl stop postgresql` stops Mattermost first, and Mattermost comes back with it. nginx stays,
/// and answers 503.
#[test]
fn stopping_postgresql_stops_mattermost_first() {
    let bin = need!(postgres());
    need!(nginx());
    let mut stack = Stack::new(bin, "STANDIN_STOP_MS = '100'");
    stack.start();
    let before = stack.site.status();
    stack.site.ctl(&["stop", "postgresql"]).ok();
    let status = stack.site.status();
    assert_eq!(status.state("postgresql"), "stopped");
    assert_eq!(status.state("mattermost"), "waiting");
    assert_eq!(
        status
            .service("mattermost")
            .last_exit
            .as_ref()
            .unwrap()
            .code,
        Some(0),
        "it was stopped in good order"
    );
    assert_eq!(status.pid("nginx"), before.pid("nginx"));
    assert_eq!(stack.page(), Some(503));
    stack.site.ctl(&["start", "postgresql"]).ok();
    stack
        .site
        .wait_for("Mattermost comes back", |status| status.ready("mattermost"));
    stack.recovers();
}

/// Mattermost that goes unhealthy is shown as degraded and left alone.
#[test]
fn a_lost_database_is_degraded_not_restarted() {
    let bin = need!(postgres());
    need!(nginx());
    let mood = tempfile::NamedTempFile::new().unwrap();
    let path = mood.path().display().to_string();
    std::fs::set_permissions(
        mood.path(),
        std::os::unix::fs::PermissionsExt::from_mode(0o644),
    )
    .unwrap();
    let mut stack = Stack::new(
        bin,
        &format!("STANDIN_STOP_MS = '100', STANDIN_MOOD_FILE = '{path}'"),
    );
    stack
        .site
        .service("mattermost", "[health]\ninterval = '100ms'\n");
    stack.start();
    let pid = stack.site.status().pid("mattermost");
    stack.site.wait_for("it is healthy", |status| {
        status.service("mattermost").healthy == Some(true)
    });
    std::fs::write(&path, "unhealthy").unwrap();
    stack.site.wait_for("it is degraded", |status| {
        status.service("mattermost").healthy == Some(false)
    });
    std::fs::write(&path, "").unwrap();
    let status = stack.site.wait_for("it is healthy again", |status| {
        status.service("mattermost").healthy == Some(true)
    });
    assert_eq!(status.pid("mattermost"), pid);
}

/// The install directory may be a symlink, as in some distributions.
#[test]
fn an_install_directory_may_be_a_symlink() {
    let bin = need!(postgres());
    need!(nginx());
    let mut stack = Stack::new(bin, "STANDIN_STOP_MS = '100'");
    let real = stack.site.path("opt-11.6");
    std::fs::rename(stack.site.path("opt"), &real).unwrap();
    symlink(&real, stack.site.path("opt")).unwrap();
    stack.start();
    assert_eq!(stack.page(), Some(200));
}

/// Debian's initramfs mounts /run with noexec.
#[test]
fn the_stack_comes_up_where_nothing_in_run_can_be_executed() {
    let bin = need!(postgres());
    need!(nginx());
    if !nix::unistd::geteuid().is_root() {
        skip!("needs root to mount a run directory");
    }
    let mut stack = Stack::new(bin, "STANDIN_STOP_MS = '100'");
    let run_dir = stack.site.path("run");
    let _disk = Disk::mount_with(&run_dir, "16m", MsFlags::MS_NOEXEC);
    stack.start();
    assert_eq!(stack.page(), Some(200));
    stack.site.ctl(&["reload", "nginx"]).ok();
    stack.site.stop();
}
