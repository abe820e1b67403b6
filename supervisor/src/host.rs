//! Figures of the host, and of the supervisor's own two processes, by the crate `sysinfo`.
//!
//! Nothing is kept between two looks: `sysinfo` holds a descriptor of each process that a
//! [`System`] has seen, so each look makes one and drops it. What services use it cannot tell
//! (`usage/`).
//!
//! Blocks on `/proc`: not for the control thread.

use std::time::Duration;

use sysinfo::{MemoryRefreshKind, Pid, ProcessRefreshKind, ProcessesToUpdate, System};

/// Resources of the host, and how much of them is in use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Host {
    /// Memory that the kernel can use.
    pub(crate) memory_bytes: u64,
    /// Memory that programs can have without swapping.
    pub(crate) available_bytes: u64,
    /// Swap space.
    pub(crate) swap_bytes: u64,
    /// Swap space that is free.
    pub(crate) swap_free_bytes: u64,
    /// Processes that ran or waited for a CPU or a disk, on average over a minute.
    pub(crate) load1: f64,
}

impl Host {
    /// Looks.
    pub(crate) fn look() -> Self {
        let mut system = System::new();
        system.refresh_memory_specifics(MemoryRefreshKind::everything());
        Self {
            memory_bytes: system.total_memory(),
            available_bytes: system.available_memory(),
            swap_bytes: system.total_swap(),
            swap_free_bytes: system.free_swap(),
            load1: System::load_average().one,
        }
    }
}

/// Resource usage of one process, without its children.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProcessUsage {
    /// Resident memory, shared pages included.
    pub(crate) memory_bytes: u64,
    /// CPU time since its start.
    pub(crate) cpu: Duration,
}

/// Resource usage of each of these processes; `None` for a process that has ended.
pub(crate) fn processes<const N: usize>(pids: [i32; N]) -> [Option<ProcessUsage>; N] {
    let pids = pids.map(|pid| Pid::from_u32(pid.unsigned_abs()));
    let what = ProcessRefreshKind::nothing().with_memory().with_cpu();
    let mut system = System::new();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&pids), true, what.without_tasks());
    pids.map(|pid| {
        let process = system.process(pid)?;
        Some(ProcessUsage {
            memory_bytes: process.memory(),
            cpu: Duration::from_millis(process.accumulated_cpu_time()),
        })
    })
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_host_has_memory_and_some_of_it_is_free() {
        let host = Host::look();
        assert!(host.memory_bytes > 1 << 20, "{host:?}");
        assert!(
            (1..host.memory_bytes).contains(&host.available_bytes),
            "{host:?}"
        );
        assert!(
            host.swap_free_bytes <= host.swap_bytes && host.load1 >= 0.0,
            "{host:?}"
        );
    }

    #[test]
    fn this_process_burns_cpu_and_one_that_has_ended_uses_nothing() {
        let own = i32::try_from(std::process::id()).unwrap();
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let [it, ended] = processes([own, i32::MAX]);
            let it = it.unwrap();
            assert!(
                it.memory_bytes > 1 << 20 && ended.is_none(),
                "{it:?} {ended:?}"
            );
            if it.cpu > Duration::from_millis(50) {
                return;
            }
            assert!(Instant::now() < until, "{it:?}");
        }
    }

    #[test]
    fn a_look_keeps_no_descriptor() {
        let own = i32::try_from(std::process::id()).unwrap();
        let open = || proc::open_descriptors(own).unwrap();
        let before = open();
        let _used = processes([own, own]);
        assert_eq!(open(), before);
    }
}
