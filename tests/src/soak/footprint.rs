//! What a process holds: descriptors and memory. Two looks at the same state say whether it grows.

use std::fs;

use crate::processes::status_field;

/// Descriptors more than at the first look.
const FDS_MORE: u64 = 8;
/// Resident memory more than at the first look, of the keeper, which stays.
const KEEPER_MORE_KB: u64 = 4 << 10;
/// The same of a control process. The first and the last are not the same one, nor of the same age.
const CONTROL_MORE_KB: u64 = 8 << 10;

/// Of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Footprint {
    fds: u64,
    resident_kb: u64,
}

/// Whose footprint it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    Keeper,
    Control,
}

impl Footprint {
    /// `None`: the process is gone.
    pub(super) fn of(pid: i32) -> Option<Self> {
        let fds = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count();
        let resident = status_field(pid, "VmRSS")?;
        Some(Self {
            fds: fds as u64,
            resident_kb: resident.split(' ').next()?.parse().ok()?,
        })
    }

    /// It has grown since, beyond what comes and goes.
    pub(super) const fn has_grown(self, since: Self, whose: Whose) -> bool {
        let more_kb = match whose {
            Whose::Keeper => KEEPER_MORE_KB,
            Whose::Control => CONTROL_MORE_KB,
        };
        self.fds > since.fds + FDS_MORE || self.resident_kb > since.resident_kb + more_kb
    }

    /// From the first look to this one, for people.
    pub(super) fn words(self, since: Self, whose: Whose) -> String {
        let whose = match whose {
            Whose::Keeper => "keeper",
            Whose::Control => "control",
        };
        format!(
            "{whose} fds {} -> {}, rss {:.1} -> {:.1} MB",
            since.fds,
            self.fds,
            mb(since.resident_kb),
            mb(self.resident_kb)
        )
    }
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn mb(kb: u64) -> f64 {
    kb as f64 / 1024.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_more_than_what_comes_and_goes() {
        let first = Footprint {
            fds: 10,
            resident_kb: 5000,
        };
        let of = |fds, resident_kb| Footprint { fds, resident_kb };
        assert!(!of(18, 9000).has_grown(first, Whose::Keeper));
        assert!(of(19, 5000).has_grown(first, Whose::Keeper));
        assert!(of(10, 9100).has_grown(first, Whose::Keeper));
        assert!(!of(10, 9100).has_grown(first, Whose::Control));
    }
}
