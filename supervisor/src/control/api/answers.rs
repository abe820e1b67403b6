//! What is said to clients of the changes that they ask for.
//!
//! An answer that promises something is an output like any other, and the last of its step: it goes
//! out behind all that the keeper is told in that step (`in_order.rs`), so what it promises is with
//! the keeper by then, whatever becomes of this process. Questions promise nothing and are answered
//! at once.

use api::{ErrorReply, MaintenanceReply, Outcome, Progress};
use tokio::sync::{mpsc, oneshot};

/// The progress of a change, or why there is none.
pub(crate) type Stream = Result<mpsc::Receiver<Progress>, ErrorReply>;
/// The services whose logs are rotated.
pub(crate) type Rotated = Result<Vec<String>, ErrorReply>;

/// One answer.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A change has arrived, or is refused.
    Taken(oneshot::Sender<Stream>, Stream),
    /// How far it is.
    Progress(mpsc::Sender<Progress>, Progress),
    /// What became of it.
    Outcome(oneshot::Sender<Option<Outcome>>, Option<Outcome>),
    /// Whether there is maintenance.
    Maintained(oneshot::Sender<MaintenanceReply>, MaintenanceReply),
    /// Logs are rotated.
    Rotated(oneshot::Sender<Rotated>, Rotated),
}

impl Answer {
    /// A client that has gone away no longer wants it. One that reads slowly loses lines, and asks
    /// for the outcome by id where that was the last one.
    pub(in crate::control) fn send(self) {
        match self {
            Self::Taken(client, stream) => drop(client.send(stream)),
            Self::Progress(client, line) => drop(client.try_send(line)),
            Self::Outcome(client, outcome) => drop(client.send(outcome)),
            Self::Maintained(client, reply) => drop(client.send(reply)),
            Self::Rotated(client, names) => drop(client.send(names)),
        }
    }
}
