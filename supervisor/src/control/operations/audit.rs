//! Operations on their way to the history on disk: who asked for what, and how it ended.
//!
//! One job at a time writes them, so that their order holds. Whoever asked for a change hears that it
//! is done once its lines are written, or hears that they are not; no change fails by it. Written
//! means with the kernel, not synced: it outlives every process of ours, and a power cut takes the
//! last seconds at most. What cannot be written is tried again by time (`on_disk.rs`); a successor of
//! this process writes what this one had not (`operations/mod.rs` remembers it), so a line may come twice,
//! which readers do not mind. Limit: [`WAITING_MAX`].

use std::collections::{BTreeSet, VecDeque};

use api::{ActionResult, GoneBack, Verdict};
use engine::Moment;

use crate::{
    ask::Peer,
    control::{
        Context, Control, Job,
        on_disk::{Attempts, Durability},
        record_keys::Key,
        text,
    },
    history::{Line, Said},
};

/// Lines that wait to be written; more are lost, and counted. What is still known of their changes is
/// written when there is room again.
const WAITING_MAX: usize = 1024;

/// Services whose failure is told in the words of one change.
const FAILURES_MAX: usize = 20;

/// Lines that are remembered for themselves; the oldest give way.
const KEPT_MAX: usize = 128;

/// The queue.
#[derive(Debug, Default)]
pub(in crate::control) struct AuditLog {
    waiting: Vec<Line>,
    /// Lines that may not be written yet, of changes that are not remembered otherwise.
    kept: VecDeque<Line>,
    /// Operations whose lines a job is writing.
    writing: BTreeSet<String>,
    attempts: Attempts,
    /// Some lines have not been tried yet.
    new: bool,
    /// That the last attempt failed has been told.
    told: bool,
    lost: usize,
}

impl AuditLog {
    /// Lines are on their way to the disk. What cannot be written is not waited for.
    pub(in crate::control) fn are_awaited(&self) -> bool {
        let any = !self.waiting.is_empty() || !self.writing.is_empty();
        any && self.attempts.standing() == Durability::Awaited
    }

    /// How all that was said of a change so far stands.
    pub(in crate::control) fn standing(&self, id: &str) -> Durability {
        // Which lines were lost is not known.
        if self.writing.contains(id) || self.has_waiting(id) || self.lost > 0 {
            self.attempts.standing()
        } else {
            Durability::Stored
        }
    }

    /// Not all that was said of a change has been given to a job.
    pub(in crate::control) fn has_waiting(&self, id: &str) -> bool {
        self.waiting.iter().any(|line| line.id == id)
    }

    /// Its lines are remembered for themselves.
    pub(in crate::control) fn keeps(&self, id: &str) -> bool {
        self.kept.iter().any(|line| line.id == id)
    }

    /// What is wrong, for as long as it is.
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

    /// Before the end: what is on no disk is tried at once.
    pub(in crate::control) const fn hurry(&mut self) {
        self.new = true;
    }
}

/// What an attempt to write means for the changes that the lines are about.
enum Written {
    /// All that was said of these so far is in the history.
    Of(Vec<String>),
    /// Lines had no room while the disk did not answer: whoever knows them says them once more.
    SomeLost,
    /// Lines wait for the next attempt.
    Nothing,
}

/// The line that says that somebody has asked for a change.
pub(in crate::control) fn asked(
    unix_ms: u64,
    id: &str,
    peer: &Peer,
    what: &str,
    services: &[String],
) -> Line {
    Line {
        at: text::time(unix_ms),
        id: id.to_owned(),
        said: Said::Asked {
            by: peer.name.clone(),
            uid: peer.uid,
            what: what.to_owned(),
            services: services.to_vec(),
        },
    }
}

/// What has failed, each service in words.
pub(in crate::control) fn failures(results: &[ActionResult]) -> Vec<String> {
    let failed = results.iter().filter(|it| it.verdict == Verdict::Failed);
    let words = failed.map(|result| match result.detail.as_str() {
        "" => format!("{}: {}", result.service, result.state),
        detail => format!("{}: {}: {detail}", result.service, result.state),
    });
    words.collect()
}

/// How a change went back, in words.
pub(in crate::control) fn gone_back(it: &GoneBack) -> String {
    let (at, by) = (&it.to.at, &it.to.by);
    let failed = failures(&it.results).join("; ");
    match &it.refused {
        Some(why) => {
            format!("cannot go back to the configuration of {at}, asked for by {by}: {why}")
        }
        None if failed.is_empty() => {
            format!("gone back to the configuration of {at}, asked for by {by}")
        }
        None => format!(
            "gone back to the configuration of {at}, asked for by {by}, with which this failed: {failed}"
        ),
    }
}

impl AuditLog {
    /// It will not be done. `asked`: that it was asked for, if the history may not have that.
    pub(in crate::control) fn refused(
        &mut self,
        cx: &mut Context,
        id: &str,
        asked: Option<Line>,
        why: &str,
    ) {
        self.record_end(cx, id, asked, "refused", why);
    }

    /// It is not followed to its end: `later` others have been asked for since.
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
        self.record_end(cx, id, asked, "failed", &why);
    }

    /// Its last line, of a change that is not remembered any more.
    fn record_end(
        &mut self,
        cx: &mut Context,
        id: &str,
        asked: Option<Line>,
        outcome: &str,
        detail: &str,
    ) {
        let said = Said::Ended {
            outcome: outcome.to_owned(),
            detail: detail.to_owned(),
            services: Vec::new(),
        };
        let line = line(cx, id, said);
        self.add(line.clone());
        self.keep_lines(cx, asked.into_iter().chain([line]));
    }

    /// It was asked for, and is done already.
    pub(in crate::control) fn done(&mut self, cx: &mut Context, asked: Line) {
        self.add(asked.clone());
        self.record_end(cx, &asked.id.clone(), Some(asked), "done", "");
    }

    fn keep_lines(&mut self, cx: &mut Context, lines: impl Iterator<Item = Line>) {
        let kept = &mut self.kept;
        kept.extend(lines);
        let surplus = kept.len().saturating_sub(KEPT_MAX);
        kept.drain(..surplus);
        self.remember_lines(cx);
    }

    /// What an earlier control process kept, and may not have written.
    pub(in crate::control) fn restore(&mut self, record: Option<&String>) {
        let kept = record.and_then(|record| serde_json::from_str(record).ok());
        self.kept = kept.unwrap_or_default();
        self.record_kept();
    }

    fn record_kept(&mut self) {
        for line in self.kept.clone() {
            self.add(line);
        }
    }

    fn remember_lines(&mut self, cx: &mut Context) {
        let record = serde_json::to_string(&self.kept).expect("lines are plain data");
        cx.remember(Key::AuditLines, record);
    }

    /// It has come to its end.
    pub(in crate::control) fn ended(
        &mut self,
        cx: &mut Context,
        outcome: &api::Outcome,
        name_services: bool,
    ) {
        let mut failed = failures(&outcome.results);
        let word = if failed.is_empty() { "done" } else { "failed" };
        if failed.len() > FAILURES_MAX {
            let more = failed.len() - FAILURES_MAX;
            failed.truncate(FAILURES_MAX);
            failed.push(format!("{more} more failed"));
        }
        failed.extend(outcome.gone_back.as_deref().map(gone_back));
        let named = outcome.results.iter().filter(|_| name_services);
        let services = named.map(|result| result.service.clone());
        let said = Said::Ended {
            outcome: word.to_owned(),
            detail: failed.join("; "),
            services: services.collect(),
        };
        self.add(line(cx, &outcome.id, said));
    }

    /// Adds a line.
    pub(in crate::control) fn add(&mut self, line: Line) {
        if self.waiting.len() == WAITING_MAX {
            self.lost += 1;
            return;
        }
        self.waiting.push(line);
        self.new = true;
    }

    /// They are in the history.
    fn forget_lines(&mut self, cx: &mut Context, written: &BTreeSet<String>) {
        let before = self.kept.len();
        let waiting: BTreeSet<&String> = self.waiting.iter().map(|line| &line.id).collect();
        let over = |line: &Line| written.contains(&line.id) && !waiting.contains(&line.id);
        self.kept.retain(|line| !over(line));
        if self.kept.len() < before {
            self.remember_lines(cx);
        }
    }

    /// Has them written if that is due.
    pub(in crate::control) fn write(&mut self, cx: &mut Context) {
        let (records, now) = (self, cx.now.moment);
        if records.waiting.is_empty() || !records.attempts.begin(now, records.new) {
            return;
        }
        records.new = false;
        let lines = std::mem::take(&mut records.waiting);
        records.writing = lines.iter().map(|line| line.id.clone()).collect();
        cx.job(Job::Record {
            lines,
            now_ms: cx.now.unix_ms,
        });
    }

    /// A job has written them, or could not; then they come back.
    fn on_written(&mut self, cx: &mut Context, result: Result<(), (Vec<Line>, String)>) -> Written {
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
            cx.publish("", "daemon", &told, None);
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
            cx.publish("", "daemon", &told, None);
        }
        if lost > 0 {
            return Written::SomeLost;
        }
        self.forget_lines(cx, written);
        let whole = written.iter().filter(|id| !self.has_waiting(id));
        Written::Of(whole.cloned().collect())
    }
}

fn line(cx: &Context, id: &str, said: Said) -> Line {
    Line {
        at: text::time(cx.now.unix_ms),
        id: id.to_owned(),
        said,
    }
}

impl Control {
    /// A job has written lines, or could not.
    pub(in crate::control) fn on_recorded(&mut self, result: Result<(), (Vec<Line>, String)>) {
        match self.audit.on_written(&mut self.cx, result) {
            Written::Of(changes) => {
                for id in changes {
                    self.operations.is_recorded(&id);
                }
            }
            Written::SomeLost => {
                self.record_again();
                self.audit.record_kept();
            }
            Written::Nothing => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use api::Action;

    use super::*;
    use crate::{
        control::{harness::Harness, input::Input},
        store::Handled,
    };

    fn filler(number: usize) -> Line {
        Line {
            at: String::new(),
            id: number.to_string(),
            said: Said::Ended {
                outcome: "done".to_owned(),
                detail: String::new(),
                services: Vec::new(),
            },
        }
    }

    fn ends(lines: &[Line]) -> Vec<(&str, &str)> {
        let ends = lines.iter().filter_map(|line| match &line.said {
            Said::Ended { outcome, .. } => Some((&*line.id, &**outcome)),
            Said::Asked { .. } => None,
        });
        ends.collect()
    }

    /// Both lines of a change that is refused, or done at once, are with the keeper until they are written.
    #[test]
    fn what_no_list_remembers_is_kept_with_both_lines() {
        let services = [("a", "command = ['/bin/a']\n")];
        let mut world = Harness::new(&services, Handled::default());
        let run = world.spawned[0].1;
        world.spawned(run);
        world.act(Action::Reload, "a");
        let (reply, _) = tokio::sync::oneshot::channel();
        world.handle(Input::Ask(crate::ask::Ask::RotateLogs {
            id: "change 2".to_owned(),
            names: vec!["a".to_owned()],
            peer: Peer {
                uid: 0,
                name: "root".to_owned(),
            },
            reply,
        }));
        let kept: Vec<Line> = world.control.audit.kept.iter().cloned().collect();
        assert_eq!(ends(&kept), [("change 1", "refused"), ("change 2", "done")]);
        assert_eq!(kept.len(), 4, "{kept:?}");
        while !world.recording.is_empty() {
            world.recorded();
        }
        assert!(world.control.audit.kept.is_empty(), "the history has it");
    }

    /// More are under way than are followed.
    #[test]
    fn a_change_that_is_lost_sight_of_has_an_end_in_the_history() {
        const CHANGES: usize = 65;
        let services = [("a", "command = ['/bin/a']\n")];
        let mut world = Harness::new(&services, Handled::default());
        world.spawned(world.spawned[0].1);
        for _ in 0..CHANGES {
            world.act(Action::Stop, "a");
        }
        let mut written = Vec::new();
        while !world.recording.is_empty() {
            written.extend(world.recorded());
        }
        assert_eq!(ends(&written), [("change 1", "failed")]);
    }

    /// A disk that hangs and then goes on has refused nothing, though not all had room meanwhile.
    #[test]
    fn lines_that_had_no_room_hold_nobody_up_and_are_said_again() {
        const ID: &str = "change 1";
        let services = [("a", "command = ['/bin/a']\n")];
        let mut world = Harness::new(&services, Handled::default());
        let run = world.spawned[0].1;
        world.spawned(run);
        world.act(Action::Stop, "a");
        world.recorded();
        world.control.audit.add(filler(0));
        world.handle(Input::Timeout);
        assert_eq!(world.recording.len(), 1, "it is being written");
        for number in 0..WAITING_MAX {
            world.control.audit.add(filler(number));
        }
        world.ended(run);
        assert_eq!(world.control.audit.lost, 1);
        let mut ends = 0;
        while !world.recording.is_empty() {
            let lines = world.recorded();
            let ended = |it: &&Line| it.id == ID && matches!(it.said, Said::Ended { .. });
            ends += lines.iter().filter(ended).count();
        }
        assert_eq!((ends, world.control.audit.lost), (1, 0));
        let outcome = world.control.outcome_of(ID).unwrap();
        assert!(outcome.finished && outcome.unstored.history.is_none());
    }
}
