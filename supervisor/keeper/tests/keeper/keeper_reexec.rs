//! The keeper becomes another program in the same process, or stays what it is.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use keeper::message::{
    Exit, Fact, KeeperRefusal, Notice, Request, ResumeFailure, Role, StateRefusal,
};
use tempfile::TempDir;

use crate::{
    Test,
    daemon::{Daemon, GIVES_UP},
    notify::say,
    process::{gone, until},
};

pub(crate) const TESTS: &[Test] = &[
    ("the_keeper_becomes_the_installed_program", becomes),
    ("runs_end_as_they_would_have", runs_end),
    ("helpers_keep_output_and_deadline", helpers),
    ("what_was_said_and_not_taken_in_comes_again", facts),
    ("no_line_of_a_log_is_lost_or_doubled", lines),
    ("notify_sockets_and_readiness_go_on", notifications),
    ("orphans_stay_the_keepers", orphans),
    ("an_exec_leaves_no_descriptor_behind", descriptors),
    ("a_program_that_is_none_changes_nothing", no_program),
    ("a_program_that_hangs_on_trial_is_ended", hangs),
    ("a_program_that_gives_up_in_place_hands_back", gives_up),
    ("one_replacement_at_a_time", one_at_a_time),
];

/// A keeper whose program lies in a directory of its own.
struct Installed {
    daemon: Daemon,
    dir: TempDir,
}

impl Installed {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("program");
        fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
        let daemon = Daemon::start_program(&program);
        Self { daemon, dir }
    }

    fn program(&self) -> PathBuf {
        self.dir.path().join("program")
    }

    /// Puts another program in the place of the keeper's, as a package does it.
    fn install(&self, other: &Path) {
        let new = self.dir.path().join("new");
        fs::copy(other, &new).unwrap();
        fs::rename(&new, self.program()).unwrap();
    }

    /// The keeper becomes what is installed; returns how often it has.
    fn reexec(&mut self) -> u32 {
        self.daemon.ask(Request::ReexecKeeper);
        loop {
            match self.daemon.notice().0 {
                Notice::KeeperReplaced { execs, .. } => return execs,
                Notice::KeeperNotReplaced { why } => panic!("{why}"),
                _ => {}
            }
        }
    }

    /// It does not; returns why.
    fn refused(&mut self) -> KeeperRefusal {
        self.daemon.ask(Request::ReexecKeeper);
        self.refusal()
    }

    fn refusal(&mut self) -> KeeperRefusal {
        loop {
            match self.daemon.notice().0 {
                Notice::KeeperNotReplaced { why } => return why,
                Notice::KeeperReplaced { .. } => panic!("it was replaced"),
                _ => {}
            }
        }
    }

    fn keeper(&self) -> i32 {
        i32::try_from(self.daemon.keeper.id()).unwrap()
    }

    /// Descriptors of the keeper: their number, and what they lead to.
    fn descriptors(&self) -> Vec<String> {
        let all = fs::read_dir(format!("/proc/{}/fd", self.keeper())).unwrap();
        let links = all.filter_map(|one| fs::read_link(one.ok()?.path()).ok());
        let mut links: Vec<String> = links.map(|it| it.display().to_string()).collect();
        links.sort();
        links
    }
}

fn becomes() {
    let mut it = Installed::new();
    let pid = it.daemon.main(1, "web", "exec sleep 300");
    it.daemon.ask(Request::Remember {
        service: "web".into(),
        record: "last word".into(),
    });
    let (keeper, control) = (it.keeper(), it.daemon.control_pid);
    let exe = || fs::metadata(format!("/proc/{keeper}/exe")).unwrap();
    let inode = |meta: fs::Metadata| std::os::unix::fs::MetadataExt::ino(&meta);
    let old = inode(exe());
    it.install(&std::env::current_exe().unwrap());
    assert_eq!(it.reexec(), 1);
    assert_ne!(inode(exe()), old);
    assert_eq!(inode(exe()), inode(fs::metadata(it.program()).unwrap()));
    let name = fs::read_to_string(format!("/proc/{keeper}/comm")).unwrap();
    assert_eq!(name, "program\n");
    assert!(!gone(pid) && !gone(control));
    // It takes requests of the same control process, and tells the next one all that it knew.
    it.daemon.main(2, "new", "exec sleep 300");
    it.daemon.replace_control();
    let hello = &it.daemon.hello;
    assert_eq!(hello.records["web"], "last word");
    assert_eq!(hello.keeper_pid, keeper);
    assert_eq!(hello.keeper_execs, 1);
    assert_eq!((hello.next_run, hello.control_deaths), (3, 1));
    let runs = hello.runs.iter().map(|run| (run.run, run.role));
    assert_eq!(runs.collect::<Vec<_>>(), [(1, Role::Main), (2, Role::Main)]);
    assert_eq!(hello.runs[0].pid, pid);
    assert_eq!(it.reexec(), 2);
    assert_eq!(it.daemon.quit(3), 3);
}

fn runs_end() {
    let mut it = Installed::new();
    let waits = "until test -e go; do sleep 0.02; done; exit 7";
    it.daemon.main(1, "code", waits);
    // In the middle of its stop.
    let slow =
        "trap 'until test -e go; do sleep 0.02; done; exit 8' TERM; echo > trap; sleep 300 & wait";
    it.daemon.main(2, "slow", slow);
    it.daemon.line_of_any("trap");
    it.daemon.ask(Request::Signal {
        run: 2,
        signal: 15,
        cont: true,
    });
    // A sweep kills what ignores everything else.
    it.daemon
        .main(3, "stubborn", "trap '' TERM; while :; do sleep 1; done");
    it.reexec();
    fs::write(it.daemon.dir.path().join("go"), "").unwrap();
    let mut ends = std::collections::BTreeMap::new();
    it.daemon.ask(Request::Sweep { run: 3 });
    while ends.len() < 3 {
        let (run, exit) = it.daemon.wait(|fact, _| match fact {
            Fact::Exited { run, exit, .. } => Some((*run, *exit)),
            _ => None,
        });
        ends.insert(run, exit);
    }
    let expected = [(1, Exit::Code(7)), (2, Exit::Code(8)), (3, Exit::Signal(9))];
    assert_eq!(ends, expected.into());
    // The next run of a service may come, so the last one is swept.
    it.daemon.acknowledge();
    it.daemon.main(4, "code", "exec sleep 300");
}

fn helpers() {
    let mut it = Installed::new();
    it.daemon.open("web");
    let mut ends = it.daemon.shell(
        1,
        "web",
        "echo before; until test -e go; do sleep 0.02; done; echo after; exit 4",
    );
    let mut hangs = it.daemon.shell(2, "web", "echo hangs; exec sleep 300");
    ends.role = Role::Helper;
    hangs.role = Role::Helper;
    hangs.timeout_ms = Some(1500);
    it.daemon.ask(Request::Spawn(Box::new(ends)));
    it.daemon.ask(Request::Spawn(Box::new(hangs)));
    it.daemon.spawned(2);
    it.reexec();
    fs::write(it.daemon.dir.path().join("go"), "").unwrap();
    let ended = it.daemon.exited(1);
    assert_eq!(ended, (Exit::Code(4), false, "before\nafter\n".to_owned()));
    let ended = it.daemon.exited(2);
    assert_eq!(ended, (Exit::Signal(9), true, "hangs\n".to_owned()));
}

fn facts() {
    let mut it = Installed::new();
    it.daemon.main(1, "web", "exit 5");
    assert_eq!(it.daemon.exited(1).0, Exit::Code(5));
    // Nobody has acknowledged it.
    it.reexec();
    it.daemon.replace_control();
    let ended = it.daemon.hello.facts.iter();
    let ended = ended.filter(|it| matches!(it.fact, Fact::Exited { run: 1, .. }));
    assert_eq!(ended.count(), 1);
    // The numbers of facts go on.
    let last = it.daemon.hello.facts.last().unwrap().seq;
    it.daemon.ask(Request::Ack { seq: last });
    it.daemon.main(2, "web", "exit 6");
    it.daemon.wait(|fact, _| match fact {
        Fact::Exited { run: 2, .. } => Some(()),
        _ => None,
    });
}

/// One service floods; another has begun a line and ends it later.
fn lines() {
    const LINES: usize = 60_000;
    let mut it = Installed::new();
    let flood = format!(
        "i=0; while test $i -lt {LINES}; do echo line $i; i=$((i+1)); done; echo end; exec sleep 300"
    );
    it.daemon.main(1, "flood", &flood);
    let half = "printf 'begun '; echo > begun; until test -e go; do sleep 0.02; done; echo ended; echo > told; exec sleep 300";
    it.daemon.main(2, "half", half);
    it.daemon.line_of_any("begun");
    let mut execs = 0;
    let current = |service: &str| it_log(it.daemon.dir.path(), service);
    let (flood_log, half_log) = (current("flood"), current("half"));
    while !flood_log().contains(" end\n") {
        execs = it.reexec();
    }
    assert!(execs > 1, "{execs}");
    fs::write(it.daemon.dir.path().join("go"), "").unwrap();
    until(|| half_log().contains("ended").then_some(()));
    let text = half_log();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.ends_with(" begun ended\n"), "{text}");
    let text = flood_log();
    let numbers = text.lines().filter_map(|line| line.split(" line ").nth(1));
    let numbers: Vec<usize> = numbers.map(|it| it.parse().unwrap()).collect();
    assert!(numbers.iter().copied().eq(0..LINES), "{}", numbers.len());
}

/// All that a service has logged, rotated files first.
fn it_log(dir: &Path, service: &str) -> impl Fn() -> String + use<> {
    let dir = dir.join("log").join(service);
    move || {
        let Ok(names) = fs::read_dir(&dir) else {
            return String::new();
        };
        let mut names: Vec<PathBuf> = names.filter_map(|it| Some(it.ok()?.path())).collect();
        // `current` sorts behind the times.
        names.sort();
        let texts = names.iter().filter_map(|it| fs::read_to_string(it).ok());
        texts.collect()
    }
}

fn notifications() {
    let mut it = Installed::new();
    it.daemon.open("web");
    let script = format!(
        "until test -e go; do sleep 0.02; done; echo >&3; {}; exec sleep 300",
        say("STATUS=good")
    );
    let mut spawn = it.daemon.shell(1, "web", &script);
    spawn.notify = true;
    spawn.ready_fd = Some(3);
    it.daemon.ask(Request::Spawn(Box::new(spawn)));
    it.daemon.spawned(1);
    it.reexec();
    it.reexec();
    fs::write(it.daemon.dir.path().join("go"), "").unwrap();
    let mut heard = Vec::new();
    while heard.len() < 2 {
        heard.push(it.daemon.wait(|fact, _| match fact {
            Fact::Notified { key, value, .. } => Some((key.clone(), value.clone())),
            _ => None,
        }));
    }
    heard.sort();
    let expected = [("READY_FD", ""), ("STATUS", "good")];
    assert_eq!(heard, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
}

/// A daemon of a service that has left its parent is found and ended after a re-exec too.
fn orphans() {
    let mut it = Installed::new();
    let script = "(setsid sleep 300 & echo $! > orphan) ; exec sleep 300";
    it.daemon.main(1, "web", script);
    let orphan = it.daemon.pid_of("orphan");
    it.reexec();
    it.daemon.ask(Request::Sweep { run: 1 });
    assert_eq!(it.daemon.swept(1), []);
    until(|| gone(orphan).then_some(()));
}

fn descriptors() {
    let mut it = Installed::new();
    for run in 1..20 {
        let service = format!("s{run}");
        it.daemon.main(run, &service, "exec sleep 300");
    }
    it.daemon.acknowledge();
    // The log thread opens its files later.
    let logs = |all: &[String]| all.iter().filter(|one| one.ends_with("/current")).count();
    let settled = |it: &Installed| until(|| Some(it.descriptors()).filter(|all| logs(all) == 19));
    let before = settled(&it);
    for _ in 0..5 {
        it.reexec();
    }
    let kinds = |all: Vec<String>| {
        let kinds = all
            .into_iter()
            .map(|one| one.split(':').next().unwrap_or_default().to_owned());
        kinds.collect::<Vec<_>>()
    };
    assert_eq!(kinds(before), kinds(settled(&it)));
    // And no child has more than its own.
    let pid = it.daemon.main(30, "new", "exec sleep 300");
    let child = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    assert_eq!(child.count(), 3);
}

fn no_program() {
    let mut it = Installed::new();
    let pid = it.daemon.main(1, "web", "exec sleep 300");
    it.install(Path::new("/bin/true"));
    let exit = Exit::Code(0);
    assert_eq!(it.refused(), KeeperRefusal::Ended { exit });
    it.install(Path::new("/bin/false"));
    let exit = Exit::Code(1);
    assert_eq!(it.refused(), KeeperRefusal::Ended { exit });
    fs::set_permissions(it.program(), fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(it.refused(), KeeperRefusal::NotStarted { .. }));
    fs::remove_file(it.program()).unwrap();
    assert!(matches!(it.refused(), KeeperRefusal::NotOpened { .. }));
    assert!(!gone(pid));
    it.install(&std::env::current_exe().unwrap());
    assert_eq!(it.reexec(), 1);
}

fn hangs() {
    let mut it = Installed::new();
    let pid = it.daemon.main(1, "web", "exec sleep 300");
    // It echoes for ever what it is given, which is no answer.
    it.install(Path::new("/usr/bin/yes"));
    let seconds = 5;
    assert_eq!(it.refused(), KeeperRefusal::Silent { seconds });
    assert!(!gone(pid));
    it.daemon.main(2, "new", "exec sleep 300");
    assert!(it.daemon.is_quiet(Duration::from_millis(100)));
}

fn gives_up() {
    let mut it = Installed::new();
    let pid = it.daemon.main(1, "web", "exec sleep 300");
    let waits = "until test -e go; do sleep 0.02; done; exit 7";
    it.daemon.main(2, "job", waits);
    // The log thread opens its files later.
    let logs = |all: &[String]| all.iter().filter(|one| one.ends_with("/current")).count();
    let settled = |it: &Installed| until(|| Some(it.descriptors()).filter(|all| logs(all) == 2));
    let descriptors = settled(&it).len();
    let gives_up = it.dir.path().join(GIVES_UP);
    fs::copy(std::env::current_exe().unwrap(), &gives_up).unwrap();
    fs::remove_file(it.program()).unwrap();
    std::os::unix::fs::symlink(&gives_up, it.program()).unwrap();
    let why = ResumeFailure::State(StateRefusal::Foreign);
    assert_eq!(it.refused(), KeeperRefusal::WentBack { why });
    let exe = fs::read_link(format!("/proc/{}/exe", it.keeper())).unwrap();
    assert!(
        exe.to_string_lossy().contains("program"),
        "{}",
        exe.display()
    );
    assert!(!gone(pid));
    fs::write(it.daemon.dir.path().join("go"), "").unwrap();
    assert_eq!(it.daemon.exited(2).0, Exit::Code(7));
    assert_eq!(settled(&it).len(), descriptors);
    it.install(&std::env::current_exe().unwrap());
    it.reexec();
    assert!(!gone(pid));
}

fn one_at_a_time() {
    let mut it = Installed::new();
    it.install(Path::new("/usr/bin/yes"));
    it.daemon.ask(Request::ReexecKeeper);
    assert_eq!(it.refused(), KeeperRefusal::Busy);
    it.daemon.ask(Request::Reexec);
    it.daemon
        .until_notice(|it| matches!(it, Notice::NotReplaced { .. }));
    assert_eq!(it.refusal(), KeeperRefusal::Silent { seconds: 5 });
    // The daemon may end meanwhile.
    it.daemon.ask(Request::ReexecKeeper);
    assert_eq!(it.daemon.quit(0), 0);
}
