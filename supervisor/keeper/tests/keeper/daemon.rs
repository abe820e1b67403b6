//! A keeper under test, and the test's end of the link to the keeper.

use std::{
    collections::{BTreeMap, VecDeque},
    fs,
    io::{Read, Write},
    os::{
        fd::{AsFd, FromRawFd, OwnedFd},
        unix::{
            net::{UnixListener, UnixStream},
            process::CommandExt,
        },
    },
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use keeper::{
    CONTROL_FD, Config, Given,
    hello::Gathering,
    link::Link,
    message::{
        Exit, Fact, Hello, Left, Notice, Open, Request, Role, RunId, Spawn, SpawnStage, Stop, Stray,
    },
};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tempfile::TempDir;

use crate::process::{cgroup_of, gone, kill, until};

/// Longest wait of a test for an event.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Longest wait for an event that need not come.
const SOON: Duration = Duration::from_millis(100);

/// Runs as the keeper. Arguments: run directory, state hash and, optionally, the test's socket.
pub(crate) fn be_keeper(arguments: &[String]) -> ExitCode {
    keeper::run(config(arguments))
}

/// The keeper that another program has been until now: the descriptors that this one has left come
/// last.
pub(crate) fn be_next_keeper(arguments: &[String]) -> ExitCode {
    let went_back = arguments.iter().position(|one| one == "--went-back");
    let (arguments, went_back) = match went_back {
        Some(at) => (&arguments[..at], Some(arguments[at + 1].clone())),
        None => (arguments, None),
    };
    let (arguments, given) = arguments.split_at(arguments.len() - 2);
    let mut state = given[0].parse().unwrap();
    let earlier = given[1].parse().unwrap();
    let own = std::env::current_exe().unwrap();
    if own.ends_with(GIVES_UP) && went_back.is_none() {
        // What it finds there is no state.
        state = earlier;
    }
    let given = Given {
        state,
        earlier,
        went_back,
    };
    keeper::resume(config(arguments), &given)
}

fn config(arguments: &[String]) -> Config {
    let dir = PathBuf::from(&arguments[0]);
    let mut control_argv = vec!["control".into(), "control".into()];
    let driver = arguments.get(2).map(PathBuf::from);
    let driver = driver.unwrap_or_else(|| dir.join("driver.sock"));
    let state_dir = driver.with_file_name("state");
    fs::create_dir_all(&state_dir).unwrap();
    control_argv.push(driver.into_os_string());
    let resume_argv = ["keeper", "resume"].into_iter();
    let resume_argv = resume_argv.chain(arguments.iter().map(String::as_str));
    Config {
        root: PathBuf::from("/"),
        control_socket: dir.join("ctl.sock"),
        state_hash: arguments[1].clone(),
        control_argv,
        trial_argv: vec!["keeper".into(), "trial".into()],
        resume_argv: resume_argv.map(Into::into).collect(),
        log_json: false,
        state_dir,
        run_dir: dir,
    }
}

/// Runs as the control process: hands its link to the test and lives as long as the test wants.
pub(crate) fn be_control(arguments: &[String]) -> ExitCode {
    let Ok(mut to_test) = UnixStream::connect(&arguments[0]) else {
        return ExitCode::from(3);
    };
    #[expect(unsafe_code, reason = "the number is the contract of the keeper")]
    // SAFETY: the keeper has put the link at this number, and nothing else here owns it.
    let link = unsafe { OwnedFd::from_raw_fd(CONTROL_FD) };
    let mut handing = Link::new(to_test.try_clone().unwrap().into());
    let pid = std::process::id();
    handing.send(&pid, vec![link]).unwrap();
    let mut byte = [0];
    let _ = to_test.read(&mut byte);
    ExitCode::from(byte[0])
}

/// Name of a copy of this program that passes its trial and then gives up.
pub(crate) const GIVES_UP: &str = "gives-up";

/// A keeper and the test's end of its link.
pub(crate) struct Daemon {
    pub(crate) keeper: Child,
    pub(crate) dir: TempDir,
    pub(crate) hello: Hello,
    pub(crate) control_pid: i32,
    driver: UnixListener,
    control: UnixStream,
    link: Link,
    notices: VecDeque<(Notice, Vec<OwnedFd>)>,
    cgroups: bool,
    /// Number of the last received fact.
    last: u64,
}

/// A control process beside the one of a [`Daemon`].
pub(crate) struct Successor {
    pub(crate) pid: i32,
    pub(crate) hello: Hello,
    control: UnixStream,
    link: Link,
    notices: VecDeque<(Notice, Vec<OwnedFd>)>,
}

impl Successor {
    /// It ends with this exit code.
    pub(crate) fn end(mut self, code: u8) {
        self.control.write_all(&[code]).unwrap();
    }
}

impl Daemon {
    /// Starts a keeper, with cgroups if the machine has them.
    pub(crate) fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), true)
    }

    pub(crate) fn start_in(dir: TempDir, cgroups: bool) -> Self {
        let keeper = keeper_command(dir.path(), cgroups);
        Self::start_with(keeper, dir, cgroups)
    }

    /// Starts a keeper from this copy of the test's program.
    pub(crate) fn start_program(program: &Path) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut keeper = Command::new(program);
        keeper
            .arg("keeper")
            .arg(dir.path())
            .arg(hash_of(dir.path()));
        keeper.env_remove("NOTIFY_SOCKET").stdin(Stdio::null());
        Self::start_with(keeper, dir, true)
    }

    /// Starts a keeper with this primary group.
    pub(crate) fn start_as_group(group: u32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut keeper = keeper_command(dir.path(), true);
        keeper.gid(group);
        Self::start_with(keeper, dir, true)
    }

    pub(crate) fn start_with(keeper: Command, dir: TempDir, cgroups: bool) -> Self {
        let driver = dir.path().to_owned();
        Self::start_by(keeper, dir, &driver, cgroups)
    }

    /// Starts this keeper; the test's own socket lies in the directory `driver`.
    #[expect(
        clippy::disallowed_methods,
        reason = "the keeper itself is what is tested"
    )]
    pub(crate) fn start_by(
        mut keeper: Command,
        dir: TempDir,
        driver: &Path,
        cgroups: bool,
    ) -> Self {
        let _ = fs::remove_file(driver.join("driver.sock"));
        let driver = UnixListener::bind(driver.join("driver.sock")).unwrap();
        let keeper = keeper.spawn().unwrap();
        let (control, control_pid, link) = accept(&driver);
        let mut daemon = Self {
            keeper,
            dir,
            hello: Hello::default(),
            control_pid,
            driver,
            control,
            link,
            notices: VecDeque::new(),
            cgroups,
            last: 0,
        };
        daemon.greet();
        daemon
    }

    fn greet(&mut self) {
        let (hello, others) = gather(&mut self.link);
        self.hello = hello;
        self.notices.extend(others);
        self.ask(Request::TookOver);
    }

    /// Kills the control process and accepts the link of its successor.
    pub(crate) fn replace_control(&mut self) {
        kill(self.control_pid, 9);
        self.next_control();
    }

    /// Like `replace_control`, but the next control process never takes over.
    pub(crate) fn replace_control_idle(&mut self) {
        kill(self.control_pid, 9);
        let (control, pid, link) = accept(&self.driver);
        (self.control, self.control_pid, self.link) = (control, pid, link);
    }

    /// Accepts the link of the control process that follows a dead one.
    pub(crate) fn next_control(&mut self) {
        let (control, pid, link) = accept(&self.driver);
        self.notices.clear();
        (self.control, self.control_pid, self.link) = (control, pid, link);
        self.greet();
    }

    /// Accepts the link of the next control process if one starts soon. That process takes over and
    /// sends nothing more.
    pub(crate) fn takes_over_if_any(&mut self) -> bool {
        if !readable(&self.driver, Instant::now() + SOON) {
            return false;
        }
        self.notices.clear();
        let (control, pid, link) = accept(&self.driver);
        (self.control, self.control_pid, self.link) = (control, pid, link);
        self.link.send(&Request::TookOver, vec![]).is_ok()
    }

    /// Accepts the link of a control process that the keeper started beside ours, with its hello.
    pub(crate) fn successor(&mut self) -> Successor {
        let (control, pid, mut link) = accept(&self.driver);
        let (hello, notices) = gather(&mut link);
        Successor {
            pid,
            hello,
            control,
            link,
            notices,
        }
    }

    /// Makes `it` the control process of this daemon; returns the previous one.
    pub(crate) fn become_successor(&mut self, it: Successor) -> Successor {
        Successor {
            pid: std::mem::replace(&mut self.control_pid, it.pid),
            hello: std::mem::replace(&mut self.hello, it.hello),
            control: std::mem::replace(&mut self.control, it.control),
            link: std::mem::replace(&mut self.link, it.link),
            notices: std::mem::replace(&mut self.notices, it.notices),
        }
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "reads better where it is called"
    )]
    pub(crate) fn ask(&mut self, request: Request) {
        self.link.send(&request, vec![]).unwrap();
        // The keeper always reads, even if the test does not.
        until(|| self.link.flush().unwrap().then_some(()));
    }

    /// Waits for the next frame.
    pub(crate) fn notice(&mut self) -> (Notice, Vec<OwnedFd>) {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(notice) = self.notices.pop_front() {
                return notice;
            }
            assert!(readable(&self.link, end), "nothing comes from the keeper");
            self.notices.extend(self.link.recv().unwrap());
        }
    }

    /// The next frame, if it comes soon.
    pub(crate) fn next_notice_if_any(&mut self) -> Option<Notice> {
        if self.notices.is_empty() && readable(&self.link, Instant::now() + SOON) {
            self.notices.extend(self.link.recv().unwrap_or_default());
        }
        self.notices.pop_front().map(|(notice, _)| notice)
    }

    /// Skips frames up to and including a wanted one.
    pub(crate) fn until_notice(&mut self, wanted: impl Fn(&Notice) -> bool) {
        while !wanted(&self.notice().0) {}
    }

    /// Whether nothing comes from the keeper for this time.
    pub(crate) fn is_quiet(&self, time: Duration) -> bool {
        self.notices.is_empty() && !readable(&self.link, Instant::now() + time)
    }

    /// Waits for the next wanted fact; skips others.
    pub(crate) fn wait<T>(
        &mut self,
        mut wanted: impl FnMut(&Fact, Vec<OwnedFd>) -> Option<T>,
    ) -> T {
        loop {
            let (notice, fds) = self.notice();
            if let Notice::Fact(numbered) = &notice {
                self.last = numbered.seq;
            }
            if let Notice::Fact(numbered) = notice
                && let Some(found) = wanted(&numbered.fact, fds)
            {
                return found;
            }
        }
    }

    /// Acknowledges every fact received so far.
    pub(crate) fn acknowledge(&mut self) {
        self.ask(Request::Ack { seq: self.last });
    }

    pub(crate) fn open(&mut self, service: &str) {
        self.open_for(service, nix::unistd::geteuid().as_raw());
    }

    /// Opens a service of another account.
    pub(crate) fn open_for(&mut self, service: &str, uid: u32) {
        let log_dir = self.dir.path().join("log").join(service);
        self.ask(Request::Open(Open {
            service: service.to_owned(),
            uid,
            gid: nix::unistd::getegid().as_raw(),
            log_dir,
            log_size_bytes: 1 << 20,
            log_keep: 2,
            log_age_ms: None,
            log_compress: false,
            log_forward: None,
        }));
    }

    /// Starts a main run of a shell script, without waiting.
    pub(crate) fn spawn_main(&mut self, run: RunId, service: &str, script: &str) {
        self.open(service);
        let spawn = self.shell(run, service, script);
        self.ask(Request::Spawn(Box::new(spawn)));
    }

    /// Starts a main run of a shell script, waits for its begin and returns its pid.
    pub(crate) fn main(&mut self, run: RunId, service: &str, script: &str) -> i32 {
        self.spawn_main(run, service, script);
        self.spawned(run)
    }

    pub(crate) fn shell(&self, run: RunId, service: &str, script: &str) -> Spawn {
        let argv = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
        let path = ("PATH".to_owned(), "/usr/bin:/bin".to_owned());
        Spawn {
            role: Role::Main,
            cwd: self.dir.path().to_owned(),
            stop: Stop::by(15, 2000),
            timeout_ms: None,
            ..Spawn::helper(run, service, argv, BTreeMap::from([path]), 0)
        }
    }

    /// Runs a helper to its end; returns its exit, whether it was too slow, and its output.
    pub(crate) fn helper(&mut self, spawn: Spawn) -> (Exit, bool, String) {
        let service = spawn.service.clone();
        self.open(&service);
        self.helper_of(spawn)
    }

    /// Like `helper`, for a service that is open already.
    pub(crate) fn helper_of(&mut self, mut spawn: Spawn) -> (Exit, bool, String) {
        let run = spawn.run;
        spawn.role = Role::Helper;
        self.ask(Request::Spawn(Box::new(spawn)));
        self.exited(run)
    }

    pub(crate) fn spawned(&mut self, run: RunId) -> i32 {
        self.wait(|fact, _| match fact {
            Fact::Spawned { run: r, pid, .. } if *r == run => Some(*pid),
            Fact::Failed { run: r, .. } if *r == run => panic!("{fact:?}"),
            _ => None,
        })
    }

    pub(crate) fn failed(&mut self, run: RunId) -> (SpawnStage, i32) {
        self.wait(|fact, _| match fact {
            Fact::Failed {
                run: r,
                stage,
                errno,
            } if *r == run => Some((*stage, *errno)),
            Fact::Spawned { run: r, .. } if *r == run => panic!("{fact:?}"),
            _ => None,
        })
    }

    pub(crate) fn exited(&mut self, run: RunId) -> (Exit, bool, String) {
        self.wait(|fact, _| match fact {
            Fact::Exited {
                run: r,
                exit,
                timed_out,
                output,
                ..
            } if *r == run => Some((*exit, *timed_out, output.clone())),
            Fact::Failed { run: r, .. } if *r == run => panic!("{fact:?}"),
            _ => None,
        })
    }

    pub(crate) fn swept(&mut self, run: RunId) -> Vec<Left> {
        self.wait(|fact, _| match fact {
            Fact::Swept { run: r, left } if *r == run => Some(left.clone()),
            _ => None,
        })
    }

    /// Waits for the next report of children that belong to no run.
    pub(crate) fn strays(&mut self) -> Vec<Stray> {
        loop {
            if let (Notice::Strays { strays }, _) = self.notice() {
                return strays;
            }
        }
    }

    /// The cgroup above the cgroups of the services, if there is one.
    pub(crate) fn cgroup(&self) -> Option<PathBuf> {
        let name = format!("mattervisor-{}", hash_of(self.dir.path()));
        let own = cgroup_of("self");
        let mounts = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
        let bases = mounts.map(|mount| format!("{mount}{own}/{name}").into());
        bases.into_iter().find(|base: &PathBuf| base.is_dir())
    }

    /// Content of a file in the daemon's directory, once it ends in a newline.
    pub(crate) fn line_of(&self, name: &str) -> String {
        until(|| {
            let text = fs::read_to_string(self.dir.path().join(name)).ok()?;
            text.ends_with('\n').then(|| text.trim().to_owned())
        })
    }

    /// Waits for a file in the daemon's directory.
    pub(crate) fn line_of_any(&self, name: &str) {
        until(|| self.dir.path().join(name).exists().then_some(()));
    }

    pub(crate) fn pid_of(&self, name: &str) -> i32 {
        self.line_of(name).parse().unwrap()
    }

    /// Kills keeper and control process, as a power cut of both would.
    pub(crate) fn crash(mut self) -> (TempDir, bool) {
        kill(i32::try_from(self.keeper.id()).unwrap(), 9);
        kill(self.control_pid, 9);
        self.keeper.wait().unwrap();
        until(|| gone(self.control_pid).then_some(()));
        let dir = std::mem::replace(&mut self.dir, tempfile::tempdir().unwrap());
        (dir, self.cgroups)
    }

    /// Ends the keeper and returns its exit code.
    pub(crate) fn quit(&mut self, code: u8) -> i32 {
        self.ask(Request::Quit { code });
        self.keeper.wait().unwrap().code().unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The test is over, whichever process holds the link.
            let _ = self.keeper.kill();
        }
        if matches!(self.keeper.try_wait(), Ok(None)) {
            let _ = self.link.send(&Request::Quit { code: 0 }, vec![]);
            let _ = self.keeper.wait();
        }
    }
}

pub(crate) fn hash_of(dir: &Path) -> String {
    let name = dir.file_name().unwrap().to_string_lossy();
    format!("test{}", name.replace('.', ""))
}

/// Starts a keeper process without waiting for anything.
#[expect(
    clippy::disallowed_methods,
    reason = "the keeper itself is what is tested"
)]
pub(crate) fn spawn_keeper(dir: &Path, cgroups: bool, stderr: Stdio) -> Child {
    keeper_command(dir, cgroups).stderr(stderr).spawn().unwrap()
}

pub(crate) fn keeper_command(dir: &Path, cgroups: bool) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg("keeper").arg(dir).arg(hash_of(dir));
    command.env_remove("NOTIFY_SOCKET").stdin(Stdio::null());
    if !cgroups {
        command.env("MATTERVISOR_NO_CGROUP", "1");
    }
    command
}

fn accept(driver: &UnixListener) -> (UnixStream, i32, Link) {
    assert!(
        readable(driver, Instant::now() + PATIENCE),
        "no control process"
    );
    let (stream, _) = driver.accept().unwrap();
    let mut handed = Link::new(stream.try_clone().unwrap().into());
    assert!(readable(&handed, Instant::now() + PATIENCE), "no link");
    let (pid, mut fds) = handed.recv::<i32>().unwrap().remove(0);
    (stream, pid, Link::new(fds.remove(0)))
}

fn readable(fd: impl AsFd, end: Instant) -> bool {
    let left = end.saturating_duration_since(Instant::now());
    let left = PollTimeout::try_from(left).unwrap();
    let mut polled = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
    poll(&mut polled, left).unwrap() > 0
}

/// Receives the hello, which comes first, and the other notices until its end.
fn gather(link: &mut Link) -> (Hello, VecDeque<(Notice, Vec<OwnedFd>)>) {
    let end = Instant::now() + PATIENCE;
    let (mut gathering, mut others) = (Gathering::default(), VecDeque::new());
    loop {
        assert!(readable(&*link, end), "no hello");
        for (notice, fds) in link.recv().unwrap() {
            others.extend(gathering.take(notice, fds));
        }
        if let Some((hello, fds)) = gathering.finish() {
            assert_eq!(fds.len(), 1, "the listener comes with hello");
            return (hello, others);
        }
    }
}
