//! Disks that fill up, and services whose program file has been replaced while they run.
//!
//! Runs only while a target wants such alerts: soon after a service has started, and every
//! [`EVERY_MS`]. A job does the check, since a network file system can hang; one check at a time.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use engine::{Moment, ServiceId};
use nix::sys::statvfs::{Statvfs, statvfs};
use plan::NotifyOn;

use crate::control::{Context, Purpose, Task};

/// Time between two checks when nothing happens.
const EVERY_MS: u64 = 5 * 60_000;
/// Least pause after a check, whatever happens.
const PAUSE_MS: u64 = 5_000;
/// Less free space than this is reported, in percent.
const LOW_PERCENT: u64 = 10;
/// More free space than this is enough again.
const ENOUGH_PERCENT: u64 = 12;

/// The last check of disks and programs, and when to check again.
#[derive(Debug, Default)]
pub(in crate::control) struct HostChecks {
    due: Option<Moment>,
    last: Option<Moment>,
    looking: bool,
    /// Disks that were reported, by device.
    low: BTreeSet<u64>,
    /// Processes that were reported, by service.
    replaced: BTreeMap<ServiceId, i32>,
}

/// Disks and programs to check.
#[derive(Debug)]
pub(crate) struct HostLook {
    /// Directories whose disks count, the most important first.
    pub(crate) paths: Vec<PathBuf>,
    /// Main processes of services.
    pub(crate) mains: Vec<(ServiceId, i32)>,
}

/// The result of a check of disks and programs.
#[derive(Debug, Default)]
pub(crate) struct HostSeen {
    /// Each disk once.
    pub(crate) disks: Vec<Disk>,
    /// Services whose main process runs a program that is no longer at its place.
    pub(crate) replaced: Vec<(ServiceId, i32, String)>,
}

/// One file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Disk {
    /// Device number, which identifies the file system.
    pub(crate) device: u64,
    /// The first of the directories on it.
    pub(crate) path: PathBuf,
    /// Bytes free for us, and bytes in all.
    pub(crate) bytes: (u64, u64),
    /// Free files and all of them; zero where they are not counted.
    pub(crate) files: (u64, u64),
}

impl Disk {
    fn percent((free, all): (u64, u64)) -> u64 {
        if all == 0 {
            return 100;
        }
        u64::try_from(u128::from(free) * 100 / u128::from(all)).unwrap_or(100)
    }

    /// The free percentage of bytes or files, whichever is scarcer.
    fn free_percent(&self) -> u64 {
        Self::percent(self.bytes).min(Self::percent(self.files))
    }

    fn sentence(&self) -> String {
        let path = self.path.display();
        if Self::percent(self.files) < Self::percent(self.bytes) {
            let (free, all) = self.files;
            let percent = Self::percent(self.files);
            return format!(
                "the disk of {path} can hold few more files: {free} of {all} inodes are free \
                 ({percent} %)"
            );
        }
        let (free, all) = self.bytes;
        let percent = Self::percent(self.bytes);
        format!(
            "the disk of {path} is nearly full: {} of {} are free ({percent} %)",
            text::size(free),
            text::size(all)
        )
    }
}

impl HostChecks {
    pub(in crate::control) fn poll_timeout(&self) -> Option<Moment> {
        self.due.filter(|_| !self.looking)
    }

    /// Begins checks once a target wants their alerts, and ends them when none does.
    pub(in crate::control) fn follow_plan(&mut self, cx: &Context) {
        let wanted = cx.is_wanted_by_anybody(NotifyOn::Disk)
            || cx.is_wanted_by_anybody(NotifyOn::DeletedBinary);
        if !wanted {
            self.due = None;
        } else if self.due.is_none() {
            self.due = Some(cx.now.moment);
        }
    }

    /// Checks soon after a service has started, since the start may have changed something.
    pub(in crate::control) fn on_run_started(&mut self, cx: &Context) {
        let pause_ends = self.last.map_or(Moment(0), |at| at.after(PAUSE_MS));
        let soon = pause_ends.max(cx.now.moment);
        if let Some(due) = &mut self.due {
            *due = soon.min(*due);
        }
    }

    pub(in crate::control) fn timeout(&mut self, cx: &mut Context) {
        if self.poll_timeout().is_none_or(|due| due > cx.now.moment) {
            return;
        }
        self.looking = true;
        self.last = Some(cx.now.moment);
        self.due = Some(cx.now.moment.after(EVERY_MS));
        let paths = &cx.plan.paths;
        let own = [&paths.state_dir, &paths.log_dir, &paths.run_dir];
        let enabled = cx.plan.services.values().filter(|it| it.enabled);
        let theirs = enabled.flat_map(|it| it.directories.iter().map(|it| &it.path));
        let paths = own.into_iter().chain(theirs).cloned().collect();
        let mains = cx.runs().values().filter(|it| it.purpose == Purpose::Main);
        let mains = mains.filter_map(|it| Some((it.service?, it.pid?)));
        let mains = mains.collect();
        cx.queue_task(Task::CheckHost(HostLook { paths, mains }));
    }

    pub(in crate::control) fn on_seen(&mut self, cx: &mut Context, seen: HostSeen) {
        self.looking = false;
        for disk in seen.disks {
            let free = disk.free_percent();
            if free > ENOUGH_PERCENT && self.low.remove(&disk.device) {
                let path = disk.path.display();
                cx.publish(
                    "",
                    api::EventKind::Disk,
                    &format!("the disk of {path} has room again"),
                    None,
                );
            }
            if free < LOW_PERCENT && self.low.insert(disk.device) {
                let text = disk.sentence();
                tracing::warn!("{text}");
                cx.publish("", api::EventKind::Disk, &text, None);
                cx.alert("", NotifyOn::Disk, text);
            }
        }
        for (id, pid, program) in seen.replaced {
            if self.replaced.insert(id, pid) == Some(pid) {
                continue;
            }
            let service = cx.name(id).to_owned();
            let text = format!(
                "{service} (pid {pid}) runs a program that has been replaced or deleted: \
                 {program}; to run the new one: ctl restart {service}"
            );
            cx.publish(&service, api::EventKind::DeletedBinary, &program, None);
            cx.alert(&service, NotifyOn::DeletedBinary, text);
        }
    }
}

/// Does the check. Leaves out what cannot be read: it may not exist yet, or not be accessible.
pub(in crate::control) fn look(watch: &HostLook) -> HostSeen {
    let mut disks: BTreeMap<u64, Disk> = BTreeMap::new();
    for path in &watch.paths {
        let Ok(metadata) = fs::metadata(path) else {
            continue;
        };
        let device = metadata.dev();
        if !disks.contains_key(&device)
            && let Ok(numbers) = statvfs(path)
        {
            disks.insert(device, disk(device, path, &numbers));
        }
    }
    let replaced = watch.mains.iter().filter_map(|(service, pid)| {
        let program = proc::program(*pid).ok().filter(|it| it.deleted)?;
        Some((*service, *pid, program.path.display().to_string()))
    });
    HostSeen {
        replaced: replaced.collect(),
        disks: disks.into_values().collect(),
    }
}

fn disk(device: u64, path: &Path, numbers: &Statvfs) -> Disk {
    let block = numbers.fragment_size();
    // As df counts: space reserved for root is neither used nor free.
    let used = numbers.blocks().saturating_sub(numbers.blocks_free());
    let free = numbers.blocks_available();
    Disk {
        device,
        path: path.to_owned(),
        bytes: (
            free.saturating_mul(block),
            used.saturating_add(free).saturating_mul(block),
        ),
        files: (numbers.files_available(), numbers.files()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(bytes: (u64, u64), files: (u64, u64)) -> Disk {
        Disk {
            device: 1,
            path: "/var/lib".into(),
            bytes,
            files,
        }
    }

    #[test]
    fn what_is_scarcer_counts_and_is_named() {
        let full = example((7 << 30, 100 << 30), (90, 100));
        assert_eq!(full.free_percent(), 7);
        assert_eq!(
            full.sentence(),
            "the disk of /var/lib is nearly full: 7.5 GB of 107.3 GB are free (7 %)"
        );
        let files = example((50, 100), (3, 100));
        assert_eq!(files.free_percent(), 3);
        assert!(files.sentence().contains("3 of 100 inodes are free (3 %)"));
        assert_eq!(example((0, 0), (0, 0)).free_percent(), 100);
    }

    #[test]
    fn our_own_program_is_in_its_place_and_the_root_has_a_disk() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let seen = look(&HostLook {
            paths: vec!["/".into(), "/no/such/place".into(), "/".into()],
            mains: vec![(ServiceId(0), pid), (ServiceId(1), i32::MAX)],
        });
        assert_eq!(seen.disks.len(), 1);
        assert!(seen.disks[0].bytes.1 > 0);
        assert!(seen.replaced.is_empty(), "{:?}", seen.replaced);
    }
}
