//! The victims of a strike, and how each is killed.

use std::{io, path::Path, time::Duration};

use nix::sys::signal::Signal;

use super::machine::Machine;
use crate::{
    ctl::Running,
    processes::{alive, kill, status_field},
    wait,
};

/// No wait for an operation or its recovery takes longer, on a busy machine.
pub(super) const LIMIT: Duration = Duration::from_secs(600);

/// A participant of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Victim {
    /// The `ctl` that has asked for the operation.
    Client,
    /// The job that performs the operation.
    Job,
    /// `PostgreSQL`'s first process.
    Postgres,
    /// The control process.
    Control,
    /// The keeper.
    Keeper,
    /// All participants at once.
    All,
}

impl Victim {
    /// All victims.
    pub const ALL: [Self; 6] = [
        Self::Client,
        Self::Job,
        Self::Postgres,
        Self::Control,
        Self::Keeper,
        Self::All,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Job => "job",
            Self::Postgres => "PostgreSQL",
            Self::Control => "control",
            Self::Keeper => "keeper",
            Self::All => "all at once",
        }
    }

    fn is(self, one: Self) -> bool {
        self == one || self == Self::All
    }
}

/// Waits until the job is held; returns its pid. `None`: the client has ended before that, or the
/// job does not reach the step in time.
pub(super) fn held(machine: &Machine, job: &str, client: &mut Running) -> Option<i32> {
    wait::within(LIMIT, || {
        let stopped = |pid: &i32| {
            let state = status_field(*pid, "State");
            state.is_some_and(|state| state.starts_with('T'))
        };
        let pid = machine.pid(job).filter(stopped);
        match (pid, client.has_ended()) {
            (Some(pid), _) => Some(Some(pid)),
            (None, true) => Some(None),
            (None, false) => None,
        }
    })?
}

/// Sends SIGKILL to the victim, and starts a killed keeper again, as an administrator's init would.
pub(super) fn strike(
    machine: &Machine,
    victim: Victim,
    job: i32,
    client: Running,
) -> io::Result<()> {
    let subject = &machine.subject;
    let postgres = machine.pid("postgresql");
    let control = subject.wait_control();
    let client = if victim.is(Victim::Client) {
        drop(client);
        None
    } else {
        Some(client)
    };
    if victim.is(Victim::Job) {
        kill(job, Signal::SIGKILL);
    }
    if let Some(pid) = postgres.filter(|_| victim.is(Victim::Postgres)) {
        kill(pid, Signal::SIGKILL);
    }
    match victim {
        Victim::Control => control
            .into_iter()
            .for_each(|pid| kill(pid, Signal::SIGKILL)),
        Victim::Keeper => {
            subject.kill_keeper(None);
            go_on(job, subject.root());
            // The control process stops all services and ends.
            let left = || subject.site.leftovers();
            let gone = wait::within(LIMIT, || left().is_empty().then_some(()));
            gone.ok_or_else(|| {
                io::Error::other(format!("left after the keeper's death: {:?}", left()))
            })?;
            subject.start();
        }
        Victim::All => {
            subject.kill_keeper(control);
            subject.start();
        }
        Victim::Client | Victim::Job | Victim::Postgres => {}
    }
    go_on(job, subject.root());
    // Nobody reads the answer of a client that was not killed: another test checks what the client
    // is told.
    if let Some(mut client) = client {
        let _ = wait::within(LIMIT, || client.has_ended().then_some(()));
    }
    Ok(())
}

/// Continues a held job that still lives.
fn go_on(job: i32, root: &Path) {
    if alive(job) && crate::processes::processes_of(root).contains(&job) {
        kill(job, Signal::SIGCONT);
    }
}
