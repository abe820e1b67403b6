//! One operation on one version of `PostgreSQL`, struck at each step: a row of the report.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use mattervisor_backup::Step;

use super::{
    Size,
    content::{self, State, be_restless, change},
    machine::Machine,
    strike::{LIMIT, Victim, held, strike},
};
use crate::{
    soak::{
        promise::Promise,
        report::{Findings, Row},
    },
    wait,
};

/// The operation under attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `ctl backup create`.
    Create,
    /// `ctl restore FILE`.
    Restore,
    /// `ctl restore --undo`.
    Undo,
}

impl Operation {
    /// All operations.
    pub const ALL: [Self; 3] = [Self::Create, Self::Restore, Self::Undo];

    /// The steps of the operation.
    #[must_use]
    pub const fn steps(self) -> &'static [Step] {
        match self {
            Self::Create => &Step::CREATE,
            Self::Restore => &Step::RESTORE,
            Self::Undo => &Step::UNDO,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Create => "backup",
            Self::Restore => "restore",
            Self::Undo => "undo",
        }
    }

    const fn job(self) -> &'static str {
        match self {
            Self::Create => "backup",
            Self::Restore | Self::Undo => "restore",
        }
    }
}

/// A backup, and the state that it holds.
struct Saved {
    file: String,
    state: State,
}

struct Campaign<'f> {
    machine: Machine,
    operation: Operation,
    saved: Saved,
    found: &'f Findings,
}

/// Strikes one operation: each of these victims at its step.
pub fn campaign(
    major: u32,
    bin: &Path,
    operation: Operation,
    strikes: &[(Step, Victim)],
    size: Size,
) -> Row {
    let begun = Instant::now();
    let found = Findings::default();
    let name = format!(
        "{}, PostgreSQL {major} ({} rows, {} files)",
        operation.name(),
        size.rows,
        size.files
    );
    let mut facts = Vec::new();
    match prepare(bin, operation, size, &found) {
        Ok(mut campaign) => campaign.run(strikes),
        Err(why) => facts.push(format!("given up before the first kill: {why}")),
    }
    if !facts.is_empty() {
        found.broken(Promise::BackInTime, 1, facts.join("; "));
    }
    Row::of_restores(name, begun.elapsed(), found, facts)
}

fn prepare<'f>(
    bin: &Path,
    operation: Operation,
    size: Size,
    found: &'f Findings,
) -> Result<Campaign<'f>, String> {
    let machine = Machine::start(bin)?;
    content::fill(&machine, size)?;
    // A file that cannot be saved is reported, and the rest is saved.
    let told = machine.ctl(&["backup", "create"]);
    if told.code != 1 || !told.stderr.contains("1 file could not be saved") {
        found.broken(
            Promise::AnswersTrue,
            1,
            format!("a file that is not saved: {}", told.both()),
        );
    }
    let remove = |path: &Path| fs::remove_file(path).map_err(|error| error.to_string());
    remove(&machine.data().join(content::LENT))?;
    for name in names(&machine) {
        remove(&machine.backups().join(name))?;
    }
    let state = State::of(&machine)?;
    let made = machine.ctl(&["backup", "create", "--verify"]);
    let file = made.stdout.trim().strip_prefix("made ");
    let file = file.ok_or_else(|| made.both())?.to_owned();
    let campaign = Campaign {
        machine,
        operation,
        saved: Saved { file, state },
        found,
    };
    if operation == Operation::Undo {
        change(&campaign.machine, "undone")?;
        campaign.again(&["restore", &campaign.saved.file.clone(), "--yes"])?;
    }
    Ok(campaign)
}

/// Names of the backups, hidden files left out.
fn names(machine: &Machine) -> Vec<String> {
    let entries = fs::read_dir(machine.backups())
        .into_iter()
        .flatten()
        .flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| !name.starts_with('.')).collect()
}

impl Campaign<'_> {
    fn run(&mut self, strikes: &[(Step, Victim)]) {
        for (number, (step, victim)) in strikes.iter().enumerate() {
            eprintln!(
                "soak: {}: SIGKILL {} at {}",
                self.operation.name(),
                victim.name(),
                step.words()
            );
            self.found.moved(victim.name());
            let context = format!("{} at {}", victim.name(), step.words());
            let enough = AtomicBool::new(false);
            let data = self.machine.data();
            let done = std::thread::scope(|scope| {
                scope.spawn(|| be_restless(&data, &enough));
                let done = self.one(number, *step, *victim, &context);
                enough.store(true, Ordering::SeqCst);
                done
            });
            if let Err(why) = done {
                self.found
                    .broken(Promise::BackInTime, 1, format!("{context}: {why}"));
                return;
            }
        }
    }

    /// # Errors
    /// Why the campaign cannot go on.
    fn one(
        &mut self,
        number: usize,
        step: Step,
        victim: Victim,
        context: &str,
    ) -> Result<(), String> {
        if self.operation == Operation::Restore {
            change(&self.machine, &format!("try {number}"))?;
        }
        let before = State::of(&self.machine)?;
        let wanted = self.wanted(&before)?;
        let file = self.saved.file.clone();
        let arguments: &[&str] = match self.operation {
            Operation::Create => &["backup", "create", "--offline", "--verify"],
            Operation::Restore => &["restore", &file, "--yes"],
            Operation::Undo => &["restore", "--undo", "--yes"],
        };
        let job = self.operation.job();
        self.machine
            .hold(job, step.words())
            .map_err(|error| error.to_string())?;
        let mut client = self.machine.client(arguments);
        let Some(pid) = held(&self.machine, job, &mut client) else {
            let said = client.finish_within(LIMIT).both();
            return Err(format!("the step was not reached: {said}"));
        };
        let begun = Instant::now();
        strike(&self.machine, victim, pid, client).map_err(|error| error.to_string())?;
        self.machine.wait_settled()?;
        self.found.returned(begun.elapsed());
        eprintln!(
            "soak: all runs again after {:.1} s",
            begun.elapsed().as_secs_f64()
        );
        let now = State::of(&self.machine)?;
        if now != before && now != wanted {
            let words = format!(
                "{context}: from before: {}; as asked: {}",
                now.unlike(&before),
                now.unlike(&wanted)
            );
            self.found.broken(Promise::Whole, 1, words);
        }
        if self.operation != Operation::Undo || now == before {
            self.again(arguments)?;
            let now = State::of(&self.machine)?;
            if now != wanted {
                self.found.broken(
                    Promise::NextTry,
                    1,
                    format!("{context}: {}", now.unlike(&wanted)),
                );
            }
        }
        self.look_around(context)
    }

    /// The state that the operation is to bring.
    fn wanted(&self, before: &State) -> Result<State, String> {
        match self.operation {
            Operation::Create => Ok(before.clone()),
            Operation::Restore => Ok(self.saved.state.clone()),
            Operation::Undo => {
                // A second undo takes the first back: neither is killed.
                self.again(&["restore", "--undo", "--yes"])?;
                let other = State::of(&self.machine);
                self.again(&["restore", "--undo", "--yes"])?;
                other
            }
        }
    }

    /// Runs `ctl` without a kill: the command works, whatever happened before.
    fn again(&self, arguments: &[&str]) -> Result<(), String> {
        let done = self.machine.ctl(arguments);
        if done.code != 0 {
            self.found.broken(
                Promise::NextTry,
                1,
                format!("{arguments:?}: {}", done.both()),
            );
        }
        self.machine.wait_settled()
    }

    /// Looks for leftovers, and verifies every file with a backup's name.
    fn look_around(&self, context: &str) -> Result<(), String> {
        let mut left = Vec::new();
        // A process that was about to clean up may take a moment.
        let _ = wait::within(crate::LIMIT, || {
            left = self.machine.left().unwrap_or_else(|error| vec![error]);
            left.is_empty().then_some(())
        });
        if !left.is_empty() {
            self.found
                .broken(Promise::Tidy, 1, format!("{context}: {}", left.join(", ")));
        }
        if self.operation != Operation::Create {
            return Ok(());
        }
        for name in names(&self.machine) {
            let path = self.machine.backups().join(&name);
            let text = path.display().to_string();
            let verified = self.machine.ctl(&["backup", "verify", &text]);
            if verified.code != 0 {
                self.found.broken(
                    Promise::Whole,
                    1,
                    format!("{context}: {name}: {}", verified.both()),
                );
            }
            if text != self.saved.file {
                fs::remove_file(&path).map_err(|error| error.to_string())?;
            }
        }
        Ok(())
    }
}
