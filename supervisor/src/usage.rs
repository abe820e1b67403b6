//! CPU and memory of the whole tree of a service, looked at when somebody asks and never else.
//!
//! What belongs to a service is what is in its cgroup; without one, what descends from its main
//! process, is in that one's session or process group, or was reparented to the keeper and still
//! has the same standard output. CPU time is the group's own count where there is one, for that
//! knows the dead too; else the sum over the processes and their reaped children.
//!
//! Memory is what each process has for itself plus the largest shared part of any: the sum of
//! resident sizes would count the shared buffers of a database once for each of its processes, and
//! the exact share (`smaps_rollup`) costs milliseconds a process. Pages that a fork shares until they
//! are written count for both sides.
//!
//! Blocks on `/proc`: not for the control thread. The server keeps one [`Meter`] and asks it on a
//! blocking thread, one request at a time.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use nix::{
    time::{ClockId, clock_gettime},
    unistd::{SysconfVar, sysconf},
};

/// A percentage over less says nothing: the kernel counts in hundredths of a second.
const SPAN_MIN: Duration = Duration::from_millis(200);
/// Nor does one over more: that was another time.
const SPAN_MAX: Duration = Duration::from_secs(60);
/// A service that nobody has asked about for so long is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(3600);
/// Holds all of `/proc/PID/stat` that is of interest.
const STAT_BYTES: usize = 1024;

/// A service to look at.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// Its name.
    pub(crate) name: String,
    /// Its main process.
    pub(crate) pid: i32,
}

/// What a service uses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Usage {
    /// CPU time of the tree, in seconds; grows as long as somebody asks once an hour.
    pub(crate) cpu_seconds: f64,
    /// Of one CPU, lately; only if it was wanted.
    pub(crate) cpu_percent: Option<f64>,
    /// See the module's head.
    pub(crate) memory_bytes: u64,
    /// Processes of the tree.
    pub(crate) processes: u32,
    /// When the main process started, in seconds of the Unix epoch.
    pub(crate) started: Option<f64>,
}

/// Remembers what it has seen last, so that a percentage needs no second look.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    last: BTreeMap<String, Sample>,
}

/// The last look at a service.
#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Instant,
    /// Whose count `cpu` is.
    source: Source,
    cpu: Duration,
    /// CPU time of all runs that were seen.
    total: Duration,
    percent: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// The group's, over all runs.
    Group,
    /// The sum over what belongs to this main process.
    Tree(i32),
}

/// One look at one service.
#[derive(Clone, Copy, Debug)]
struct Look {
    source: Source,
    cpu: Duration,
    memory_bytes: u64,
    processes: u32,
    started: Option<f64>,
}

impl Meter {
    /// What these services use. With `percent`, and no look at them that is fit to compare with,
    /// this takes [`SPAN_MIN`].
    pub(crate) fn measure(
        &mut self,
        targets: &[Target],
        keeper: i32,
        percent: bool,
    ) -> BTreeMap<String, Usage> {
        let now = Instant::now();
        self.last
            .retain(|_, sample| now.duration_since(sample.at) < FORGOTTEN);
        let fresh = targets.iter().all(|target| {
            self.last.get(&target.name).is_some_and(|sample| {
                let age = now.duration_since(sample.at);
                age <= SPAN_MAX && (age >= SPAN_MIN || sample.percent.is_some())
            })
        });
        if percent && !fresh {
            self.take_in(&look(targets, keeper));
            pause();
        }
        let looks = look(targets, keeper);
        self.take_in(&looks);
        let usage = looks.into_iter().map(|(name, look)| {
            let sample = self.last.get(&name);
            let usage = Usage {
                cpu_seconds: sample.map_or(look.cpu, |it| it.total).as_secs_f64(),
                cpu_percent: sample.and_then(|it| it.percent).filter(|_| percent),
                memory_bytes: look.memory_bytes,
                processes: look.processes,
                started: look.started,
            };
            (name, usage)
        });
        usage.collect()
    }

    fn take_in(&mut self, looks: &BTreeMap<String, Look>) {
        let now = Instant::now();
        for (name, look) in looks {
            let known = self.last.get(name).copied();
            let same = known.filter(|it| it.source == look.source && look.cpu >= it.cpu);
            let used = same.map_or(look.cpu, |it| look.cpu.saturating_sub(it.cpu));
            let span = same.map(|it| now.duration_since(it.at));
            // Two that ask in quick succession see the same percentage.
            if let (Some(it), Some(span)) = (same, span)
                && span < SPAN_MIN
                && it.percent.is_some()
            {
                continue;
            }
            let fit = span.filter(|span| (SPAN_MIN..=SPAN_MAX).contains(span));
            let percent = fit.map(|span| 100.0 * used.as_secs_f64() / span.as_secs_f64());
            let sample = Sample {
                at: now,
                source: look.source,
                cpu: look.cpu,
                total: known.map_or(Duration::ZERO, |it| it.total) + used,
                percent,
            };
            self.last.insert(name.clone(), sample);
        }
    }
}

/// Lets time go by between two looks; the thread is one of those that may block.
#[expect(
    clippy::disallowed_methods,
    reason = "on a blocking thread, to measure a span"
)]
fn pause() {
    std::thread::sleep(SPAN_MIN);
}

/// Resident memory and CPU seconds of one process, without its children.
pub(crate) fn of_process(pid: i32) -> Option<(u64, f64)> {
    let process = Process::read(pid)?;
    let (own, shared) = memory(pid)?;
    let ticks = process.own_ticks;
    Some((own + shared, Units::get().time(ticks).as_secs_f64()))
}

/// Processes of each of these services.
pub(crate) fn processes(targets: &[Target], keeper: i32) -> BTreeMap<String, Vec<i32>> {
    let mount = Mount::find();
    let mut all = BTreeMap::new();
    let mut without: Vec<&Target> = Vec::new();
    for target in targets {
        match mount.as_ref().and_then(|mount| mount.group_of(target.pid)) {
            Some(group) => drop(all.insert(target.name.clone(), members(&group))),
            None => without.push(target),
        }
    }
    if !without.is_empty() {
        let names = without.iter().map(|it| it.name.clone());
        all.extend(names.zip(Table::read().trees(&without, keeper)));
    }
    all
}

fn look(targets: &[Target], keeper: i32) -> BTreeMap<String, Look> {
    let units = Units::get();
    let mount = Mount::find();
    let mut looks = BTreeMap::new();
    let mut without: Vec<&Target> = Vec::new();
    for target in targets {
        let group = mount.as_ref().and_then(|mount| mount.group_of(target.pid));
        match group.and_then(|dir| Some((cpu_of(&dir)?, members(&dir)))) {
            Some((cpu, pids)) => {
                let (memory_bytes, processes) = memory_of(&pids);
                let source = Source::Group;
                let look = Look {
                    source,
                    cpu,
                    memory_bytes,
                    processes,
                    started: started(target.pid),
                };
                looks.insert(target.name.clone(), look);
            }
            None => without.push(target),
        }
    }
    if without.is_empty() {
        return looks;
    }
    let table = Table::read();
    for (target, pids) in without.iter().zip(table.trees(&without, keeper)) {
        let ticks = pids.iter().filter_map(|pid| table.processes.get(pid));
        let ticks = ticks.map(|it| it.own_ticks + it.reaped_ticks).sum();
        let (memory_bytes, processes) = memory_of(&pids);
        if processes > 0 {
            let look = Look {
                source: Source::Tree(target.pid),
                cpu: units.time(ticks),
                memory_bytes,
                processes,
                started: started(target.pid),
            };
            looks.insert(target.name.clone(), look);
        }
    }
    looks
}

/// When a process started, in seconds of the Unix epoch.
fn started(pid: i32) -> Option<f64> {
    let up = clock_gettime(ClockId::CLOCK_BOOTTIME).ok()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    let after_boot = Units::get().time(Process::read(pid)?.start_ticks);
    let started = (now + after_boot).saturating_sub(Duration::from(up));
    // No finer than the clocks agree: the same at every look.
    Some((started.as_secs_f64() * 10.0).round() / 10.0)
}

/// Memory of these together, and how many of them there are.
fn memory_of(pids: &[i32]) -> (u64, u32) {
    let mut largest_shared = 0;
    let mut sum = 0;
    let mut count = 0;
    for (own, shared) in pids.iter().filter_map(|pid| memory(*pid)) {
        sum += own;
        largest_shared = largest_shared.max(shared);
        count += 1;
    }
    (sum + largest_shared, count)
}

/// Bytes that a process has resident for itself, and that it shares with others or a file.
fn memory(pid: i32) -> Option<(u64, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let mut pages = text.split(' ').skip(1).map_while(|it| it.parse().ok());
    let (resident, shared): (u64, u64) = (pages.next()?, pages.next()?);
    let page = Units::get().page_bytes;
    Some((resident.saturating_sub(shared) * page, shared * page))
}

/// What the kernel counts in.
#[derive(Clone, Copy, Debug)]
struct Units {
    page_bytes: u64,
    ticks_per_second: u64,
}

impl Units {
    fn get() -> Self {
        let ask = |name, usual| {
            let value = sysconf(name).ok().flatten();
            value
                .and_then(|it| u64::try_from(it).ok())
                .filter(|it| *it > 0)
                .unwrap_or(usual)
        };
        Self {
            page_bytes: ask(SysconfVar::PAGE_SIZE, 4096),
            ticks_per_second: ask(SysconfVar::CLK_TCK, 100),
        }
    }

    fn time(self, ticks: u64) -> Duration {
        Duration::from_nanos(ticks.saturating_mul(1_000_000_000 / self.ticks_per_second))
    }
}

/// Where the unified hierarchy is mounted, and which part of it.
#[derive(Debug)]
struct Mount {
    point: PathBuf,
    root: PathBuf,
}

impl Mount {
    fn find() -> Option<Self> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        mounts.lines().find_map(Self::parse)
    }

    fn parse(line: &str) -> Option<Self> {
        let (left, right) = line.split_once(" - ")?;
        if right.split(' ').next() != Some("cgroup2") {
            return None;
        }
        let mut fields = left.split(' ').skip(3);
        let decode = |text: &str| PathBuf::from(text.replace("\\040", " "));
        let (root, point) = (decode(fields.next()?), decode(fields.next()?));
        Some(Self { point, root })
    }

    /// The directory of the service that this process is of; none: it has no group of its own.
    fn group_of(&self, pid: i32) -> Option<PathBuf> {
        let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        let shown = text.lines().find_map(|line| line.strip_prefix("0::"))?;
        let group = service_group(shown)?;
        Some(
            self.point
                .join(Path::new(group).strip_prefix(&self.root).ok()?),
        )
    }
}

/// The part of a group's path that ends with the service: a program may make groups below that.
fn service_group(shown: &str) -> Option<&str> {
    const BASE: &str = "/mattervisor-";
    let base = shown.find(BASE)? + BASE.len();
    let name = base + shown[base..].find('/')? + 1;
    let end = shown[name..]
        .find('/')
        .map_or(shown.len(), |end| name + end);
    Some(&shown[..end])
}

/// CPU time of a group, the dead included.
fn cpu_of(group: &Path) -> Option<Duration> {
    let text = fs::read_to_string(group.join("cpu.stat")).ok()?;
    let usec = text
        .lines()
        .find_map(|line| line.strip_prefix("usage_usec "));
    usec?.parse().ok().map(Duration::from_micros)
}

/// Everything in a group and below.
fn members(group: &Path) -> Vec<i32> {
    let text = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    let mut found: Vec<i32> = text.lines().filter_map(|line| line.parse().ok()).collect();
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(members(&entry.path()));
        }
    }
    found
}

/// What is wanted of `/proc/PID/stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Process {
    parent: i32,
    group: i32,
    session: i32,
    own_ticks: u64,
    reaped_ticks: u64,
    /// After the machine's boot.
    start_ticks: u64,
}

impl Process {
    fn read(pid: i32) -> Option<Self> {
        let mut bytes = [0; STAT_BYTES];
        let mut file = File::open(format!("/proc/{pid}/stat")).ok()?;
        let read = file.read(&mut bytes).ok()?;
        Self::parse(&bytes[..read])
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        // The name in parentheses may hold anything, also parentheses.
        let end = bytes.iter().rposition(|byte| *byte == b')')?;
        let text = std::str::from_utf8(bytes.get(end + 1..)?).ok()?;
        let mut fields = text.split_ascii_whitespace().skip(1);
        let mut number = || fields.next()?.parse::<i32>().ok();
        let (parent, group, session) = (number()?, number()?, number()?);
        // tty, its group, flags, four counts of faults.
        let mut rest = fields.skip(7);
        let mut both = || {
            let mut time = || rest.next()?.parse::<u64>().ok();
            Some(time()? + time()?)
        };
        let (own_ticks, reaped_ticks) = (both()?, both()?);
        Some(Self {
            parent,
            group,
            session,
            own_ticks,
            reaped_ticks,
            // Priority, nice value, threads, a timer.
            start_ticks: rest.nth(4)?.parse().ok()?,
        })
    }
}

/// Every process there is, at one moment.
#[derive(Debug)]
struct Table {
    processes: BTreeMap<i32, Process>,
    children: BTreeMap<i32, Vec<i32>>,
}

impl Table {
    fn read() -> Self {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let processes: BTreeMap<i32, Process> = pids
            .filter_map(|pid| Some((pid, Process::read(pid)?)))
            .collect();
        let mut children = BTreeMap::<i32, Vec<i32>>::new();
        for (pid, process) in &processes {
            children.entry(process.parent).or_default().push(*pid);
        }
        Self {
            processes,
            children,
        }
    }

    /// What belongs to each of these.
    fn trees(&self, targets: &[&Target], keeper: i32) -> Vec<Vec<i32>> {
        let by_main = targets.iter().enumerate();
        let by_main: BTreeMap<i32, usize> = by_main.map(|(at, it)| (it.pid, at)).collect();
        let mut trees: Vec<Vec<i32>> = vec![Vec::new(); targets.len()];
        let mut taken = BTreeSet::new();
        let marked = self.processes.iter().filter_map(|(pid, it)| {
            let of = by_main.get(pid).or_else(|| by_main.get(&it.session));
            Some((*pid, *of.or_else(|| by_main.get(&it.group))?))
        });
        for (pid, of) in marked.collect::<Vec<_>>() {
            self.descend(pid, &mut taken, &mut trees[of]);
        }
        let children = self.children.get(&keeper).into_iter().flatten();
        let orphans: Vec<i32> = children.copied().filter(|it| !taken.contains(it)).collect();
        if orphans.len() > 1 {
            // One is the control process. Only strays are worth the looks at descriptors.
            let outputs = targets.iter().enumerate();
            let outputs: BTreeMap<PathBuf, usize> = outputs
                .filter_map(|(at, it)| Some((output(it.pid)?, at)))
                .collect();
            for pid in orphans {
                if let Some(of) = output(pid).and_then(|it| outputs.get(&it)) {
                    self.descend(pid, &mut taken, &mut trees[*of]);
                }
            }
        }
        trees
    }

    fn descend(&self, from: i32, taken: &mut BTreeSet<i32>, tree: &mut Vec<i32>) {
        let mut next = vec![from];
        while let Some(pid) = next.pop() {
            if taken.insert(pid) {
                tree.push(pid);
                next.extend(self.children.get(&pid).into_iter().flatten());
            }
        }
    }
}

/// The pipe that is a process's standard output.
fn output(pid: i32) -> Option<PathBuf> {
    let target = fs::read_link(format!("/proc/{pid}/fd/1")).ok()?;
    target
        .to_string_lossy()
        .starts_with("pipe:")
        .then_some(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_full_of_traps_is_read() {
        let line = b"42 (a) R 1 (b)) S 7 8 9 0 -1 4194560 1 2 3 4 50 6 7 8 20 0 1 0 12345 999 1\n";
        let process = Process::parse(line).unwrap();
        assert_eq!((process.parent, process.group, process.session), (7, 8, 9));
        assert_eq!((process.own_ticks, process.reaped_ticks), (56, 15));
        assert_eq!(process.start_ticks, 12345);
    }

    #[test]
    fn the_group_of_a_service_ends_with_its_name() {
        let shown = "/system.slice/mattervisor-0a1b/postgresql/deeper/still";
        let group = service_group(shown);
        assert_eq!(group, Some("/system.slice/mattervisor-0a1b/postgresql"));
        let own = service_group("/mattervisor-0a1b/nginx");
        assert_eq!(own, Some("/mattervisor-0a1b/nginx"));
        assert_eq!(service_group("/mattervisor-0a1b"), None);
        assert_eq!(service_group("/user.slice"), None);
    }

    #[test]
    fn the_time_of_runs_that_are_over_is_kept() {
        let mut meter = Meter::default();
        let mut see = |source, seconds| {
            let look = Look {
                source,
                cpu: Duration::from_secs(seconds),
                memory_bytes: 0,
                processes: 1,
                started: None,
            };
            meter.take_in(&BTreeMap::from([("a".to_owned(), look)]));
            meter.last["a"].total.as_secs()
        };
        assert_eq!(see(Source::Tree(1), 5), 5);
        assert_eq!(see(Source::Tree(1), 7), 7);
        assert_eq!(see(Source::Tree(2), 1), 8);
        assert_eq!(see(Source::Tree(2), 1), 8);
        // A child was reaped by somebody else and its time is gone: the total only grows.
        assert_eq!(see(Source::Tree(2), 0), 8);
    }

    #[test]
    fn a_tree_is_who_descends_or_shares_the_session() {
        let process = |parent, group, session| Process {
            parent,
            group,
            session,
            own_ticks: 1,
            reaped_ticks: 0,
            start_ticks: 0,
        };
        let processes = BTreeMap::from([
            (10, process(1, 10, 10)),
            (20, process(10, 20, 20)),
            (21, process(20, 21, 21)),
            (22, process(10, 20, 20)),
            (30, process(10, 30, 30)),
            (31, process(30, 31, 31)),
        ]);
        let mut children = BTreeMap::<i32, Vec<i32>>::new();
        for (pid, process) in &processes {
            children.entry(process.parent).or_default().push(*pid);
        }
        let table = Table {
            processes,
            children,
        };
        let target = |name: &str, pid| Target {
            name: name.to_owned(),
            pid,
        };
        let (a, b) = (target("a", 20), target("b", 30));
        let mut trees = table.trees(&[&a, &b], 10);
        for tree in &mut trees {
            tree.sort_unstable();
        }
        assert_eq!(trees, [vec![20, 21, 22], vec![30, 31]]);
    }

    #[test]
    fn this_process_has_memory_and_burns_cpu() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let target = Target {
            name: "self".to_owned(),
            pid,
        };
        let burning = std::thread::spawn(|| {
            let until = Instant::now() + Duration::from_millis(600);
            while Instant::now() < until {
                std::hint::spin_loop();
            }
        });
        let mut meter = Meter::default();
        let usage = meter.measure(&[target], 0, true)["self"];
        burning.join().unwrap();
        assert!(usage.memory_bytes > 1 << 20, "{usage:?}");
        assert!(usage.cpu_percent.is_some_and(|it| it > 5.0), "{usage:?}");
        assert!(usage.cpu_seconds > 0.0 && usage.processes >= 1, "{usage:?}");
        let (resident, _) = of_process(pid).unwrap();
        assert!(resident > 1 << 20);
    }
}
