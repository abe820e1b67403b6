//! A supervisor on a root of its own.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs,
    os::{fd::OwnedFd, unix::fs::PermissionsExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::{
    binaries::binary,
    control_groups::{control_group, remove_groups},
    files,
    init::Init,
    netns::Namespace,
    processes::{self, kill},
    wait,
};

/// Time limit of the orderly stop of a dropped site.
const ORDERLY: Duration = Duration::from_secs(2);

/// A root with a configuration and, once started, a supervisor. Dropping the site ends every
/// process on the root.
pub struct Site {
    directory: TempDir,
    catalog: Option<PathBuf>,
    /// The supervisor to start, if not the binary that was built.
    program: Option<PathBuf>,
    environment: Vec<(String, String)>,
    init: Init,
    keeper: Option<Child>,
    /// Limit of open files, if it is not the test's own.
    nofile: Option<u64>,
    /// Command before the supervisor's own, such as `unshare` or `ip netns exec`.
    prefix: Vec<OsString>,
    /// Standard error of the supervisor, if it is not its log file.
    stderr: Option<OwnedFd>,
}

impl Default for Site {
    fn default() -> Self {
        Self::new()
    }
}

impl Site {
    /// An empty root: no site settings, no services, no catalogue.
    pub fn new() -> Self {
        // A socket's path may have at most 107 bytes: not under a long TMPDIR.
        let directory = tempfile::Builder::new()
            .prefix("mv")
            .tempdir_in("/tmp")
            .expect("/tmp can be written");
        // Services that run as other users must be able to enter.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))
            .expect("it is ours");
        let init = Init::bind(&directory.path().join("init"));
        let site = Self {
            directory,
            catalog: None,
            program: None,
            environment: Vec::new(),
            init,
            keeper: None,
            nofile: None,
            prefix: Vec::new(),
            stderr: None,
        };
        fs::create_dir_all(site.path("etc/mattervisor/services.d"))
            .expect("a directory can be made");
        fs::create_dir(site.path("catalog")).expect("a directory can be made");
        site.site_file("");
        site
    }

    /// The root.
    pub fn root(&self) -> &Path {
        self.directory.path()
    }

    /// A path under the root.
    pub fn path(&self, below: &str) -> PathBuf {
        self.root().join(below)
    }

    /// A path under the root as text, for verbs and service files.
    pub fn file(&self, below: &str) -> String {
        self.path(below).display().to_string()
    }

    /// Takes services from this catalogue instead of an empty one.
    pub fn use_catalog(&mut self, path: &Path) -> &mut Self {
        self.catalog = Some(path.to_owned());
        self
    }

    /// Starts this copy of the supervisor.
    pub fn program(&mut self, path: &Path) -> &mut Self {
        self.program = Some(path.to_owned());
        self
    }

    /// Gives the supervisor a variable.
    pub fn env(&mut self, name: &str, value: &str) -> &mut Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Limits the number of files that the supervisor may have open.
    pub const fn nofile(&mut self, count: u64) -> &mut Self {
        self.nofile = Some(count);
        self
    }

    /// Gives the supervisor this standard error instead of its log file.
    pub fn stderr(&mut self, to: impl Into<OwnedFd>) -> &mut Self {
        self.stderr = Some(to.into());
        self
    }

    /// Runs the supervisor on this host. `ctl` reaches it from everywhere: its socket is a file.
    pub fn on(&mut self, host: &Namespace) -> &mut Self {
        self.prefix = host.enter();
        self
    }

    /// Puts another command (`unshare`, `nsenter`) before the supervisor's own.
    pub fn behind(&mut self, words: &[&str]) -> &mut Self {
        self.prefix = words.iter().map(OsString::from).collect();
        self
    }

    /// Writes the site file.
    pub fn site_file(&self, text: &str) -> &Self {
        let path = self.path("etc/mattervisor/mattervisor.toml");
        fs::write(&path, text).expect("the site file can be written");
        self
    }

    /// A file that gets a line for each notification, and the `[notify]` table that writes it.
    pub fn notified(&self) -> (PathBuf, String) {
        let (told, script) = (self.path("told"), self.path("tell.sh"));
        let text = format!(
            "#!/bin/sh\necho \"$MATTERVISOR_TEXT\" >> {}\n",
            told.display()
        );
        fs::write(&script, text).expect("the root is ours");
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("it is ours");
        let command = script.display();
        (told, format!("[notify.me]\ncommand = ['{command}']\n"))
    }

    /// Writes a service file.
    pub fn service(&self, name: &str, text: &str) -> &Self {
        let path = self.path(&format!("etc/mattervisor/services.d/{name}.toml"));
        fs::write(path, text).expect("a service file can be written");
        self
    }

    /// Removes a service file.
    pub fn without(&self, name: &str) -> &Self {
        let path = self.path(&format!("etc/mattervisor/services.d/{name}.toml"));
        fs::remove_file(path).expect("a service file can be removed");
        self
    }

    /// Writes the service file of a `testchild`: its verbs, then further keys and tables.
    pub fn child(&self, name: &str, verbs: &[&str], more: &str) -> &Self {
        let command = files::child_command(self.root(), verbs);
        self.service(name, &format!("{command}{more}\n"))
    }

    /// The command that starts the supervisor here.
    pub fn supervisor(&self) -> Command {
        let program = self.program.clone();
        let program = program.unwrap_or_else(|| binary("mattervisord"));
        let mut words = self.prefix.clone();
        if let Some(count) = self.nofile {
            words.push("prlimit".into());
            words.push(format!("--nofile={count}").into());
        }
        words.push(program.into());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        command
            .arg("--root")
            .arg(self.root())
            .arg("--catalog")
            .arg(self.catalog());
        command.env("NOTIFY_SOCKET", self.path("init"));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// The directory of shipped service files that it uses.
    pub fn catalog(&self) -> PathBuf {
        self.catalog.clone().unwrap_or_else(|| self.path("catalog"))
    }

    /// Starts the supervisor and waits for nothing; the caller reaps the process.
    pub fn spawn_supervisor(&self) -> Child {
        let log = fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(self.path("supervisor.log"));
        let log = log.expect("a file can be made");
        let mut command = self.supervisor();
        command.stdin(Stdio::null());
        command.stdout(log.try_clone().expect("a descriptor can be had"));
        match &self.stderr {
            Some(other) => command.stderr(other.try_clone().expect("a descriptor can be had")),
            None => command.stderr(log),
        };
        processes::spawn(&mut command)
    }

    /// Starts the supervisor and returns once it answers.
    #[track_caller]
    pub fn start(&mut self) -> &mut Self {
        assert!(self.keeper.is_none(), "it runs already");
        let mut child = self.spawn_supervisor();
        let answered = wait::within(wait::LIMIT, || match child.try_wait() {
            Ok(None) => (self.ctl(&["status"]).code != 5 && self.has_plan()).then_some(Ok(())),
            Ok(Some(status)) => Some(Err(status)),
            Err(error) => panic!("cannot wait for the supervisor: {error}"),
        });
        self.keeper = Some(child);
        match answered {
            Some(Ok(())) => {}
            Some(Err(status)) => {
                self.keeper = None;
                panic!(
                    "the supervisor has ended at once: {status}\n{}",
                    self.supervisor_log()
                );
            }
            None => panic!("the supervisor does not answer\n{}", self.supervisor_log()),
        }
        self
    }

    /// Whether the supervisor knows the configured services already.
    fn has_plan(&self) -> bool {
        let files = fs::read_dir(self.path("etc/mattervisor/services.d"))
            .into_iter()
            .flatten();
        let none = self.catalog.is_none() && files.count() == 0;
        none || !self.status().services.is_empty()
    }

    /// Starts the supervisor and returns once every service has settled.
    #[track_caller]
    pub fn start_ready(&mut self) -> &mut Self {
        self.start();
        self.wait_settled()
    }

    /// Returns once the supervisor has told its init READY=1.
    #[track_caller]
    pub fn wait_settled(&mut self) -> &mut Self {
        let ready = wait::within(wait::LIMIT, || {
            self.init_messages()
                .iter()
                .any(|message| message.lines().any(|line| line == "READY=1"))
                .then_some(())
        });
        assert!(
            ready.is_some(),
            "no READY=1 from the supervisor\n{}\n{}",
            self.ctl(&["status"]).both(),
            self.supervisor_log()
        );
        self
    }

    /// The supervisor's messages to its init since the last call.
    pub fn init_messages(&self) -> Vec<String> {
        self.init.take()
    }

    /// Pid of the keeper, the process that was started.
    #[track_caller]
    pub fn keeper_pid(&self) -> i32 {
        let keeper = self.keeper.as_ref().expect("the supervisor is started");
        i32::try_from(keeper.id()).expect("pids are positive")
    }

    /// Pid of the control process.
    #[track_caller]
    pub fn control_pid(&self) -> i32 {
        self.status().supervisor.pid
    }

    /// Sends the keeper a signal.
    pub fn signal(&self, signal: Signal) {
        kill(self.keeper_pid(), signal);
    }

    /// Waits for the end of the keeper; returns its exit code, or 128 + the number of the signal.
    #[track_caller]
    pub fn wait_end(&mut self, limit: Duration) -> i32 {
        use std::os::unix::process::ExitStatusExt;

        let mut keeper = self.keeper.take().expect("the supervisor is started");
        let Some(status) = wait::within(limit, || keeper.try_wait().ok().flatten()) else {
            self.keeper = Some(keeper);
            panic!(
                "the supervisor has not ended within {limit:?}\n{}",
                self.supervisor_log()
            );
        };
        status
            .code()
            .unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
    }

    /// Sends SIGTERM and returns the exit code.
    #[track_caller]
    pub fn stop(&mut self) -> i32 {
        self.signal(Signal::SIGTERM);
        self.wait_end(Duration::from_secs(60))
    }

    /// Every process that belongs to this root, the supervisor included.
    pub fn processes(&self) -> Vec<i32> {
        processes::processes_of(self.root()).into_iter().collect()
    }

    /// Processes of this root with their command lines; empty once all are gone.
    pub fn leftovers(&self) -> Vec<String> {
        let left = self.processes().into_iter();
        left.map(|pid| format!("{pid}: {}", processes::command_line(pid)))
            .collect()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // A daemon that does not stop in order leaves its groups.
        let processes = self.processes().into_iter();
        let groups: BTreeSet<PathBuf> = processes.filter_map(control_group).collect();
        if let Some(keeper) = &mut self.keeper {
            if !std::thread::panicking() {
                kill(i32::try_from(keeper.id()).unwrap_or(0), Signal::SIGTERM);
                let _ = wait::within(ORDERLY, || keeper.try_wait().ok().flatten());
            }
            let _ = keeper.kill();
            let _ = keeper.wait();
        }
        // Kills the processes that are left, and those that they start meanwhile.
        let _ = wait::within(Duration::from_secs(10), || {
            let left = processes::processes_of(self.directory.path());
            for pid in &left {
                kill(*pid, Signal::SIGKILL);
            }
            left.is_empty().then_some(())
        });
        for group in groups {
            remove_groups(&group);
        }
    }
}
