//! One machine: the shipped catalogue, a `PostgreSQL` of some version, the stand-in Mattermost.

use std::{fs, io, path::Path, path::PathBuf, process::Command};

use api::{ServiceState, StatusReply};

use super::strike::LIMIT;
use crate::{
    ctl::{Ctl, Running},
    mattermost::unpack_mattermost,
    ports::free_port,
    site::Site,
    soak::subject::Subject,
    wait,
};

/// The database that the catalogue makes.
pub(super) const DATABASE: &str = "mattermost_production";
/// The account whose files are saved.
pub(super) const ACCOUNT: &str = "nobody";
/// Databases that a job has made and not put into place.
const HALF_MADE: &str = "SELECT string_agg(datname, ' ') FROM pg_database WHERE datname LIKE '%\\_restore\\_2%' OR NOT (datallowconn OR datname = 'template0')";
/// Count of the safety copies.
const COPIES: &str = "SELECT count(*) FROM pg_database WHERE datname ~ '_(before|undone)_2'";

pub(super) struct Machine {
    bin: PathBuf,
    pub(super) subject: Subject,
}

impl Machine {
    /// Starts a machine, with the `PostgreSQL` in this directory of programs.
    pub(super) fn start(bin: &Path) -> Result<Self, String> {
        let mut site = Site::new();
        let catalog = Path::new(env!("CARGO_MANIFEST_DIR")).join("../services.d");
        unpack_mattermost(&site.path("opt"));
        site.use_catalog(&catalog);
        let (root, port, service) = (site.file(""), free_port(), free_port());
        let root = root.trim_end_matches('/');
        site.site_file(&format!(
            r#"
                mattermost_external_url = "http://127.0.0.1:{port}"
                mattermost.install_dir = "{root}/opt"
                mattermost.service_port = {service}
                mattermost.env = {{ STANDIN_STOP_MS = "200" }}
                mattermost.username = "{ACCOUNT}"
                mattermost.group = "nogroup"
                nginx.enable = false
                postgresql.postgres_binary = "{}"
                postgresql.shared_buffers = "64MB"
                postgresql.max_connections = 40
            "#,
            bin.join("postgres").display()
        ));
        let machine = Self {
            bin: bin.to_owned(),
            subject: Subject::new(site),
        };
        machine.subject.start();
        machine.wait_settled()?;
        Ok(machine)
    }

    pub(super) fn data(&self) -> PathBuf {
        self.subject
            .site
            .path("var/lib/mattervisor/mattermost/data")
    }

    pub(super) fn backups(&self) -> PathBuf {
        self.subject.site.path("var/lib/mattervisor/backups")
    }

    /// Makes a job stop itself at a step: the job reads the file `hold`.
    pub(super) fn hold(&self, job: &str, step: &str) -> io::Result<()> {
        let below = format!("var/lib/mattervisor/jobs/{job}");
        let dir = self.subject.site.path(&below);
        fs::create_dir_all(&dir)?;
        fs::write(dir.join("hold"), step)
    }

    /// Starts a `ctl` that waits for its answer.
    pub(super) fn client(&self, arguments: &[&str]) -> Running {
        Running::start(self.subject.site.ctl_command().args(arguments))
    }

    pub(super) fn ctl(&self, arguments: &[&str]) -> Ctl {
        self.client(arguments).finish_within(LIMIT)
    }

    pub(super) fn pid(&self, service: &str) -> Option<i32> {
        let status = self.subject.status()?;
        status.services.iter().find(|it| it.name == service)?.pid
    }

    /// Waits until no job is active, and database and Mattermost are ready; an error names the
    /// services that are not.
    pub(super) fn wait_settled(&self) -> Result<(), String> {
        let mut last = None;
        let settled = wait::within(LIMIT, || {
            last = self.subject.status();
            last.as_ref().filter(|status| is_settled(status)).map(drop)
        });
        settled.ok_or_else(|| {
            let services = last.into_iter().flat_map(|status| status.services);
            let wrong = services.filter(|it| !it.ready && it.state != ServiceState::Completed);
            let words = wrong.map(|it| format!("{} {} {:?}", it.name, it.state, it.reason));
            let words: Vec<String> = words.collect();
            format!(
                "{}; last said: {}",
                words.join(", "),
                self.subject.last_said()
            )
        })
    }

    /// Leftovers that nobody needs any more, in words.
    pub(super) fn left(&self) -> Result<Vec<String>, String> {
        let mut left = Vec::new();
        let databases = self.sql(HALF_MADE)?;
        if !databases.is_empty() {
            left.push(format!("databases {databases}"));
        }
        let copies = self.sql(COPIES)?;
        if !matches!(&*copies, "0" | "1") {
            left.push(format!("{copies} safety copies"));
        }
        let status = self.subject.status().into_iter().flat_map(|it| it.services);
        let leased = status.filter(|it| it.leased.is_some());
        left.extend(leased.map(|it| format!("a lease of {}", it.name)));
        let home = self.data().join("..");
        for (dir, most) in [(home, 1), (self.backups(), 0)] {
            let entries = fs::read_dir(&dir).into_iter().flatten().flatten();
            let names = entries.map(|it| it.file_name().to_string_lossy().into_owned());
            let ours = names.filter(|it| {
                it.starts_with(".mattervisor-") && !it.starts_with(".mattervisor-backup")
                    || it.ends_with(".partial")
            });
            let ours: Vec<String> = ours.collect();
            if ours.len() > most {
                left.push(ours.join(" "));
            }
        }
        Ok(left)
    }

    /// The value that a query yields, run as the database's superuser.
    pub(super) fn sql(&self, query: &str) -> Result<String, String> {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
        let socket = self.subject.site.path("run/mattervisor/postgresql");
        command.arg(self.bin.join("psql")).arg("-h").arg(socket);
        command.args([
            "-XU",
            "postgres",
            "-v",
            "ON_ERROR_STOP=1",
            "-d",
            DATABASE,
            "-Atc",
            query,
        ]);
        command
            .env("PGOPTIONS", "-c statement_timeout=0")
            .current_dir("/");
        let said = Running::start(&mut command).finish_within(LIMIT);
        match said.code {
            0 => Ok(said.stdout.trim().to_owned()),
            code => Err(format!("psql: {code}: {}", said.stderr.trim())),
        }
    }
}

fn is_settled(status: &StatusReply) -> bool {
    let runs = |name: &str| status.services.iter().any(|it| it.name == name && it.ready);
    let jobs = status.services.iter().filter_map(|it| it.job.as_ref());
    runs("postgresql") && runs("mattermost") && jobs.into_iter().all(|job| !job.active)
}
