//! Files that somebody else writes, and certificates: what a change of one means for a service that
//! runs, and what is wrong with the others.
//!
//! The looking is a job, once when the files are known, whenever `file_watcher` tells, and once a
//! day while there are certificates. One that cannot be used is told and not loaded; one that
//! clients do not trust makes its service degraded; one that ends soon is told in time.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use engine::{Command, Moment, RunId, State};
use keeper::message::Request;
use plan::{
    NotifyOn, OnChange, Service,
    certificates::{Finding, Grade},
};

use super::{
    Control, Job, Output,
    file_watcher::{Look, POLL_EVERY, Seen, Stamp, Unwatched},
    listening::Progress,
    memory::Key,
};

/// Certificates are looked at as often without any change.
const EVERY_MS: u64 = 24 * 3_600_000;
/// Days before the end of a certificate at which it is told.
const TELL_DAYS: [i64; 6] = [0, 1, 3, 7, 14, 30];

/// What was seen, and when to look again.
#[derive(Debug, Default)]
pub(super) struct WatchedFiles {
    paths: BTreeSet<PathBuf>,
    seen: BTreeMap<PathBuf, Stamp>,
    findings: BTreeMap<String, Vec<Finding>>,
    /// The days of [`TELL_DAYS`] that were told last, by certificate.
    told: BTreeMap<PathBuf, i64>,
    /// When the process of a service began, wall clock.
    started: BTreeMap<String, u64>,
    due: Option<Moment>,
    looking: bool,
    /// Something has happened while a look was under way.
    again: bool,
    /// Nobody tells of changes: they are looked for at intervals.
    unwatched: Option<Unwatched>,
}

impl WatchedFiles {
    pub(super) fn poll_timeout(&self) -> Option<Moment> {
        self.due.filter(|_| !self.looking)
    }

    /// What it means for the administrator that nobody tells of changes.
    pub(super) fn warning(&self) -> Option<String> {
        let why = self.unwatched.filter(|_| !self.paths.is_empty())?;
        let seconds = POLL_EVERY.as_secs();
        Some(format!(
            "certificates and other watched files are looked at every {seconds} s only, since they cannot be watched: \
             {why}"
        ))
    }
}

impl Control {
    /// What an earlier control process has told.
    pub(super) fn take_up_certificates(&mut self, records: &BTreeMap<String, String>) {
        let record = Key::Certificates.of(records);
        let told = record.and_then(|record| serde_json::from_str(record).ok());
        self.watched_files.told = told.unwrap_or_default();
    }

    /// Watches the files of the services that are enabled now.
    pub(super) fn watched_files_follow_plan(&mut self) {
        let enabled = self.cx.plan.services.values().filter(|it| it.enabled);
        let paths: BTreeSet<PathBuf> = enabled.flat_map(|it| files_of(it)).collect();
        let known: BTreeSet<String> = self.cx.plan.services.keys().cloned().collect();
        let files = &mut self.watched_files;
        files.findings.retain(|name, _| known.contains(name));
        files.started.retain(|name, _| known.contains(name));
        files.seen.retain(|path, _| paths.contains(path));
        if files.paths == paths {
            // What a certificate is held to may have changed.
            if !paths.is_empty() {
                self.look_at_files();
            }
            return;
        }
        files.paths.clone_from(&paths);
        if paths.is_empty() {
            files.findings.clear();
            files.due = None;
        }
        // Once they are watched, they are looked at.
        let paths = paths.into_iter().collect();
        self.cx.outputs.push_back(Output::WatchFiles(paths));
    }

    pub(super) fn watched_files_timeout(&mut self) {
        let due = self.watched_files.poll_timeout();
        if due.is_some_and(|due| due <= self.cx.now.moment) {
            self.look_at_files();
        }
    }

    /// Files may have changed, or are watched from now on, or are not.
    pub(super) fn files_touched(&mut self, unwatched: Option<Unwatched>) {
        let before = std::mem::replace(&mut self.watched_files.unwatched, unwatched);
        match self.watched_files.warning() {
            Some(warning) if before.is_none() => tracing::warn!("{warning}"),
            None if before.is_some() => tracing::info!("watched files are watched again"),
            _ => {}
        }
        self.look_at_files();
    }

    /// Something may have changed.
    pub(super) fn look_at_files(&mut self) {
        if self.watched_files.paths.is_empty() {
            return;
        }
        if self.watched_files.looking {
            self.watched_files.again = true;
            return;
        }
        self.watched_files.looking = true;
        let enabled = self.cx.plan.services.values().filter(|it| it.enabled);
        let with = enabled.filter(|it| !it.certificates.is_empty());
        let certificates = with.map(|it| (it.name.clone(), it.certificates.clone()));
        let certificates: Vec<_> = certificates.collect();
        let due = self.cx.now.moment.after(EVERY_MS);
        self.watched_files.due = Some(due).filter(|_| !certificates.is_empty());
        let paths = self.watched_files.paths.clone();
        let look = Look {
            certificates,
            paths,
        };
        self.cx.job(Job::LookAtFiles(look));
    }

    pub(super) fn files_seen(&mut self, seen: Seen) {
        self.watched_files.looking = false;
        let changed = self.changed_files(&seen.stamps);
        self.watched_files.seen = seen.stamps;
        self.take_findings(seen.findings);
        let services: Vec<String> = self.cx.plan.services.keys().cloned().collect();
        for name in services {
            self.act_on_files(&name, &changed);
        }
        if std::mem::take(&mut self.watched_files.again) {
            self.look_at_files();
        }
    }

    /// Files that are other than when they were last seen; at the first look, any may be.
    fn changed_files(&self, stamps: &BTreeMap<PathBuf, Stamp>) -> BTreeSet<PathBuf> {
        let seen = &self.watched_files.seen;
        let first = seen.is_empty();
        let differs = |path: &PathBuf, stamp: &Stamp| match seen.get(path) {
            Some(before) => before.content != stamp.content,
            None => first,
        };
        let changed = stamps.iter().filter(|(path, stamp)| differs(path, stamp));
        changed.map(|(path, _)| path.clone()).collect()
    }

    /// A run of a service reads its files as they are now.
    pub(super) fn watched_files_run_started(&mut self, run: RunId) {
        let service = self.runs.get(&run).map(|run| run.service.clone());
        let service = service.and_then(|name| self.cx.plan.services.get(&name));
        if let Some(service) = service.filter(|it| files_of(it).next().is_some()) {
            let name = service.name.clone();
            let started = &mut self.watched_files.started;
            started.insert(name, self.cx.now.unix_ms);
        }
    }

    /// Since when a service has read its files, wall clock; none: it does not run.
    fn read_since(&self, name: &str) -> Option<u64> {
        let id = self.cx.names.id(name)?;
        let view = self.cx.engine.view(id)?;
        // A oneshot that has completed has read them too.
        let oneshot = self.cx.plan.services.get(name).is_some_and(|it| it.oneshot);
        let done = oneshot && matches!(view.state, State::Completed);
        if self.cx.engine.main_run(id).is_none() && !done {
            return None;
        }
        let since = view.since;
        let since = self
            .cx
            .now
            .unix_ms
            .saturating_sub(self.cx.now.moment.since(since));
        // Of a run that began under an earlier control process only its state is known.
        let started = self.watched_files.started.get(name);
        Some(started.copied().unwrap_or(since))
    }

    /// Lets a service that runs take the files of its own that have changed.
    fn act_on_files(&mut self, name: &str, changed: &BTreeSet<PathBuf>) {
        let Some(service) = self.cx.plan.services.get(name).filter(|it| it.enabled) else {
            return;
        };
        let Some(since) = self.read_since(name) else {
            return;
        };
        let seen = &self.watched_files.seen;
        // Of one that is gone nothing says when it went.
        let gone = |stamp: &Stamp| stamp.content.is_none();
        let newer = |path: &PathBuf| {
            let stamp = seen.get(path);
            stamp.is_none_or(|stamp| stamp.changed_ms > since || gone(stamp))
        };
        let own: BTreeSet<PathBuf> = files_of(service)
            .filter(|it| changed.contains(it) && newer(it))
            .collect();
        let Some(id) = self.cx.names.id(name).filter(|_| !own.is_empty()) else {
            return;
        };
        let action = action(service, &own);
        let listed: Vec<String> = own.iter().map(|path| path.display().to_string()).collect();
        let listed = listed.join(" and ");
        let unusable = self.finding(name, |grade| grade == Grade::Unusable);
        if let Some(unusable) = unusable {
            let detail = format!("{listed} changed on disk and is not loaded: {unusable}");
            tracing::warn!(service = name, "{detail}");
            self.publish(name, "files", &detail, None);
            return;
        }
        let (verb, command) = match action {
            OnChange::Reload => ("reloads", Command::Reload([id].into())),
            OnChange::Restart => ("restarts", Command::Restart([id].into())),
            OnChange::Nothing => return,
        };
        let detail = format!("{listed} changed on disk: {name} {verb}");
        tracing::info!(service = name, "{detail}");
        self.publish(name, "files", &detail, None);
        if action == OnChange::Restart {
            self.note_file_restart(name, &own);
        }
        if let Err(refusal) = self.command(command) {
            self.forget_file_restart(name);
            let error = self.refused(&refusal).message;
            tracing::warn!(service = name, "{detail}, but that was refused: {error}");
            self.publish(name, "files", &error, None);
        }
    }

    /// Takes in what is wrong now; what is new is told.
    fn take_findings(&mut self, findings: BTreeMap<String, Vec<Finding>>) {
        let before = std::mem::replace(&mut self.watched_files.findings, findings);
        let now = self.watched_files.findings.clone();
        for (name, found) in &now {
            let known = before.get(name).map_or(&[][..], Vec::as_slice);
            if found == known {
                continue;
            }
            for finding in found.iter().filter(|it| !known.contains(it)) {
                let sentence = finding.sentence();
                tracing::warn!(service = name, "{sentence}");
                self.publish(name, "certificate", &sentence, None);
            }
            if found.is_empty() {
                self.publish(name, "certificate", "nothing is wrong any more", None);
            }
            if let Some(id) = self.cx.names.id(name) {
                self.cx.touched.insert(id);
            }
        }
        self.tell_of_ends(&now);
    }

    /// Tells of certificates that end soon, each some times.
    fn tell_of_ends(&mut self, findings: &BTreeMap<String, Vec<Finding>>) {
        let mut told = BTreeMap::new();
        for (name, finding) in findings.iter().flat_map(|(name, found)| {
            let name = name.clone();
            found.iter().map(move |finding| (name.clone(), finding))
        }) {
            let Grade::Soon(days) = finding.grade else {
                continue;
            };
            let Some(step) = TELL_DAYS.iter().find(|step| days <= **step) else {
                continue;
            };
            told.insert(finding.path.clone(), *step);
            if self.watched_files.told.get(&finding.path) != Some(step) {
                let text = format!("{name}: {}", finding.sentence());
                let view = self
                    .cx
                    .names
                    .id(&name)
                    .and_then(|id| self.cx.engine.view(id));
                let state = view.map_or("", |view| view.state.name());
                let message = self.message(&name, state, NotifyOn::Certificate, text);
                self.notify(|on| on.contains(&NotifyOn::Certificate), message);
            }
        }
        if told == self.watched_files.told {
            return;
        }
        let service = Key::Certificates.name().to_owned();
        let record = serde_json::to_string(&told).expect("paths and numbers are plain data");
        self.watched_files.told = told;
        self.cx.tell(if self.watched_files.told.is_empty() {
            Request::Forget { service }
        } else {
            Request::Remember { service, record }
        });
    }

    /// The first thing of these grades that is wrong with a certificate of a service, as a sentence.
    fn finding(&self, service: &str, grade: impl Fn(Grade) -> bool) -> Option<String> {
        let found = self.watched_files.findings.get(service)?;
        let found = found.iter().find(|finding| grade(finding.grade))?;
        Some(found.sentence())
    }

    /// Why a service is degraded by its certificates, if it is.
    pub(super) fn certificate_trouble(&self, service: &str) -> Option<String> {
        self.finding(service, |grade| grade >= Grade::Degraded)
    }

    /// How a service's certificates stand, for people: why it is degraded, or which of them ends.
    pub(super) fn certificate_reason(&self, service: &str) -> Option<String> {
        let trouble = self.certificate_trouble(service);
        let trouble = trouble.map(|text| format!("degraded: {text}"));
        trouble.or_else(|| self.finding(service, |grade| matches!(grade, Grade::Soon(_))))
    }

    /// The verdict on a service's health: that of its probes, unless its certificates or its
    /// addresses say no.
    pub(super) fn healthy(&self, service: &str, view: &engine::View) -> Option<bool> {
        let up = matches!(view.state, State::Running { .. } | State::Reloading { .. });
        let deaf = self.listening.of(service) == Progress::Failed;
        if up && (deaf || self.certificate_trouble(service).is_some()) {
            return Some(false);
        }
        view.healthy
    }
}

/// The files of a service that are watched.
fn files_of(service: &Service) -> impl Iterator<Item = PathBuf> + '_ {
    let certificates = service.certificates.iter().flat_map(|it| {
        let files = [
            Some(&it.certificate),
            Some(&it.key),
            it.password_file.as_ref(),
        ];
        files.into_iter().flatten()
    });
    let copied = service.credentials.iter().map(|it| &it.source);
    let watches = service.watches.iter().map(|it| &it.path);
    certificates.chain(copied).chain(watches).cloned()
}

/// What a change of these files means for a service: the most that one of them asks for.
fn action(service: &Service, changed: &BTreeSet<PathBuf>) -> OnChange {
    let watches = service.watches.iter();
    let watches = watches.filter(|it| changed.contains(&it.path));
    let mut wishes: Vec<OnChange> = watches.map(|it| it.on_change).collect();
    let mut certificates = service.certificates.iter().flat_map(|it| {
        [
            Some(&it.certificate),
            Some(&it.key),
            it.password_file.as_ref(),
        ]
    });
    let mut copied = service.credentials.iter();
    if certificates.any(|file| file.is_some_and(|file| changed.contains(file)))
        || copied.any(|it| changed.contains(&it.source))
    {
        wishes.push(OnChange::Reload);
    }
    let can_reload = service.reload.is_some();
    if wishes.contains(&OnChange::Restart) || (wishes.contains(&OnChange::Reload) && !can_reload) {
        OnChange::Restart
    } else if wishes.contains(&OnChange::Reload) {
        OnChange::Reload
    } else {
        OnChange::Nothing
    }
}
