//! A machine with a database and files, the backup program under test, and a fake supervisor.
#![allow(dead_code, reason = "not every test needs all of it")]

pub(crate) mod foreign;

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    io::{Read as _, Write as _},
    os::unix::{
        fs::PermissionsExt,
        net::{UnixDatagram, UnixListener, UnixStream},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::Duration,
};

use api::{ActionResult, Outcome, Unstored};
use mattervisor_backup::Step;
use nix::{
    sys::wait::{WaitPidFlag, WaitStatus, waitpid},
    unistd::{Pid, Uid, User},
};
use serde_json::{Value, json};
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_secs(60);

/// The account that owns the saved files.
pub(crate) const ACCOUNT: &str = "nobody";
/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_mattervisor-backup");

/// A `PostgreSQL` server of the test's own; dropping it ends the server.
pub(crate) struct Postgres {
    bin: PathBuf,
    sockets: PathBuf,
    server: Child,
}

/// A machine: directories, configuration and server.
pub(crate) struct World {
    pub(crate) dir: TempDir,
    pub(crate) root: PathBuf,
    pub(crate) to: PathBuf,
    pub(crate) postgres: Postgres,
}

/// Output of a program, whatever its exit code.
pub(crate) fn output(command: &mut Command) -> Output {
    #[expect(clippy::disallowed_methods, reason = "a test's own child")]
    command.output().unwrap()
}

pub(crate) fn spawn(command: &mut Command) -> Child {
    #[expect(clippy::disallowed_methods, reason = "a test's own child")]
    command.spawn().unwrap()
}

pub(crate) fn done(command: &mut Command) -> String {
    let output = output(command);
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{command:?}: {said}");
    said
}

/// Program directory of each installed version of `PostgreSQL`: the distribution's, and those that
/// `./dev test` gets.
pub(crate) fn versions() -> BTreeMap<u32, PathBuf> {
    let got = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../var/postgresql");
    let mut all = BTreeMap::new();
    for place in [got.as_path(), Path::new("/usr/lib/postgresql")] {
        for version in fs::read_dir(place).into_iter().flatten() {
            let version = version.unwrap();
            let major = version.file_name().to_str().and_then(|it| it.parse().ok());
            let bin = version.path().join("bin");
            if let Some(major) = major.filter(|_| bin.join("postgres").exists()) {
                all.insert(major, bin.canonicalize().unwrap());
            }
        }
    }
    all
}

/// Programs of the distribution's newest version.
fn newest() -> PathBuf {
    let own = |(_, bin): &(u32, PathBuf)| bin.starts_with("/usr");
    let newest = versions().into_iter().rfind(own);
    newest.expect("PostgreSQL is installed").1
}

impl Postgres {
    /// A server of another version; `None` unless `./dev test` got that version.
    pub(crate) fn other(version: u32, dir: &Path) -> Option<Self> {
        let Some(bin) = other_version(version) else {
            skip::note(&format!(
                "no PostgreSQL {version} in var: ./dev test gets it"
            ));
            return None;
        };
        let dir = dir.join(format!("postgresql-{version}"));
        fs::create_dir(&dir).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
        Some(Self::start(bin, &dir))
    }

    fn start(bin: PathBuf, dir: &Path) -> Self {
        let (data, sockets) = (dir.join("postgres"), dir.join("s"));
        for made in [&data, &sockets] {
            fs::create_dir(made).unwrap();
            own(made, "postgres");
        }
        let mut initdb = Command::new(bin.join("initdb"));
        initdb.args([
            "--no-sync",
            "--auth=trust",
            "--username=postgres",
            "--encoding=UTF8",
        ]);
        initdb.args(["--locale=C.UTF-8", "--pgdata"]).arg(&data);
        done(unprivileged(&mut initdb));
        let mut server = Command::new(bin.join("postgres"));
        server.arg("-D").arg(&data).arg("-k").arg(&sockets);
        server.args([
            "-c",
            "listen_addresses=",
            "-c",
            "fsync=off",
            "-c",
            "statement_timeout=60000",
        ]);
        server.stdout(Stdio::null()).stderr(Stdio::null());
        let server = spawn(unprivileged(&mut server));
        let postgres = Self {
            bin,
            sockets,
            server,
        };
        postgres.wait();
        postgres
    }

    fn wait(&self) {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        loop {
            let mut ask = Command::new(self.bin.join("pg_isready"));
            ask.arg("-q")
                .arg("-h")
                .arg(&self.sockets)
                .args(["-U", "postgres"]);
            if output(&mut ask).status.success() {
                return;
            }
            assert!(
                std::time::Instant::now() < deadline,
                "PostgreSQL does not answer"
            );
        }
    }

    pub(crate) fn command(&self, program: &str, database: &str) -> Command {
        let mut command = Command::new(self.bin.join(program));
        command
            .env("PGHOST", &self.sockets)
            .env("PGUSER", "postgres")
            .env("PGDATABASE", database)
            .current_dir("/");
        command
    }

    pub(crate) fn ask(&self, database: &str, sql: &str) -> String {
        let mut psql = self.command("psql", database);
        psql.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-c", sql]);
        done(&mut psql).trim().to_owned()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // By SIGQUIT the server ends without waiting for its sessions.
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.server.id()).unwrap());
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGQUIT);
        let _ = self.server.wait();
    }
}

/// Programs of a version of `PostgreSQL` that need not be the distribution's.
pub(crate) fn other_version(version: u32) -> Option<PathBuf> {
    versions().remove(&version)
}

fn unprivileged(command: &mut Command) -> &mut Command {
    if Uid::effective().is_root() {
        let user = User::from_name("postgres")
            .unwrap()
            .expect("PostgreSQL's account");
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
    command.current_dir("/")
}

/// Gives the file to an account, if the test runs as root.
pub(crate) fn own(path: &Path, account: &str) {
    if Uid::effective().is_root() {
        let user = User::from_name(account).unwrap().expect("the account");
        nix::unistd::chown(path, Some(user.uid), Some(user.gid)).unwrap();
    }
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(newest())
    }

    /// A machine with a server of these programs.
    pub(crate) fn with(bin: PathBuf) -> Self {
        let dir = TempDir::new().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let root = dir.path().join("root");
        let postgres = Postgres::start(bin, dir.path());
        postgres.ask("postgres", "CREATE ROLE mattermost LOGIN");
        postgres.ask(
            "postgres",
            "CREATE DATABASE \"matter most\" OWNER mattermost",
        );
        let world = Self {
            to: dir.path().join("backups"),
            dir,
            root,
            postgres,
        };
        let home = world.home();
        for made in ["data", "plugins", "client-plugins"].map(|name| home.join(name)) {
            fs::create_dir_all(&made).unwrap();
            own(&made, ACCOUNT);
        }
        own(&home, ACCOUNT);
        for made in [
            &world.to,
            &world.site().join("services.d"),
            &world.job(),
            &world.restore_job(),
        ] {
            fs::create_dir_all(made).unwrap();
            fs::set_permissions(made, fs::Permissions::from_mode(0o700)).unwrap();
        }
        world.file(
            "config.json",
            br#"{"EmailSettings":{"SMTPPassword":"hunter2hunter2"},"FileSettings":{"DriverName":"local"}}"#,
        );
        fs::write(
            world.site().join("mattervisor.toml"),
            "# mine\nmattermost.gitlab_secret = \"s3cr3ts3cr3t\"\n",
        )
        .unwrap();
        fs::write(
            world.site().join("secrets.toml"),
            "mattermost.sql_at_rest_encrypt_key = \"kkkkkkkk\"\n",
        )
        .unwrap();
        fs::write(
            world.root.join("variables.tsv"),
            "MM_EMAILSETTINGS_SMTPPASSWORD\tstring secret\n",
        )
        .unwrap();
        world.configure(&json!({}));
        world
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.root.join("var/lib/mattervisor/mattermost")
    }

    pub(crate) fn site(&self) -> PathBuf {
        self.root.join("etc/mattervisor")
    }

    pub(crate) fn job(&self) -> PathBuf {
        self.root.join("var/lib/mattervisor/jobs/backup")
    }

    pub(crate) fn restore_job(&self) -> PathBuf {
        self.root.join("var/lib/mattervisor/jobs/restore")
    }

    pub(crate) fn catalog(&self) -> PathBuf {
        self.root.join("catalogue")
    }

    pub(crate) fn configuration(&self) -> PathBuf {
        self.root.join("run/mattervisor/backup/configuration.json")
    }

    /// Writes a file in Mattermost's home.
    pub(crate) fn file(&self, name: impl AsRef<OsStr>, content: &[u8]) -> PathBuf {
        let path = self.home().join(name.as_ref());
        let parents: Vec<_> = path.ancestors().skip(1).collect();
        for parent in parents.into_iter().rev().filter(|it| !it.exists()) {
            fs::create_dir(parent).unwrap();
            own(parent, ACCOUNT);
        }
        fs::write(&path, content).unwrap();
        own(&path, ACCOUNT);
        path
    }

    /// Writes the configuration, with other values for some keys.
    pub(crate) fn configure(&self, other: &Value) {
        let home = self.home();
        let tree = |name: &str| json!({ "name": name, "path": home.join(name) });
        let mut configuration = json!({
            "to": self.to,
            "keep": { "newest": 2 },
            "account": ACCOUNT,
            "database": {
                "host": self.postgres.sockets,
                "port": 5432,
                "user": "postgres",
                "role": "mattermost",
                "database": "matter most",
                "programs": self.postgres.bin,
            },
            "trees": [tree("data"), tree("plugins"), tree("client-plugins")],
            "home": home,
            "mattermost_version": "10.11.3",
            "site": self.site(),
            "variables": self.root.join("variables.tsv"),
            "root": self.root,
            "catalog": self.catalog(),
            "service": "mattermost",
            "stop": ["mattermost"],
            "job": "backup",
            "restore": {
                "job": "restore",
                "dir": self.restore_job(),
                "stop": ["mattermost-recovery"],
                "leave": ["VERSION"],
            },
        });
        for (key, value) in other.as_object().unwrap() {
            configuration[key] = value.clone();
        }
        fs::create_dir_all(self.configuration().parent().unwrap()).unwrap();
        fs::write(self.configuration(), configuration.to_string()).unwrap();
    }

    /// Command of the backup job with a request of this id; the caller starts it.
    pub(crate) fn request(&self, id: &str, arguments: &Value) -> Command {
        let mut all = json!({ "operation": "create" });
        for (key, value) in arguments.as_object().unwrap() {
            all[key] = value.clone();
        }
        let request = json!({ "id": id, "by": "root", "arguments": all });
        fs::write(self.job().join("request.json"), request.to_string()).unwrap();
        let mut command = self.program(&["job"]);
        command
            .arg(self.configuration())
            .env("MATTERVISOR_JOB_DIR", self.job());
        command
    }

    /// Command of the restore job with a request of this id; the caller starts it.
    pub(crate) fn restore(&self, id: &str, arguments: &Value) -> Command {
        let request = json!({ "id": id, "by": "root", "arguments": arguments });
        fs::write(self.restore_job().join("request.json"), request.to_string()).unwrap();
        let mut command = self.program(&["restore-job"]);
        command
            .arg(self.configuration())
            .env("MATTERVISOR_JOB_DIR", self.restore_job());
        command
    }

    /// The result of the restore job.
    pub(crate) fn restored(&self) -> Value {
        let text = fs::read(self.restore_job().join("result.json")).unwrap();
        serde_json::from_slice(&text).unwrap()
    }

    /// The result of the backup job.
    pub(crate) fn result(&self) -> Value {
        let text = fs::read(self.job().join("result.json")).unwrap();
        serde_json::from_slice(&text).unwrap()
    }

    /// Makes a backup and returns its path.
    pub(crate) fn create(&self, arguments: &Value) -> PathBuf {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let id = COUNT
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed)
            .to_string();
        done(&mut self.request(&id, arguments));
        let result = self.result();
        assert_eq!(
            (&result["id"], &result["ok"]),
            (&json!(id), &json!(true)),
            "{result}"
        );
        PathBuf::from(result["report"]["file"].as_str().unwrap())
    }

    pub(crate) fn program(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).arg("--root").arg(&self.root);
        for name in ["MATTERVISOR_SOCKET", "NOTIFY_SOCKET", "MATTERVISOR_JOB_DIR"] {
            command.env_remove(name);
        }
        command
    }

    /// File names in the directory of backups, without the program's own records.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.to).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names
            .filter(|name| !name.starts_with(".mattervisor-backup"))
            .collect();
        names.sort();
        names
    }

    /// Unpacks a backup by GNU tar.
    pub(crate) fn unpacked(&self, backup: &Path) -> PathBuf {
        let out = tempfile::tempdir_in(self.dir.path()).unwrap().keep();
        done(
            Command::new("tar")
                .arg("--zstd")
                .arg("-xpSf")
                .arg(backup)
                .current_dir(&out),
        );
        done(
            Command::new("sha256sum")
                .args(["-c", "--strict", "--quiet", "SHA256SUMS"])
                .current_dir(&out),
        );
        out
    }
}

pub(crate) fn pid(child: &std::process::Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap())
}

/// Makes the job of this directory stop itself when it begins this step.
pub(crate) fn hold(job: &Path, step: Step) {
    fs::write(job.join("hold"), step.words()).unwrap();
}

/// Waits until the job has stopped itself.
pub(crate) fn held(job: &Child) {
    let status = waitpid(pid(job), Some(WaitPidFlag::WUNTRACED)).unwrap();
    assert!(matches!(status, WaitStatus::Stopped(..)), "{status:?}");
}

/// Progress messages of a job, as the supervisor receives them.
pub(crate) struct Heard(UnixDatagram);

impl Heard {
    pub(crate) fn listen(world: &World, job: &mut Command) -> Self {
        let path = world.dir.path().join("notify");
        let _ = fs::remove_file(&path);
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        job.env("NOTIFY_SOCKET", path);
        Self(socket)
    }

    /// Waits for the message of this step.
    pub(crate) fn step(&self, wanted: Step) -> Value {
        loop {
            let mut buffer = [0; 2048];
            let read = self.0.recv(&mut buffer).unwrap();
            assert!(read <= 600, "{read} bytes");
            let text = String::from_utf8_lossy(&buffer[..read]).into_owned();
            let text = text.trim().strip_prefix("X_MATTERVISOR_PROGRESS=").unwrap();
            let progress: Value = serde_json::from_str(text).unwrap();
            if progress["step"] == wanted.words() {
                return progress;
            }
        }
    }
}

/// The last line of the supervisor's answer to a change, with these results.
pub(crate) fn outcome(results: Vec<ActionResult>) -> String {
    let outcome = Outcome {
        id: "change".to_owned(),
        finished: true,
        results,
        rollback: None,
        gone_back: None,
        job: None,
        unstored: Unstored::default(),
    };
    serde_json::to_string(&api::Progress::Done(outcome)).unwrap()
}

/// A fake supervisor that reports success for every request, and records the requests.
pub(crate) struct Supervisor {
    pub(crate) socket: PathBuf,
    asked: Arc<Mutex<Vec<String>>>,
    thread: Option<JoinHandle<()>>,
}

impl Supervisor {
    /// `stopped` runs before the supervisor answers a request to stop services.
    pub(crate) fn start(world: &World, stopped: impl Fn() + Send + 'static) -> Self {
        let socket = world.dir.path().join("ctl.sock");
        let _ = fs::remove_file(&socket);
        let listener = UnixListener::bind(&socket).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&asked);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut text = String::new();
                let mut buffer = [0; 4096];
                while !text.contains('}') {
                    let read = stream.read(&mut buffer).unwrap_or(0);
                    if read == 0 {
                        break;
                    }
                    text += &String::from_utf8_lossy(&buffer[..read]);
                }
                if text.starts_with("END") {
                    return;
                }
                // The client was killed while it sent the request.
                if !text.contains('}') {
                    continue;
                }
                if text.starts_with("POST") {
                    stopped();
                }
                let first = text.split(" HTTP").next().unwrap_or_default();
                heard.lock().unwrap().push(first.to_owned());
                let body = outcome(Vec::new());
                let length = body.len();
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
                // The client may be dead by now, so a failed write is fine.
                let _ = stream.write_all((head + &body).as_bytes());
            }
        });
        Self {
            socket,
            asked,
            thread: Some(thread),
        }
    }

    /// Requests since the last call.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        if let Ok(mut stream) = UnixStream::connect(&self.socket) {
            let _ = stream.write_all(b"END");
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
