//! Checks while no client operates: between the moves of a campaign, and at its end.

use std::{collections::BTreeMap, time::Duration};

use api::StatusReply;
use nix::sys::signal::Signal;

use super::{
    clients::Gate,
    footprint::{Footprint, Whose},
    promise::Promise,
    report::Findings,
    services::{STRAY, Services},
    subject::{LIMIT, Subject},
    watch::{self, Process},
};
use crate::{
    processes::{children, kill, status_field},
    wait,
};

/// A process that nobody can attribute must be named within this time.
const NAMED_WITHIN: Duration = Duration::from_secs(5);

/// The checks of one campaign, with the earlier findings that they compare with.
pub(super) struct Checks<'a> {
    subject: &'a Subject,
    services: &'a Services,
    found: &'a Findings,
    gate: &'a Gate,
    /// Pids of untouched services, and the keeper's epoch in which they were seen.
    baseline: (u64, BTreeMap<String, i32>),
    /// Keeper and control process at the first look, with every service up.
    footprints: Option<[Footprint; 2]>,
    strays_named: u64,
    strays_gone: u64,
}

impl<'a> Checks<'a> {
    pub(super) fn new(
        (subject, services, found): (&'a Subject, &'a Services, &'a Findings),
        gate: &'a Gate,
    ) -> Self {
        Self {
            subject,
            services,
            found,
            gate,
            baseline: (0, BTreeMap::new()),
            footprints: None,
            strays_named: 0,
            strays_gone: 0,
        }
    }

    /// Makes all checks that need a running daemon. An error says that a service did not come back
    /// in time.
    pub(super) fn checkpoint(&mut self) -> Result<(), String> {
        let gate = self.gate;
        let _alone = gate.alone();
        let steady = self.services.steady();
        let status = self
            .subject
            .wait_for(&steady, |it| it.held.is_some() || it.ready)?;
        self.pids(&status);
        self.holds(&status);
        self.zombies();
        if self.services.strays {
            self.strays();
        }
        Ok(())
    }

    fn pids(&mut self, status: &StatusReply) {
        let services = status.services.iter();
        let untouched = services.filter(|it| self.services.untouched.contains(&it.name));
        let now: BTreeMap<String, i32> = untouched
            .filter_map(|it| Some((it.name.clone(), it.pid?)))
            .collect();
        let epoch = self.subject.epoch();
        if self.baseline.0 == epoch {
            for (name, pid) in &self.baseline.1 {
                let new = now.get(name);
                if new != Some(pid) {
                    let found = status.services.iter().find(|it| it.name == *name);
                    let exit = found.and_then(|it| it.last_exit.as_ref());
                    let why = exit.map_or("", |exit| exit.reason.as_str());
                    let detail = format!("{name}: {pid} became {new:?}: {why}");
                    self.found.broken(Promise::PidsKept, 1, detail);
                }
            }
        }
        self.baseline = (epoch, now);
    }

    fn holds(&self, status: &StatusReply) {
        let known = self.gate.held();
        for service in &status.services {
            let held = service.held.is_some();
            if known.get(&service.name).is_some_and(|known| *known != held) {
                let detail = format!("{}: held is {held}", service.name);
                self.found.broken(Promise::HoldsKept, 1, detail);
            }
        }
    }

    fn zombies(&self) {
        let keeper = self.subject.keeper_pid();
        let zombies = || {
            let children = children(keeper).into_iter();
            let is_zombie =
                |pid: &i32| status_field(*pid, "State").is_some_and(|it| it.starts_with('Z'));
            children.filter(is_zombie).collect::<Vec<i32>>()
        };
        // A child that has just ended may not be reaped yet: only a zombie that stays counts.
        let first = zombies();
        let stay = || {
            let now = zombies();
            let stay = first.iter().any(|pid| now.contains(pid));
            (!stay).then_some(())
        };
        if wait::within(LIMIT, stay).is_none() {
            let detail = format!("children of the keeper: {first:?}");
            self.found
                .broken(Promise::Reaped, first.len() as u64, detail);
        }
    }

    /// Restarts the service that leaves strays. Each stray of the old run must be named in the
    /// supervisor's output or in a warning, or be gone.
    fn strays(&mut self) {
        let old = watch::processes(self.subject.root()).into_iter();
        let old: Vec<Process> = old.filter(Process::is_stray).collect();
        let said = self.subject.said().len();
        if !self.subject.ctl(&["restart", STRAY]).done() {
            return;
        }
        for stray in old {
            let named = || {
                let new = self.subject.said().get(said..).unwrap_or("").to_owned();
                let warnings = || self.subject.status().map(|it| it.supervisor.warnings);
                let words = new + &warnings().unwrap_or_default().join("\n");
                (names(&words, stray.pid) || !stray.lives()).then_some(())
            };
            let settled = wait::within(NAMED_WITHIN, named).is_some();
            if !stray.lives() {
                self.strays_gone += 1;
            } else if settled {
                self.strays_named += 1;
            } else {
                let detail = format!("pid {} is named nowhere after {NAMED_WITHIN:?}", stray.pid);
                self.found.broken(Promise::StraysNamed, 1, detail);
            }
            if stray.lives() {
                kill(stray.pid, Signal::SIGKILL);
            }
        }
    }

    /// Looks at keeper and control process with every service up, and compares with the first look.
    pub(super) fn footprint(&mut self) -> Option<String> {
        let gate = self.gate;
        let _alone = gate.alone();
        for name in self.services.operated.iter().flatten() {
            if self.subject.ctl(&["start", name]).done() {
                self.gate.held().insert(name.clone(), false);
            }
        }
        // A control process that has loaded the files holds more memory than a process that was
        // handed the plan: all looks follow a reconfiguration.
        self.subject.ctl(&["reconfigure"]);
        let all = self.services.steady();
        self.subject.wait_for(&all, |it| it.ready).ok()?;
        let control = self.subject.wait_control()?;
        let keeper = Footprint::of(self.subject.keeper_pid())?;
        let now = [keeper, Footprint::of(control)?];
        let Some(first) = self.footprints else {
            self.footprints = Some(now);
            return None;
        };
        let mut words = Vec::new();
        for (index, whose) in [Whose::Keeper, Whose::Control].into_iter().enumerate() {
            let text = now[index].words(first[index], whose);
            if now[index].has_grown(first[index], whose) {
                self.found.broken(Promise::Flat, 1, text.clone());
            }
            words.push(text);
        }
        Some(words.join(", "))
    }

    /// How many strays were named and how many were gone, for people.
    pub(super) fn strays_words(&self) -> Option<String> {
        let (named, gone) = (self.strays_named, self.strays_gone);
        (self.services.strays).then(|| format!("strays named {named}, found and gone {gone}"))
    }
}

/// Whether a pid stands in a text as a word of its own.
fn names(text: &str, pid: i32) -> bool {
    let digits = pid.to_string();
    text.match_indices(&digits).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + digits.len()..].chars().next();
        let is_part = |it: Option<char>| it.is_some_and(|it| it.is_alphanumeric() || it == '.');
        // A full stop may follow at the end of a sentence.
        !is_part(before) && !after.is_some_and(char::is_alphanumeric)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_is_named_by_a_word_of_its_own() {
        for text in ["pid 123", "(pid 123).", "123: sleep", "pids 7,123", "[123]"] {
            assert!(names(text, 123), "{text}");
        }
        for text in ["pid 1234", "0.123Z", "0123", "x123", ""] {
            assert!(!names(text, 123), "{text}");
        }
    }
}
