//! Looks at /proc: which processes a soak has, and whether two runs of one service live at the same
//! moment.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    time::Duration,
};

use super::{promise::Promise, report::Findings};
use crate::{processes, wait};

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(50);
/// Kind of a process that was left without anything that tells whose it is.
pub(super) const STRAY: &str = "stray";

/// A living process of a soak.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: i32,
    /// Start time; distinguishes the process from a later process with the same pid.
    start: u64,
    pub(super) service: String,
    /// Pid of the main process of the run to which the process belongs.
    pub(super) run: i32,
    /// Which kind of process was left; `None` for a main process, and for a child of it between
    /// fork and exec.
    pub(super) kind: Option<String>,
}

impl Process {
    /// Whether the process still lives.
    pub(super) fn lives(&self) -> bool {
        stat(self.pid).is_some_and(|it| it.lives && it.start == self.start)
    }

    /// Whether the process is the main process of its run.
    pub(super) fn is_main(&self) -> bool {
        self.kind.is_none() && self.pid == self.run
    }

    /// Whether nothing tells whose the process is.
    pub(super) fn is_stray(&self) -> bool {
        self.kind.as_deref() == Some(STRAY)
    }
}

/// The living processes of a soak on this root.
pub(super) fn processes(root: &Path) -> Vec<Process> {
    let site = format!("site={}", root.display());
    let all = processes::pids().into_iter();
    all.filter_map(|pid| process(pid, &site)).collect()
}

/// The main process of a service, if it lives.
pub(super) fn main_of(root: &Path, service: &str) -> Option<Process> {
    let all = processes(root).into_iter();
    all.filter(Process::is_main)
        .find(|it| it.service == service)
}

fn process(pid: i32, site: &str) -> Option<Process> {
    let words = words(pid)?;
    if !words.first()?.ends_with("soakchild") || !words.iter().any(|word| word == site) {
        return None;
    }
    let value = |name: &str| {
        let mut all = words.iter();
        all.find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
    };
    let stat = stat(pid).filter(|stat| stat.lives)?;
    let service = value("service")?.to_owned();
    let kind = value("kind").map(str::to_owned);
    let run = match value("run") {
        Some(run) => run.rsplit('-').next()?.parse().ok()?,
        // Between fork and exec a child shows the words of its parent.
        None if words == self::words(stat.parent).unwrap_or_default() => stat.parent,
        None => pid,
    };
    Some(Process {
        pid,
        start: stat.start,
        service,
        run,
        kind,
    })
}

fn words(pid: i32) -> Option<Vec<String>> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let words = bytes.split(|byte| *byte == 0);
    let words = words.map(|word| String::from_utf8_lossy(word).into_owned());
    Some(words.collect())
}

struct Stat {
    lives: bool,
    parent: i32,
    start: u64,
}

fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // After the name, which may hold anything: state, parent, and the start time as the 20th field.
    let fields: Vec<&str> = text.rsplit(')').next()?.split_whitespace().collect();
    Some(Stat {
        lives: !matches!(*fields.first()?, "Z" | "X"),
        parent: fields.get(1)?.parse().ok()?,
        start: fields.get(19)?.parse().ok()?,
    })
}

/// Looks at the processes until `over`, and reports each set of runs once.
pub(super) fn watch(root: &Path, found: &Findings, over: impl Fn() -> bool) {
    let mut told = BTreeSet::new();
    while !over() {
        for (service, runs) in two_of_one(&processes(root)) {
            if told.insert((service.clone(), runs.clone())) {
                let detail = format!("{service}: seen with the runs of {runs:?}");
                found.broken(Promise::OneOfEach, 1, detail);
            }
        }
        let _ = wait::within(PAUSE, || over().then_some(()));
    }
}

/// Services with processes of several runs at the same moment. The second pass asks who still
/// lives: a process that was seen first and lives now was there together with the process seen
/// last.
fn two_of_one(seen: &[Process]) -> Vec<(String, BTreeSet<i32>)> {
    let runs = |living: &dyn Fn(&Process) -> bool, of: Option<&String>| {
        let mut runs: BTreeMap<String, BTreeSet<i32>> = BTreeMap::new();
        for it in seen {
            if !it.is_stray() && of.is_none_or(|of| *of == it.service) && living(it) {
                runs.entry(it.service.clone()).or_default().insert(it.run);
            }
        }
        runs.retain(|_, runs| runs.len() > 1);
        runs
    };
    let suspects = runs(&|_| true, None);
    let again = suspects.keys().map(|it| runs(&Process::lives, Some(it)));
    again.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here(service: &str, run: i32, kind: Option<&str>) -> Process {
        let pid = i32::try_from(std::process::id()).unwrap();
        Process {
            pid,
            start: stat(pid).unwrap().start,
            service: service.to_owned(),
            run,
            kind: kind.map(str::to_owned),
        }
    }

    #[test]
    fn two_runs_of_one_service_are_seen_and_strays_are_not_counted() {
        let one = [
            here("a", 1, None),
            here("b", 2, None),
            here("a", 1, Some("daemon")),
        ];
        assert!(two_of_one(&one).is_empty());
        let stray = [here("a", 1, None), here("a", 2, Some(STRAY))];
        assert!(two_of_one(&stray).is_empty());
        let two = [here("a", 1, Some("daemon")), here("a", 2, None)];
        assert_eq!(two_of_one(&two).len(), 1);
    }

    #[test]
    fn one_that_has_ended_meanwhile_does_not_count() {
        let mut ended = here("a", 1, None);
        ended.start += 1;
        assert!(two_of_one(&[ended, here("a", 2, None)]).is_empty());
    }
}
