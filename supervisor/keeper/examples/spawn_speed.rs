//! How long the keeper takes for births and deaths, without a supervisor around it.
//!
//! `cargo run --release -p keeper --example spawn_speed -- PROGRAM [SERVICES]` starts a keeper on a
//! temporary directory, whose control process (this program again) spawns PROGRAM for each service,
//! kills and replaces some, and ends them all. PROGRAM must run until it is killed. The keeper's
//! own CPU time is told beside the times.
#![expect(
    clippy::unwrap_used,
    reason = "a measurement ends where something is wrong"
)]

use std::{
    collections::BTreeMap,
    env, fs,
    os::fd::AsFd,
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use keeper::{
    Config,
    link::Link,
    message::{Fact, Notice, Open, Request, Role, RunId, Spawn, Stop},
};
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// Services that are killed and replaced.
const CRASHES: u64 = 200;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [role, dir, program, count] = &arguments[..]
        && role == "control"
    {
        measure(Path::new(dir), program, count.parse().unwrap());
        return ExitCode::SUCCESS;
    }
    let Some(program) = arguments.first() else {
        eprintln!("usage: spawn_speed PROGRAM [SERVICES]");
        return ExitCode::FAILURE;
    };
    let count = arguments.get(1).map_or("100", String::as_str);
    let dir = env::temp_dir().join(format!("spawn-speed-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let argv = ["control", "control", dir.to_str().unwrap(), program, count];
    keeper::run(Config {
        root: "/".into(),
        control_socket: dir.join("ctl.sock"),
        state_hash: format!("speed{}", std::process::id()),
        control_argv: argv.map(Into::into).to_vec(),
        trial_argv: Vec::new(),
        resume_argv: Vec::new(),
        log_json: false,
        state_dir: dir.clone(),
        run_dir: dir,
    })
}

struct Driver {
    link: Link,
    facts: Vec<Fact>,
    last: u64,
}

impl Driver {
    fn queue(&mut self, request: &Request) {
        self.link.queue(request, vec![]).unwrap();
    }

    fn wait(&mut self, mut done: impl FnMut(&Fact) -> bool) {
        loop {
            while !self.link.flush().unwrap() {}
            for fact in std::mem::take(&mut self.facts) {
                if done(&fact) {
                    let ack = Request::Ack { seq: self.last };
                    self.queue(&ack);
                    return;
                }
            }
            let mut polled = [PollFd::new(self.link.as_fd(), PollFlags::POLLIN)];
            poll(&mut polled, PollTimeout::NONE).unwrap();
            for (notice, _) in self.link.recv::<Notice>().unwrap() {
                if let Notice::Fact(numbered) = notice {
                    self.last = numbered.seq;
                    self.facts.push(numbered.fact);
                }
            }
        }
    }
}

fn measure(dir: &Path, program: &str, count: u64) {
    let mut driver = Driver {
        link: keeper::link_to_keeper().unwrap(),
        facts: vec![],
        last: 0,
    };
    driver.queue(&Request::TookOver);
    let (begin, cpu) = (Instant::now(), keeper_cpu());
    let mut pids = BTreeMap::<RunId, i32>::new();
    for number in 0..count {
        driver.queue(&Request::Open(open(dir, number)));
        driver.queue(&spawn(program, number, number + 1));
    }
    driver.wait(|fact| {
        if let Fact::Spawned { run, pid, .. } = fact {
            pids.insert(*run, *pid);
        }
        pids.len() as u64 == count
    });
    tell("birth", begin.elapsed(), cpu, count);
    let cpu = keeper_cpu();
    let mut times: Vec<Duration> = vec![];
    for crash in 0..CRASHES {
        let number = crash % count;
        // The lowest run is the oldest, of the service whose turn it is.
        let (run, pid) = pids.pop_first().unwrap();
        let begin = Instant::now();
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        driver.wait(|fact| matches!(fact, Fact::Swept { run: one, .. } if *one == run));
        driver.queue(&Request::Open(open(dir, number)));
        driver.queue(&spawn(program, number, count + crash + 1));
        driver.wait(|fact| match fact {
            Fact::Spawned { run, pid, .. } => pids.insert(*run, *pid).is_none(),
            _ => false,
        });
        times.push(begin.elapsed());
    }
    times.sort_unstable();
    tell("crash, median", times[times.len() / 2], cpu, CRASHES);
    println!("{:>16} {:8.1} us", "crash, least", micros(times[0]));
    let (begin, cpu) = (Instant::now(), keeper_cpu());
    for run in pids.keys().copied().collect::<Vec<_>>() {
        driver.queue(&Request::Signal {
            run,
            signal: 15,
            cont: true,
        });
    }
    driver.wait(|fact| {
        if let Fact::Swept { run, .. } = fact {
            pids.remove(run);
        }
        pids.is_empty()
    });
    tell("death", begin.elapsed(), cpu, count);
    driver.queue(&Request::Quit { code: 0 });
    while !driver.link.flush().unwrap() {}
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn tell(what: &str, time: Duration, cpu: f64, count: u64) {
    let count = u32::try_from(count).unwrap();
    let cpu = (keeper_cpu() - cpu) / f64::from(count);
    println!(
        "{what:>16} {:8.1} us; keeper's CPU {cpu:6.1} us each",
        micros(time)
    );
}

/// Microseconds that the keeper's threads have run.
fn keeper_cpu() -> f64 {
    let keeper = std::os::unix::process::parent_id();
    let tasks = fs::read_dir(format!("/proc/{keeper}/task")).unwrap();
    let times = tasks.map(|task| {
        let text = fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap();
        let first = text.split(' ').next().unwrap();
        first.parse::<f64>().unwrap() / 1e3
    });
    times.sum()
}

fn open(dir: &Path, number: u64) -> Open {
    Open {
        service: format!("service-{number}"),
        uid: nix::unistd::geteuid().as_raw(),
        gid: nix::unistd::getegid().as_raw(),
        log_dir: dir.join("log").join(number.to_string()),
        log_size_bytes: 1 << 20,
        log_keep: 2,
        log_age_ms: None,
        log_compress: false,
        log_forward: None,
    }
}

fn spawn(program: &str, number: u64, run: RunId) -> Request {
    let path = ("PATH".to_owned(), "/usr/bin:/bin".to_owned());
    let argv = vec![program.to_owned(), "/dev/null:1:pause".to_owned()];
    let service = format!("service-{number}");
    Request::Spawn(Box::new(Spawn {
        role: Role::Main,
        stop: Stop::by(15, 2000),
        timeout_ms: None,
        ..Spawn::helper(run, &service, argv, BTreeMap::from([path]), 0)
    }))
}
