//! Changes on their way to the history on disk: who asked for what, and how it ended.
//!
//! One job at a time writes them, so that their order holds; a change neither waits for it nor
//! fails with it. What cannot be written is kept for the next attempt, told once, and bounded by
//! [`WAITING_MAX`].

use api::Verdict;

use super::{Control, Job, words};
use crate::{
    ask::Peer,
    history::{Line, Said},
};

/// Lines that wait to be written; more are lost, and counted.
const WAITING_MAX: usize = 1024;

/// Services whose failure is told in the words of one change.
const FAILURES_MAX: usize = 20;

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Records {
    waiting: Vec<Line>,
    /// A job is writing.
    busy: bool,
    /// The last attempt failed, and that has been told.
    failing: bool,
    lost: usize,
}

impl Records {
    /// Lines are on their way to the disk. What cannot be written is not waited for.
    pub(super) fn are_under_way(&self) -> bool {
        self.busy || !(self.failing || self.waiting.is_empty())
    }
}

impl Control {
    /// Somebody has asked for a change.
    pub(super) fn record_asked(&mut self, id: &str, peer: &Peer, what: &str, services: &[String]) {
        self.record(
            id,
            Said::Asked {
                by: peer.name.clone(),
                uid: peer.uid,
                what: what.to_owned(),
                services: services.to_vec(),
            },
        );
    }

    /// It will not be done.
    pub(super) fn record_refused(&mut self, id: &str, why: &str) {
        self.record(
            id,
            Said::Ended {
                outcome: "refused".to_owned(),
                detail: why.to_owned(),
                services: Vec::new(),
            },
        );
    }

    /// It has come to its end.
    pub(super) fn record_ended(&mut self, outcome: &api::Outcome, name_services: bool) {
        let mut failed: Vec<String> = outcome
            .results
            .iter()
            .filter(|result| result.verdict == Verdict::Failed)
            .map(|result| match result.detail.as_str() {
                "" => format!("{}: {}", result.service, result.state),
                detail => format!("{}: {}: {detail}", result.service, result.state),
            })
            .collect();
        let word = if failed.is_empty() { "done" } else { "failed" };
        if failed.len() > FAILURES_MAX {
            let more = failed.len() - FAILURES_MAX;
            failed.truncate(FAILURES_MAX);
            failed.push(format!("{more} more failed"));
        }
        let named = outcome.results.iter().filter(|_| name_services);
        let services = named.map(|result| result.service.clone());
        let said = Said::Ended {
            outcome: word.to_owned(),
            detail: failed.join("; "),
            services: services.collect(),
        };
        self.record(&outcome.id, said);
    }

    fn record(&mut self, id: &str, said: Said) {
        if self.records.waiting.len() == WAITING_MAX {
            self.records.lost += 1;
            return;
        }
        self.records.waiting.push(Line {
            at: words::time(self.now.unix_ms),
            id: id.to_owned(),
            said,
        });
        self.write_records();
    }

    fn write_records(&mut self) {
        if self.records.busy || self.records.waiting.is_empty() {
            return;
        }
        self.records.busy = true;
        let lines = std::mem::take(&mut self.records.waiting);
        self.job(Job::Record {
            lines,
            now_ms: self.now.unix_ms,
        });
    }

    /// A job has written them, or could not; then they come back.
    pub(super) fn on_recorded(&mut self, result: Result<(), (Vec<Line>, String)>) {
        self.records.busy = false;
        match result {
            Ok(()) => {
                if std::mem::take(&mut self.records.failing) {
                    let lost = std::mem::take(&mut self.records.lost);
                    let told = format!("changes are recorded again; {lost} lines were lost");
                    tracing::info!("{told}");
                    self.publish("", "daemon", &told, None);
                }
                self.write_records();
            }
            Err((mut lines, error)) => {
                // They are tried again with the next change, not before: a full disk stays full.
                lines.append(&mut self.records.waiting);
                let surplus = lines.len().saturating_sub(WAITING_MAX);
                lines.truncate(WAITING_MAX);
                self.records.lost += surplus;
                self.records.waiting = lines;
                if !std::mem::replace(&mut self.records.failing, true) {
                    let told = format!("cannot record who changed what: {error}");
                    tracing::error!("{told}; the changes themselves are done");
                    self.publish("", "daemon", &told, None);
                }
            }
        }
    }
}
