//! Descriptors and memory of a process. Two looks at the same state say whether they grow.

use std::fs;

use crate::processes::status_field;

/// Descriptors that a process may hold beyond its first look.
const FDS_MORE: u64 = 8;
/// Memory of its own that the keeper, which stays, may hold beyond its first look.
const KEEPER_MORE_KB: u64 = 4 << 10;
/// Memory of its own that a control process may hold beyond the first look, which was at another
/// process of another age.
const CONTROL_MORE_KB: u64 = 8 << 10;

/// Descriptors and resident memory of one process.
///
/// The memory is the process's own, without pages of its program's file: the kernel shares those
/// and can drop them at any time, as the processes themselves do after a burst, so their count
/// says only how long ago that was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Footprint {
    fds: u64,
    own_kb: u64,
}

/// The process whose footprint it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    Keeper,
    Control,
}

impl Footprint {
    /// Reads the footprint of a process; `None` if the process is gone.
    pub(super) fn of(pid: i32) -> Option<Self> {
        let fds = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count();
        let own = status_field(pid, "RssAnon")?;
        Some(Self {
            fds: fds as u64,
            own_kb: own.split(' ').next()?.parse().ok()?,
        })
    }

    /// Whether the process has grown beyond normal variation.
    pub(super) const fn has_grown(self, since: Self, whose: Whose) -> bool {
        let more_kb = match whose {
            Whose::Keeper => KEEPER_MORE_KB,
            Whose::Control => CONTROL_MORE_KB,
        };
        self.fds > since.fds + FDS_MORE || self.own_kb > since.own_kb + more_kb
    }

    /// Values at the first look and at this look, for people.
    pub(super) fn words(self, since: Self, whose: Whose) -> String {
        let whose = match whose {
            Whose::Keeper => "keeper",
            Whose::Control => "control",
        };
        format!(
            "{whose} fds {} -> {}, own memory {:.1} -> {:.1} MB",
            since.fds,
            self.fds,
            mb(since.own_kb),
            mb(self.own_kb)
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
            own_kb: 5000,
        };
        let of = |fds, own_kb| Footprint { fds, own_kb };
        assert!(!of(18, 9000).has_grown(first, Whose::Keeper));
        assert!(of(19, 5000).has_grown(first, Whose::Keeper));
        assert!(of(10, 9100).has_grown(first, Whose::Keeper));
        assert!(!of(10, 9100).has_grown(first, Whose::Control));
    }
}
