//! One attack on one site, from the start of the daemon to its end: a row of the report.

use std::{
    fs,
    time::{Duration, Instant},
};

use super::{
    checks::Checks,
    clients::{Client, Gate},
    dice::Dice,
    disk::Disk,
    logs::{self, Account},
    moves::{Abandoned, FAULTS, Move, Mover},
    promise::Promise,
    report::{Findings, Row},
    services::{Scale, Services},
    subject::Subject,
    watch,
};
use crate::{files, site::Site};

/// The moves against the daemon, and how many of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attack {
    /// SIGKILL for the control process.
    KillControl(u32),
    /// SIGKILL for the keeper; half of the next starts wait for the end of control.
    KillKeeper(u32),
    /// SIGKILL for both.
    KillBoth(u32),
    /// SIGSTOP, full disks and removals of the run directory, in turn.
    Faults(u32),
    /// All moves at random, for this long.
    Mixed(Duration),
}

impl Attack {
    fn name(self) -> &'static str {
        match self {
            Self::KillControl(_) => "SIGKILL control",
            Self::KillKeeper(_) => "SIGKILL keeper",
            Self::KillBoth(_) => "SIGKILL both",
            Self::Faults(_) => "SIGSTOP, full disk, run directory removed",
            Self::Mixed(_) => "everything at random",
        }
    }

    /// Moves between two checkpoints.
    const fn stride(self) -> u32 {
        match self {
            Self::KillControl(_) | Self::Mixed(_) => 20,
            Self::KillKeeper(_) | Self::KillBoth(_) => 5,
            Self::Faults(_) => 1,
        }
    }

    /// The move of this number; `None` when the attack is over.
    fn pick(self, number: u32, since: Instant, dice: &mut Dice, with_disk: bool) -> Option<Move> {
        let of = |count, which| (number < count).then_some(which);
        match self {
            Self::KillControl(count) => of(count, Move::KillControl),
            Self::KillKeeper(count) => of(count, Move::KillKeeper),
            Self::KillBoth(count) => of(count, Move::KillBoth),
            Self::Faults(count) => of(count, FAULTS[number as usize % FAULTS.len()]),
            Self::Mixed(time) => (since.elapsed() < time).then(|| Move::throw(dice, with_disk)),
        }
    }

    const fn wants_disk(self) -> bool {
        matches!(self, Self::Faults(_) | Self::Mixed(_))
    }
}

/// The variable that makes the keeper run services without cgroups.
const NO_CGROUP: (&str, &str) = ("MATTERVISOR_NO_CGROUP", "1");
/// Makes the keeper compress files soon, so that compression happens during the attack.
const COMPRESS_SOON: (&str, &str) = ("MATTERVISOR_COMPRESS_DELAY_MS", "200");

/// Makes one attack on a site of its own.
pub fn campaign(attack: Attack, cgroups: bool, scale: Scale, seed: u64) -> Row {
    let begun = Instant::now();
    let mut site = Site::new();
    site.env(COMPRESS_SOON.0, COMPRESS_SOON.1);
    if !cgroups {
        site.env(NO_CGROUP.0, NO_CGROUP.1);
    }
    let services = Services::write(&site, scale, cgroups);
    let with = if cgroups { "cgroups" } else { "no cgroups" };
    let (count, clients) = (services.all().len(), scale.clients);
    let name = format!(
        "{} ({with}; {count} services, {clients} clients)",
        attack.name()
    );
    let found = Findings::default();
    let mut facts = Vec::new();
    // The last value is dropped first: the disk goes before the directory in which it is mounted.
    let subject = Subject::new(site);
    let disk = attack
        .wants_disk()
        .then(|| Disk::mount(&subject.site.path("var")));
    if let Some(Err(error)) = &disk {
        facts.push(format!("no full disk: cannot mount one: {error}"));
    }
    let disk = disk.and_then(Result::ok);
    subject.start();
    let untouched: Vec<&str> = services.untouched.iter().map(String::as_str).collect();
    if let Err(why) = subject.wait_for(&untouched, |it| it.ready) {
        found.broken(
            Promise::BackInTime,
            1,
            format!(
                "it does not start: {why}; last said: {}",
                subject.last_said()
            ),
        );
        return Row::new(name, begun.elapsed(), found, facts);
    }
    if cgroups && !is_in_group(&subject, untouched[0]) {
        return Row::skipped(
            name,
            "no cgroup can be made here: needs root, and cgroup v2".to_owned(),
        );
    }
    let gate = Gate::default();
    let mut mover = Mover {
        subject: &subject,
        services: &services,
        found: &found,
        gate: &gate,
        disk: disk.as_ref(),
        dice: Dice::new(seed),
    };
    let done = attack_it(attack, &mut mover, &mut facts);
    end(&mover, &done, &mut facts);
    Row::new(name, begun.elapsed(), found, facts)
}

/// Whether a service runs in a cgroup of the daemon.
fn is_in_group(subject: &Subject, service: &str) -> bool {
    let Some(main) = watch::main_of(subject.root(), service) else {
        return false;
    };
    let groups = fs::read_to_string(format!("/proc/{}/cgroup", main.pid));
    groups.is_ok_and(|it| it.contains("/mattervisor-"))
}

/// Closes the gate even after a panic, so that the scope does not wait for its threads forever.
struct Closing<'a>(&'a Gate);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Runs the clients and the watch in threads while making the moves.
fn attack_it(
    attack: Attack,
    mover: &mut Mover<'_>,
    facts: &mut Vec<String>,
) -> Result<(), Abandoned> {
    let parts = (mover.subject, mover.services, mover.found);
    let gate = mover.gate;
    std::thread::scope(|scope| {
        let closing = Closing(gate);
        scope.spawn(|| watch::watch(parts.0.root(), parts.2, || gate.is_closed()));
        for names in &parts.1.operated {
            let client = Client::new(parts, gate, mover.dice.split(), names);
            scope.spawn(|| client.run());
        }
        let mut checks = Checks::new(parts, gate);
        let done = moves(attack, mover, &mut checks, facts);
        facts.extend(checks.strays_words());
        drop(closing);
        done
    })
}

fn moves(
    attack: Attack,
    mover: &mut Mover<'_>,
    checks: &mut Checks<'_>,
    facts: &mut Vec<String>,
) -> Result<(), Abandoned> {
    let begun = Instant::now();
    mover.check(checks)?;
    checks.footprint();
    let mut dice = mover.dice.split();
    let mut number = 0;
    while let Some(which) = attack.pick(number, begun, &mut dice, mover.disk.is_some()) {
        number += 1;
        mover.make(which)?;
        if number % attack.stride() == 0 {
            mover.check(checks)?;
        }
    }
    mover.check(checks)?;
    facts.extend(checks.footprint());
    Ok(())
}

/// Sends SIGTERM, and checks what must hold after the daemon's end.
fn end(mover: &Mover<'_>, done: &Result<(), Abandoned>, facts: &mut Vec<String>) {
    let (subject, found) = (mover.subject, mover.found);
    for line in files::lines(&subject.site.path("violations")) {
        found.broken(Promise::OneOfEach, 1, line);
    }
    for line in subject.said().lines().filter(|it| it.contains("panicked")) {
        found.broken(Promise::NoPanic, 1, line);
    }
    if done.is_err() {
        facts.push("given up: its end and its logs were not looked at".to_owned());
        return;
    }
    let code = subject.stop();
    if code != Some(0) {
        found.broken(
            Promise::CleanEnd,
            1,
            format!("exit code {code:?} after SIGTERM"),
        );
    }
    mover.expect_nothing_left("after SIGTERM");
    mover.end_strays();
    let mut sum = Account::default();
    for service in mover.services.all() {
        let log_dir = subject.site.log_dir(&service);
        sum.add(logs::account(subject.root(), &log_dir, &service, found));
    }
    let Account {
        written,
        missing,
        marks,
        counted,
        ..
    } = sum;
    facts.insert(
        0,
        format!("lines {written}, missing at marks {missing} ({marks} marks; counted by others {counted})"),
    );
}
