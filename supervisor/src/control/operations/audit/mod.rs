//! Operations on their way to the history on disk: who asked for each, and how each ended.
//!
//! [`AuditLog`] owns the lines that are not known to be on the disk. One job at a time writes
//! lines, so that their order holds. A client hears that its operation is done once the lines are
//! written, or hears that they are not; a failed write fails no operation. Written means handed to
//! the kernel, not synced: a line outlives every process of ours, and a power cut loses the last
//! seconds at most. A failed write is retried by time (`on_disk.rs`). A successor of this process
//! writes the lines that this process had not written (`operations/restore.rs`), so a line may come
//! twice, which readers tolerate. Limits: [`WAITING_MAX`], [`KEPT_MAX`].

mod lines;

use std::collections::{BTreeSet, VecDeque};

use engine::Moment;

use crate::{
    control::{
        Context, Task,
        on_disk::{Attempts, Durability},
        record_keys::Key,
    },
    history::{Line, Said},
};

use lines::line;
pub(in crate::control) use lines::{asked, failures, gone_back};

/// Most waiting lines; further lines are lost, and counted. What is still known of their operations
/// is written when there is room again.
const WAITING_MAX: usize = 1024;

/// Most services whose failure is named in the words of one operation.
const FAILURES_MAX: usize = 20;

/// Most lines remembered without their operation; the oldest are dropped.
const KEPT_MAX: usize = 128;

/// Lines that wait to be written, and lines that no operation remembers.
#[derive(Debug, Default)]
pub(in crate::control) struct AuditLog {
    waiting: Vec<Line>,
    /// Lines that may not be written yet, of operations that are not remembered otherwise.
    kept: VecDeque<Line>,
    /// Operations whose lines a job is writing.
    writing: BTreeSet<String>,
    attempts: Attempts,
    /// Whether some lines have not been tried yet.
    new: bool,
    /// Whether the failure of the last attempt has been reported.
    told: bool,
    /// Number of lines lost for want of room.
    lost: usize,
}

impl AuditLog {
    /// Whether lines are on their way to the disk. Nobody waits for lines that cannot be written.
    pub(in crate::control) fn are_awaited(&self) -> bool {
        let any = !self.waiting.is_empty() || !self.writing.is_empty();
        any && self.attempts.standing() == Durability::Awaited
    }

    /// Whether all lines of an operation so far are on the disk.
    pub(in crate::control) fn standing(&self, id: &str) -> Durability {
        // It is unknown which lines were lost.
        if self.writing.contains(id) || self.has_waiting(id) || self.lost > 0 {
            self.attempts.standing()
        } else {
            Durability::Stored
        }
    }

    /// Whether some lines of an operation have not been given to a job.
    pub(in crate::control) fn has_waiting(&self, id: &str) -> bool {
        self.waiting.iter().any(|line| line.id == id)
    }

    /// Whether the audit log itself remembers the lines of this operation.
    pub(in crate::control) fn keeps(&self, id: &str) -> bool {
        self.kept.iter().any(|line| line.id == id)
    }

    /// Warning for status, as long as lines cannot be written.
    pub(in crate::control) fn warning(&self) -> Option<String> {
        let Durability::Unstored(why) = self.attempts.standing() else {
            return None;
        };
        let count = self.waiting.len();
        Some(format!(
            "{count} lines of the history of changes are not written: {why}"
        ))
    }

    pub(in crate::control) fn poll_timeout(&self) -> Option<Moment> {
        self.attempts.poll_timeout()
    }

    pub(in crate::control) fn timeout(&mut self, now: Moment) {
        self.attempts.timeout(now);
    }

    /// Retries unwritten lines at once, before the daemon ends.
    pub(in crate::control) const fn hurry(&mut self) {
        self.new = true;
    }
}

/// What an attempt to write means for the operations that the lines are about.
#[derive(Debug)]
pub(in crate::control) enum Written {
    /// All lines of these operations so far are in the history.
    Of(Vec<String>),
    /// Lines had no room while the disk did not answer: components that know them add them again.
    SomeLost,
    /// Lines wait for the next attempt.
    Nothing,
}

impl AuditLog {
    /// Records that the operation is refused. `asked`: the line of its request, if the history may
    /// lack that line.
    pub(in crate::control) fn refused(
        &mut self,
        cx: &mut Context,
        id: &str,
        asked: Option<Line>,
        why: &str,
    ) {
        self.record_end(cx, id, asked, api::ChangeOutcome::Refused, why);
    }

    /// Records that the operation is no longer followed: `later` others have been requested since.
    pub(in crate::control) fn lost_sight_of(
        &mut self,
        cx: &mut Context,
        id: &str,
        asked: Option<Line>,
        later: usize,
    ) {
        let why = format!(
            "it was under way when {later} later changes were, and is not followed any more; \
             ctl status says what became of it"
        );
        self.record_end(cx, id, asked, api::ChangeOutcome::Failed, &why);
    }

    /// Records the last line of an operation that is no longer remembered.
    fn record_end(
        &mut self,
        cx: &mut Context,
        id: &str,
        asked: Option<Line>,
        outcome: api::ChangeOutcome,
        detail: &str,
    ) {
        let said = Said::Ended {
            outcome,
            detail: detail.to_owned(),
            services: Vec::new(),
        };
        let line = line(cx, id, said);
        self.add(line.clone());
        self.keep_lines(cx, asked.into_iter().chain([line]));
    }

    /// Records an operation that is done as soon as it is requested.
    pub(in crate::control) fn done(&mut self, cx: &mut Context, asked: Line) {
        self.add(asked.clone());
        self.record_end(
            cx,
            &asked.id.clone(),
            Some(asked),
            api::ChangeOutcome::Done,
            "",
        );
    }

    fn keep_lines(&mut self, cx: &mut Context, lines: impl Iterator<Item = Line>) {
        let kept = &mut self.kept;
        kept.extend(lines);
        let surplus = kept.len().saturating_sub(KEPT_MAX);
        kept.drain(..surplus);
        self.remember_lines(cx);
    }

    /// Restores lines that an earlier control process kept, and may not have written.
    pub(in crate::control) fn restore(&mut self, record: Option<&String>) {
        let kept = record.and_then(|record| serde_json::from_str(record).ok());
        self.kept = kept.unwrap_or_default();
        self.record_kept();
    }

    /// Adds the kept lines once more, after an unknown part of the lines was lost.
    pub(super) fn record_kept(&mut self) {
        for line in self.kept.clone() {
            self.add(line);
        }
    }

    fn remember_lines(&mut self, cx: &mut Context) {
        let record = serde_json::to_string(&self.kept).expect("lines are plain data");
        cx.remember(Key::AuditLines, record);
    }

    /// Records the end of the operation. `name_services`: the first line could not name them.
    pub(in crate::control) fn ended(
        &mut self,
        cx: &mut Context,
        outcome: &api::Outcome,
        name_services: bool,
    ) {
        let mut failed = failures(&outcome.results);
        let word = if failed.is_empty() {
            api::ChangeOutcome::Done
        } else {
            api::ChangeOutcome::Failed
        };
        if failed.len() > FAILURES_MAX {
            let more = failed.len() - FAILURES_MAX;
            failed.truncate(FAILURES_MAX);
            failed.push(format!("{more} more failed"));
        }
        failed.extend(outcome.gone_back.as_deref().map(gone_back));
        let named = outcome.results.iter().filter(|_| name_services);
        let services = named.map(|result| result.service.clone());
        let said = Said::Ended {
            outcome: word,
            detail: failed.join("; "),
            services: services.collect(),
        };
        self.add(line(cx, &outcome.id, said));
    }

    /// Adds a line, if there is room.
    pub(in crate::control) fn add(&mut self, line: Line) {
        if self.waiting.len() == WAITING_MAX {
            self.lost += 1;
            return;
        }
        self.waiting.push(line);
        self.new = true;
    }

    /// Forgets the lines of these operations that were known when the write began and are in the
    /// history.
    fn forget_lines(&mut self, cx: &mut Context, written: &BTreeSet<String>) {
        let before = self.kept.len();
        let waiting: BTreeSet<&String> = self.waiting.iter().map(|line| &line.id).collect();
        let over = |line: &Line| written.contains(&line.id) && !waiting.contains(&line.id);
        self.kept.retain(|line| !over(line));
        if self.kept.len() < before {
            self.remember_lines(cx);
        }
    }

    /// Has lines written if a write is due.
    pub(in crate::control) fn write(&mut self, cx: &mut Context) {
        if self.waiting.is_empty() || !self.attempts.begin(cx.now.moment, self.new) {
            return;
        }
        self.new = false;
        let lines = std::mem::take(&mut self.waiting);
        self.writing = lines.iter().map(|line| line.id.clone()).collect();
        cx.queue_task(Task::Record {
            lines,
            now_ms: cx.now.unix_ms,
        });
    }

    /// Takes the result of a write; after a failure the lines come back.
    pub(in crate::control) fn on_written(
        &mut self,
        cx: &mut Context,
        result: Result<(), (Vec<Line>, String)>,
    ) -> Written {
        let written = std::mem::take(&mut self.writing);
        let (mut lines, error) = match result {
            Ok(()) => return self.on_success(cx, &written),
            Err(failed) => failed,
        };
        lines.append(&mut self.waiting);
        let surplus = lines.len().saturating_sub(WAITING_MAX);
        lines.truncate(WAITING_MAX);
        self.lost += surplus;
        self.waiting = lines;
        if !std::mem::replace(&mut self.told, true) {
            let told = format!("cannot record who changed what: {error}");
            tracing::error!("{told}; the changes themselves are done");
            cx.publish("", api::EventKind::Daemon, &told, None);
        }
        self.attempts.end(cx.now.moment, Some(error));
        Written::Nothing
    }

    fn on_success(&mut self, cx: &mut Context, written: &BTreeSet<String>) -> Written {
        self.attempts.end(cx.now.moment, None);
        let lost = std::mem::take(&mut self.lost);
        if std::mem::take(&mut self.told) || lost > 0 {
            let told = format!("changes are recorded again; {lost} lines had no room meanwhile");
            tracing::info!("{told}");
            cx.publish("", api::EventKind::Daemon, &told, None);
        }
        if lost > 0 {
            return Written::SomeLost;
        }
        self.forget_lines(cx, written);
        let whole = written.iter().filter(|id| !self.has_waiting(id));
        Written::Of(whole.cloned().collect())
    }
}

#[cfg(test)]
mod tests;
