//! Attributes of a process: ids, capabilities, limits, priorities and standard input.

use std::{collections::BTreeMap, fs};

use keeper::message::{Exit, Ids, Request, Role, Spawn, SpawnStage};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::{Test, daemon::Daemon, process::is_root};

pub(crate) const TESTS: &[Test] = &[
    ("attributes_are_set", attributes),
    ("a_core_is_the_services_alone", core),
    ("ids_groups_and_capabilities_are_set", identity),
    (
        "without_capabilities_nothing_is_left_of_root",
        no_capabilities,
    ),
    ("turns_at_disk_and_cpu_are_set", turns),
    ("capabilities_are_bounded", bounded),
    ("ambient_capabilities_outlive_the_change_of_user", ambient),
    ("standard_input_is_a_file", stdin_file),
    ("a_fifo_without_a_writer_neither_hangs_nor_ends", stdin_fifo),
    ("standard_input_is_opened_as_the_user", stdin_of_user),
    (
        "the_keepers_memory_stays_hidden_and_a_services_does_not",
        hidden,
    ),
];

fn attributes() {
    let mut daemon = Daemon::start();
    let script = "umask; ulimit -Sn; ulimit -Hn; ulimit -c; cut -d' ' -f19 /proc/$$/stat; \
                  cat /proc/self/oom_score_adj; grep NoNewPrivs /proc/self/status; pwd -P; env";
    let mut spawn = daemon.shell(1, "web", script);
    spawn.umask = 0o27;
    let limits = [
        ("nofile", (Some(64), Some(65))),
        ("core", (Some(0), Some(0))),
    ];
    spawn.rlimits = limits.map(|(name, limit)| (name.into(), limit)).into();
    // Without root both may only be raised.
    let nice = (own_nice() + 5).min(19);
    let oom_score_adj = (own_oom_score_adj() + 500).min(1000);
    (spawn.nice, spawn.oom_score_adj) = (Some(nice), Some(oom_score_adj));
    spawn.no_new_privs = true;
    spawn.env = BTreeMap::from([("GREETING".into(), "hello world".into())]);
    let (exit, _, output) = daemon.helper(spawn);
    assert_eq!(exit, Exit::Code(0), "{output}");
    let mut lines = output.lines();
    let dir = daemon.dir.path().canonicalize().unwrap();
    let dir = dir.to_str().unwrap();
    let (nice, oom_score_adj) = (nice.to_string(), oom_score_adj.to_string());
    for expected in [
        "0027",
        "64",
        "65",
        "0",
        &nice,
        &oom_score_adj,
        "NoNewPrivs:\t1",
        dir,
    ] {
        assert_eq!(lines.next(), Some(expected), "{output}");
    }
    let env: Vec<_> = lines
        .filter(|line| !line.starts_with("PWD=") && !line.starts_with("_="))
        // A run without a cgroup also gets its cookie.
        .filter(|line| !line.starts_with("MATTERVISOR_RUN="))
        .collect();
    assert_eq!(env, ["GREETING=hello world"]);
}

/// The nice value that this process has inherited.
fn own_nice() -> i32 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    // The name in parentheses may hold spaces; nice is the 17th field after it.
    let (_, rest) = stat.rsplit_once(')').unwrap();
    rest.split_whitespace().nth(16).unwrap().parse().unwrap()
}

fn own_oom_score_adj() -> i32 {
    let own = fs::read_to_string("/proc/self/oom_score_adj").unwrap();
    own.trim().parse().unwrap()
}

/// Keeper and control process leave no core dump, because their memory holds the secrets of all
/// services.
fn core() {
    let (_, hard) = getrlimit(Resource::RLIMIT_CORE).unwrap();
    setrlimit(Resource::RLIMIT_CORE, hard, hard).unwrap();
    let mut daemon = Daemon::start();
    let limits_of = |pid: i32| {
        let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
        let line = limits.lines().find(|line| line.starts_with("Max core"));
        line.unwrap().split_whitespace().nth(4).unwrap().to_owned()
    };
    for pid in [daemon.keeper.id().cast_signed(), daemon.control_pid] {
        assert_eq!(limits_of(pid), hard.min(1).to_string());
    }
    let spawn = daemon.shell(1, "web", "grep '^Max core' /proc/self/limits");
    let own = fs::read_to_string("/proc/self/limits").unwrap();
    let own = own.lines().find(|line| line.starts_with("Max core"));
    assert_eq!(daemon.helper(spawn).2.trim_end(), own.unwrap().trim_end());
}

fn identity() {
    if !is_root() {
        skip::skip!("ids can only be changed by root");
    }
    let mut daemon = Daemon::start();
    let script = "id -u; id -g; id -G; grep -E '^Cap(Eff|Prm|Bnd|Amb)' /proc/self/status; \
                  cat /proc/self/oom_score_adj";
    let mut spawn = daemon.shell(1, "web", script);
    spawn.cwd = "/".into();
    spawn.ids = Some(Ids {
        uid: 12345,
        gid: 23456,
        groups: vec![23456, 34567],
    });
    spawn.capabilities = Some(vec!["net_bind_service".into()]);
    let before = fs::read_to_string("/proc/self/oom_score_adj").unwrap();
    let output = daemon.helper(spawn).2;
    let bit = "0000000000000400";
    let caps = ["CapPrm", "CapEff", "CapBnd", "CapAmb"].map(|set| format!("{set}:\t{bit}"));
    let expected = format!("12345\n23456\n23456 34567\n{}\n{before}", caps.join("\n"));
    assert_eq!(output, expected);
}

fn no_capabilities() {
    if !is_root() {
        skip::skip!("there is nothing of root to lose");
    }
    let mut daemon = Daemon::start();
    let mut spawn = daemon.shell(1, "web", "grep -E '^Cap(Prm|Bnd)' /proc/self/status");
    spawn.capabilities = Some(vec![]);
    let none = "CapPrm:\t0000000000000000\nCapBnd:\t0000000000000000\n";
    assert_eq!(daemon.helper(spawn).2, none);
    let mut spawn = daemon.shell(2, "web", "id -u; grep CapPrm /proc/self/status");
    spawn.cwd = "/".into();
    spawn.ids = Some(Ids {
        uid: 12345,
        gid: 12345,
        groups: vec![],
    });
    assert_eq!(daemon.helper(spawn).2, "12345\nCapPrm:\t0000000000000000\n");
}

/// Best effort, level 6, encoded as in `ioprio_set(2)`.
const BEST_EFFORT_6: u16 = 2 << 13 | 6;

fn turns() {
    let mut daemon = Daemon::start();
    let script = "grep Cpus_allowed_list /proc/self/status; ionice -p $$";
    let mut spawn = daemon.shell(1, "web", script);
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let allowed = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:\t"));
    let first = allowed.unwrap().split(['-', ',']).next().unwrap();
    spawn.cpu_affinity = Some(vec![first.parse().unwrap()]);
    spawn.io_priority = Some(BEST_EFFORT_6);
    let output = daemon.helper(spawn).2;
    let mut lines = output.lines();
    assert_eq!(
        lines.next().unwrap(),
        format!("Cpus_allowed_list:\t{first}")
    );
    assert_eq!(lines.next(), Some("best-effort: prio 6"), "{output}");
    let mut fails = |run, cpus: Option<Vec<u32>>, turn| {
        let mut spawn = daemon.shell(run, "web", "exit 0");
        (spawn.cpu_affinity, spawn.io_priority) = (cpus, turn);
        daemon.ask(Request::Spawn(Box::new(spawn)));
        daemon.failed(run)
    };
    // No machine has 8192 processors, and no message of ours that many numbers.
    assert_eq!(
        fails(2, Some(vec![8191]), None),
        (SpawnStage::CpuAffinity, 22)
    );
    assert_eq!(
        fails(3, Some(vec![8192]), None),
        (SpawnStage::CpuAffinity, 22)
    );
    assert_eq!(fails(4, None, Some(7 << 13)), (SpawnStage::IoPriority, 22));
}

fn identity_of(daemon: &mut Daemon, run: u64, with: impl FnOnce(&mut Spawn)) -> String {
    let script = "grep -E '^Cap(Inh|Prm|Bnd|Amb)' /proc/self/status";
    let mut spawn = daemon.shell(run, "web", script);
    spawn.cwd = "/".into();
    with(&mut spawn);
    let output = daemon.helper(spawn).2;
    let sets = output.lines().filter_map(|line| line.split_once(":\t"));
    sets.fold(String::new(), |all, (name, set)| {
        all + name + "=" + set.trim_start_matches('0') + " "
    })
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

const NOBODY: u32 = 65534;

fn nobody() -> Ids {
    Ids {
        uid: NOBODY,
        gid: NOBODY,
        groups: vec![],
    }
}

fn bounded() {
    let mut daemon = Daemon::start();
    if !is_root() {
        // An unprivileged keeper has no capabilities to give, but starts a run that asks for none.
        let sets = identity_of(&mut daemon, 1, |spawn| {
            spawn.capability_bounding_set = Some(Vec::new());
        });
        assert!(sets.contains("CapPrm= "), "{sets}");
        return;
    }
    let sets = identity_of(&mut daemon, 1, |spawn| {
        spawn.capability_bounding_set = Some(names(&["chown", "kill"]));
    });
    assert_eq!(sets, "CapInh= CapPrm=21 CapBnd=21 CapAmb= ");
    let sets = identity_of(&mut daemon, 2, |spawn| {
        spawn.capability_bounding_set = Some(names(&["net_bind_service"]));
        spawn.ids = Some(nobody());
    });
    assert_eq!(sets, "CapInh= CapPrm= CapBnd=400 CapAmb= ");
}

fn ambient() {
    if !is_root() {
        skip::skip!("only root has capabilities to keep");
    }
    let mut daemon = Daemon::start();
    let sets = identity_of(&mut daemon, 1, |spawn| {
        spawn.ambient_capabilities = Some(names(&["net_bind_service"]));
        spawn.capability_bounding_set = Some(names(&["net_bind_service", "chown"]));
        spawn.ids = Some(nobody());
    });
    assert_eq!(sets, "CapInh=400 CapPrm=400 CapBnd=401 CapAmb=400 ");
    let mut spawn = daemon.shell(2, "web", "exit 0");
    spawn.ambient_capabilities = Some(names(&["net_bind_service"]));
    spawn.capability_bounding_set = Some(names(&["chown"]));
    spawn.ids = Some(nobody());
    daemon.ask(Request::Spawn(Box::new(spawn)));
    let refused = (SpawnStage::Capabilities, 1);
    assert_eq!(daemon.failed(2), refused, "ambient beyond the bounding set");
}

fn stdin_file() {
    let mut daemon = Daemon::start();
    fs::write(daemon.dir.path().join("input"), "first\nsecond\n").unwrap();
    let mut spawn = daemon.shell(1, "web", "cat; grep flags /proc/self/fdinfo/0");
    spawn.stdin = Some(daemon.dir.path().join("input"));
    // O_RDONLY and O_LARGEFILE, without O_NONBLOCK.
    let output = daemon.helper(spawn).2;
    let flags = output.strip_prefix("first\nsecond\nflags:\t").unwrap();
    let flags = i64::from_str_radix(flags.trim(), 8).unwrap();
    assert_eq!(flags & 0o4003, 0, "{output}");
    let mut spawn = daemon.shell(2, "web", "exit 0");
    spawn.stdin = Some("/nonexistent".into());
    daemon.ask(Request::Spawn(Box::new(spawn)));
    assert_eq!(daemon.failed(2), (SpawnStage::Stdin, 2));
}

fn stdin_fifo() {
    let mut daemon = Daemon::start();
    let fifo = daemon.dir.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::from_bits_retain(0o600)).unwrap();
    let script = "read one; echo $one; read two; echo $two";
    let mut spawn = daemon.shell(1, "web", script);
    spawn.stdin = Some(fifo.clone());
    spawn.role = Role::Helper;
    daemon.ask(Request::Spawn(Box::new(spawn)));
    daemon.spawned(1);
    // Each writer closes its end, and the reader still continues.
    fs::write(&fifo, "from one writer\n").unwrap();
    fs::write(&fifo, "from another\n").unwrap();
    let output = daemon.exited(1).2;
    assert_eq!(output, "from one writer\nfrom another\n");
}

fn stdin_of_user() {
    if !is_root() {
        skip::skip!("ids can only be changed by root");
    }
    let mut daemon = Daemon::start();
    let secret = daemon.dir.path().join("secret");
    fs::write(&secret, "").unwrap();
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(&secret, private).unwrap();
    daemon.open("web");
    let mut spawn = daemon.shell(1, "web", "exit 0");
    spawn.cwd = "/".into();
    spawn.ids = Some(nobody());
    spawn.stdin = Some(secret);
    daemon.ask(Request::Spawn(Box::new(spawn)));
    assert_eq!(daemon.failed(1), (SpawnStage::Stdin, 13));
}

fn hidden() {
    if !is_root() {
        skip::skip!("without root there is nothing to hide");
    }
    // Files in /proc belong to root for a process whose memory is hidden, else to the process's
    // account.
    let group = 4242;
    let mut daemon = Daemon::start_as_group(group);
    let group_of = |pid| {
        let meta = fs::metadata(format!("/proc/{pid}/environ")).unwrap();
        std::os::unix::fs::MetadataExt::gid(&meta)
    };
    let keeper = daemon.keeper.id().cast_signed();
    daemon.open("web");
    let mut spawn = daemon.shell(1, "web", "exec sleep 300");
    spawn.ids = Some(Ids {
        uid: 65534,
        gid: group,
        groups: vec![],
    });
    assert_eq!(group_of(keeper), 0);
    daemon.ask(Request::Spawn(Box::new(spawn)));
    let child = daemon.spawned(1);
    assert_eq!((group_of(keeper), group_of(child)), (0, group));
    assert_eq!(group_of(daemon.control_pid), group);
}
