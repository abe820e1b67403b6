//! CPU and memory of the whole tree of a service, looked at when somebody asks and never else.
//!
//! Owner of one sample of each service ([`Meter`]), so that a percentage needs no second look.
//! `look.rs` looks once, `process_table.rs` finds what belongs to a service that has no cgroup.
//!
//! CPU time is the cgroup's own count where there is one, for that knows ended processes too; else
//! the sum over the processes and the children that they have reaped.
//!
//! Memory is what each process has for itself plus the largest shared part of any: the sum of
//! resident sizes would count the shared buffers of a database once for each of its processes, and
//! the exact share (`smaps_rollup`) costs milliseconds a process. Pages that a fork shares until
//! they are written count for both sides.
//!
//! The crate `sysinfo` cannot give these figures (ARCHITECTURE.md has the measurement); it gives
//! those of the host and of our own processes (`host.rs`).
//!
//! Blocks on `/proc`: not for the control thread. The server keeps one [`Meter`] and asks it on a
//! blocking thread, one request at a time.

mod look;
mod process_table;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use look::{Source, UsageSample, look};

pub(crate) use look::processes;

/// A percentage over less says nothing: the kernel counts in hundredths of a second.
const SPAN_MIN: Duration = Duration::from_millis(200);
/// A percentage over more tells of another time.
const SPAN_MAX: Duration = Duration::from_secs(60);
/// A service that nobody has asked about for so long is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(3600);

/// A service to look at.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// Its name.
    pub(crate) name: String,
    /// Its main process.
    pub(crate) pid: i32,
}

/// CPU, memory and processes of a service.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Usage {
    /// CPU time of the tree, in seconds; grows as long as somebody asks once an hour.
    pub(crate) cpu_seconds: f64,
    /// Percentage of one CPU since the last sample; only if it was asked for.
    pub(crate) cpu_percent: Option<f64>,
    /// Memory of the tree; the module's head says how it is counted.
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
    /// Source of the count in `cpu`.
    source: Source,
    cpu: Duration,
    /// CPU time of all runs that were seen.
    total: Duration,
    percent: Option<f64>,
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

    fn take_in(&mut self, looks: &BTreeMap<String, UsageSample>) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_runs_that_are_over_is_kept() {
        let mut meter = Meter::default();
        let mut see = |source, seconds| {
            let look = UsageSample {
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
    }
}
