//! A followed log whose service leaves the plan comes to its end, and says so.
//!
//! Owner: one task for each client that follows services by name. Limits: [`QUEUE_LINES`] lines
//! under way.

use std::{sync::Arc, time::Duration};

use api::LogLine;
use tokio::sync::{mpsc, watch};

use super::Shared;
use crate::{ask::Ask, logs};

/// Lines between the log reader and the client, beyond those of the reader.
const QUEUE_LINES: usize = 16;
/// The last lines of a service that has gone come within this time of each other.
const LAST_LINES: Duration = Duration::from_millis(500);

/// Relays lines until the last of these services has left the plan; `left` reports departures.
pub(super) fn until_gone(
    shared: Arc<Shared>,
    lines: mpsc::Receiver<LogLine>,
    services: Vec<String>,
    left: watch::Receiver<()>,
) -> mpsc::Receiver<LogLine> {
    let (sender, out) = mpsc::channel(QUEUE_LINES);
    let relay = Relay {
        shared,
        lines,
        services,
        sender,
    };
    drop(tokio::spawn(relay.run(left)));
    out
}

struct Relay {
    shared: Arc<Shared>,
    lines: mpsc::Receiver<LogLine>,
    /// Services that are in the plan, as far as is known.
    services: Vec<String>,
    sender: mpsc::Sender<LogLine>,
}

impl Relay {
    async fn run(mut self, mut left: watch::Receiver<()>) {
        loop {
            tokio::select! {
                biased;
                () = self.sender.closed() => return,
                line = self.lines.recv() => {
                    let Some(line) = line else { return };
                    if self.sender.send(line).await.is_err() {
                        return;
                    }
                }
                Ok(()) = left.changed() => {
                    self.look().await;
                    if self.services.is_empty() {
                        return;
                    }
                }
            }
        }
    }

    /// Says which services have left the plan, after their last lines.
    async fn look(&mut self) {
        for name in std::mem::take(&mut self.services) {
            let names = vec![name.clone()];
            let found = self.shared.ask(|reply| Ask::LogPlaces { names, reply });
            if !matches!(found.await, Ok(Err(_))) {
                self.services.push(name);
                continue;
            }
            while let Ok(Some(line)) = tokio::time::timeout(LAST_LINES, self.lines.recv()).await {
                if self.sender.send(line).await.is_err() {
                    return;
                }
            }
            let gone = logs::marker(&name, "this service has left the plan");
            let _ = self.sender.send(gone).await;
        }
    }
}
