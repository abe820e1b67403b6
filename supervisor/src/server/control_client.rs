//! Putting an [`Ask`] to the control loop, with a limit on how long its answer may take.

use std::sync::atomic::Ordering;

use tokio::sync::{mpsc::error::TrySendError, oneshot};

use super::{Shared, reply::Failure};
use crate::ask::{Ask, Peer};

impl Shared {
    /// Asks the loop. It answers from memory; if it does not, the client is told that it is busy.
    pub(super) async fn ask<T>(
        &self,
        ask: impl FnOnce(oneshot::Sender<T>) -> Ask,
    ) -> Result<T, Failure> {
        let (reply, answer) = oneshot::channel();
        match self.asks.try_send(ask(reply)) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                return Err(busy("too many requests wait for the supervisor"));
            }
            Err(TrySendError::Closed(_)) => return Err(self.gone()),
        }
        match tokio::time::timeout(self.limits.answer, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(self.gone()),
            Err(_) => Err(busy(&format!(
                "the supervisor did not answer within {} s",
                self.limits.answer.as_secs()
            ))),
        }
    }

    /// Nobody is there to ask, and why.
    fn gone(&self) -> Failure {
        if self.orphaned.load(Ordering::Relaxed) {
            return Failure::new(
                api::ErrorKind::Internal,
                "the keeper is gone, so every service is being stopped, in order",
                "start the supervisor again when it has ended: systemctl restart mattervisor, or service mattervisor restart without systemd",
            );
        }
        Failure::new(
            api::ErrorKind::Internal,
            "the control loop has ended without an answer",
            "try again: a new control process takes over; the supervisor's log says why",
        )
    }

    /// The peer with its name, for the record.
    pub(super) async fn peer(&self, uid: u32) -> Peer {
        Peer {
            uid,
            name: self.names.describe(uid).await,
        }
    }
}

fn busy(message: &str) -> Failure {
    Failure::new(
        api::ErrorKind::Busy,
        message,
        "try again; whether a change has arrived says GET /v1/changes/ID",
    )
}
