//! Answers to clients that ask for changes.
//!
//! Invariant: an answer that promises something is the last output of its step and goes out after
//! everything that the keeper is told in that step (`in_order.rs`). So the keeper knows what the
//! answer promises, whatever becomes of this process. Queries promise nothing and are answered at
//! once.

use api::{ErrorReply, MaintenanceReply, Outcome, Progress};
use tokio::sync::{mpsc, oneshot};

/// The progress of a change, or the reason for a refusal.
pub(crate) type Stream = Result<mpsc::Receiver<Progress>, ErrorReply>;
/// The services whose logs are rotated.
pub(crate) type Rotated = Result<Vec<String>, ErrorReply>;

/// One answer.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A change has been accepted, or is refused.
    Taken(oneshot::Sender<Stream>, Stream),
    /// The progress of a change.
    Progress(mpsc::Sender<Progress>, Progress),
    /// The outcome of a change.
    Outcome(oneshot::Sender<Option<Outcome>>, Option<Outcome>),
    /// Whether the host is in maintenance.
    Maintained(oneshot::Sender<MaintenanceReply>, MaintenanceReply),
    /// The services whose logs have been rotated.
    Rotated(oneshot::Sender<Rotated>, Rotated),
}

impl Answer {
    /// Sends the answer. A client that has gone away needs none. A client that reads slowly loses
    /// lines, and can ask for the outcome by id if the last line was lost.
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
