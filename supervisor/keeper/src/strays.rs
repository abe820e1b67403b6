//! Children of the keeper that belong to no run that it knows of: a daemon of a service that has left
//! cgroup, session, group and log pipe and emptied its environment; in a container also an orphan of
//! whoever has entered it. They are never killed, for whose they are cannot be told; they are named, in the
//! daemon's log and to the control process.
//!
//! Limits: looked for whenever a run has been swept, and forgotten when reaped; so many are named.

use std::collections::BTreeMap;

use crate::{
    clock,
    control::Control,
    keeper::Keeper,
    message::{Notice, Stray},
    proc::{self, Family, Stat},
    say::say,
    sweep,
};

/// More are not named.
const STRAYS_MAX: usize = 64;

impl Keeper {
    /// Something was swept: is there a child left that nobody knows?
    pub(crate) fn look_for_strays(&mut self) {
        let own = i32::try_from(std::process::id()).unwrap_or(0);
        let before: Vec<i32> = self.strays.keys().copied().collect();
        let mut strays = BTreeMap::new();
        for pid in Family::look().children(own) {
            if strays.len() == STRAYS_MAX || self.is_ours(pid) {
                continue;
            }
            let Some(stat) = proc::stat(pid).filter(|stat| stat.state != b'Z') else {
                continue;
            };
            if self.belongs_to_a_run(pid, &stat) {
                continue;
            }
            let stray = self.strays.remove(&pid).unwrap_or_else(|| {
                let name = proc::name(pid);
                say!("pid {pid} ({name}) belongs to no service that can be told; leaves it alone");
                Stray {
                    pid,
                    command: name,
                    started_unix_ms: clock::unix_ms_of_ticks(stat.start),
                }
            });
            strays.insert(pid, stray);
        }
        self.strays = strays;
        if !self.strays.keys().eq(&before) {
            self.notice_strays();
        }
    }

    /// A child that was nobody's has been reaped.
    pub(crate) fn stray_ended(&mut self, pid: i32) {
        if self.strays.remove(&pid).is_some() {
            self.notice_strays();
        }
    }

    /// Names them, if there are any.
    pub(crate) fn tell_strays(&mut self) {
        if !self.strays.is_empty() {
            self.notice_strays();
        }
    }

    fn notice_strays(&mut self) {
        let strays = self.strays.values().cloned().collect();
        self.notice(&Notice::Strays { strays }, Vec::new());
    }

    /// A main process, a control process (one on its way out too) or a job of the keeper's own.
    pub(crate) fn is_ours(&self, pid: i32) -> bool {
        let Control {
            successor, retired, ..
        } = &self.control;
        self.by_pid.contains_key(&pid)
            || self.control.pid == Some(pid)
            || successor.as_ref().is_some_and(|it| it.pid == pid)
            || retired.iter().any(|it| it.pid == pid)
            || self.compressor.is(pid)
    }

    /// A daemon of a service that lives, or of one that is being swept.
    fn belongs_to_a_run(&self, pid: i32, stat: &Stat) -> bool {
        let of_group = || {
            let mut services = self.services.values();
            services.any(|it| it.group.as_ref().is_some_and(|group| group.holds(pid)))
        };
        let runs = self.runs.values().filter(|run| !run.swept);
        of_group()
            || runs.into_iter().any(|run| {
                let group = self.group_of(run);
                group.is_some_and(|group| group.holds(pid))
                    || sweep::belongs(run, pid, stat)
                    || proc::has_variable(pid, stat, &sweep::cookie(run.id))
            })
    }
}
