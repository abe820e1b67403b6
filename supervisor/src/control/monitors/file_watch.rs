//! Watched files and certificates: what a change means for a running service, and which
//! certificates are in trouble.
//!
//! A job does the check: once when the files are known, whenever `inotify.rs` reports a change, and
//! once a day while there are certificates. An unusable certificate is reported and not loaded; a
//! certificate that clients do not trust makes its service degraded; a certificate that expires
//! soon is reported in time.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use engine::{Moment, RunId, ServiceId, State};
use keeper::message::Request;
use plan::{
    NotifyOn, OnChange, Service,
    certificates::{Finding, Grade},
};

use crate::control::{
    Context, Output, Task,
    api::reason::Reason,
    monitors::inotify::{POLL_EVERY, Seen, Stamp, Unwatched, WatchedFiles},
    record_keys::Key,
};

/// Interval of checks of certificates without any change.
const EVERY_MS: u64 = 24 * 3_600_000;
/// Days before the expiry of a certificate on which the expiry is reported.
const TELL_DAYS: [i64; 6] = [0, 1, 3, 7, 14, 30];

/// The last check of watched files and certificates, and when to check again.
#[derive(Debug, Default)]
pub(in crate::control) struct FileWatch {
    paths: BTreeSet<PathBuf>,
    seen: BTreeMap<PathBuf, Stamp>,
    findings: BTreeMap<ServiceId, Vec<Finding>>,
    /// The last reported value of [`TELL_DAYS`], by certificate.
    told: BTreeMap<PathBuf, i64>,
    /// When the process of a service began, wall clock.
    started: BTreeMap<ServiceId, u64>,
    due: Option<Moment>,
    looking: bool,
    /// Whether something has changed during a check.
    again: bool,
    /// Why files are not watched, so that they are checked at intervals.
    unwatched: Option<Unwatched>,
}

/// Files that have changed since a running service read them.
#[derive(Debug)]
pub(in crate::control) struct FilesChanged {
    pub(in crate::control) id: ServiceId,
    /// Whether the service restarts for them; else it reloads.
    pub(in crate::control) restarts: bool,
    pub(in crate::control) files: BTreeSet<PathBuf>,
    /// The change in words.
    pub(in crate::control) detail: String,
}

impl FileWatch {
    pub(in crate::control) fn poll_timeout(&self) -> Option<Moment> {
        self.due.filter(|_| !self.looking)
    }

    /// Warning for the administrator that changes are not watched.
    pub(in crate::control) fn warning(&self) -> Option<String> {
        let why = self.unwatched.filter(|_| !self.paths.is_empty())?;
        let seconds = POLL_EVERY.as_secs();
        Some(format!(
            "certificates and other watched files are looked at every {seconds} s only, since they cannot be watched: \
             {why}"
        ))
    }
}

impl FileWatch {
    /// Restores what an earlier control process has reported.
    pub(in crate::control) fn restore(&mut self, records: &BTreeMap<String, String>) {
        let record = Key::Certificates.of(records);
        let told = record.and_then(|record| serde_json::from_str(record).ok());
        self.told = told.unwrap_or_default();
    }

    /// Watches the files of the services that are enabled now.
    pub(in crate::control) fn follow_plan(&mut self, cx: &mut Context) {
        let enabled = cx.plan.services.values().filter(|it| it.enabled);
        let paths: BTreeSet<PathBuf> = enabled.flat_map(|it| files_of(it)).collect();
        self.findings.retain(|id, _| cx.service(*id).is_some());
        self.started.retain(|id, _| cx.service(*id).is_some());
        self.seen.retain(|path, _| paths.contains(path));
        if self.paths == paths {
            // The requirements for a certificate may have changed.
            if !paths.is_empty() {
                self.look(cx);
            }
            return;
        }
        self.paths.clone_from(&paths);
        if paths.is_empty() {
            self.findings.clear();
            self.due = None;
        }
        // The check follows once the watch has begun.
        let paths = paths.into_iter().collect();
        cx.output(Output::WatchFiles(paths));
    }

    pub(in crate::control) fn timeout(&mut self, cx: &mut Context) {
        let due = self.poll_timeout();
        if due.is_some_and(|due| due <= cx.now.moment) {
            self.look(cx);
        }
    }

    /// Takes a report: files may have changed, the watch has begun, or the watch has failed.
    pub(in crate::control) fn on_touched(
        &mut self,
        cx: &mut Context,
        unwatched: Option<Unwatched>,
    ) {
        let before = std::mem::replace(&mut self.unwatched, unwatched);
        match self.warning() {
            Some(warning) if before.is_none() => tracing::warn!("{warning}"),
            None if before.is_some() => tracing::info!("watched files are watched again"),
            _ => {}
        }
        self.look(cx);
    }

    /// Checks the files, since something may have changed.
    pub(in crate::control) fn look(&mut self, cx: &mut Context) {
        if self.paths.is_empty() {
            return;
        }
        if self.looking {
            self.again = true;
            return;
        }
        self.looking = true;
        let enabled = cx.plan.services.values().filter(|it| it.enabled);
        let with = enabled.filter(|it| !it.certificates.is_empty());
        let certificates = with.map(|it| (it.name.clone(), it.certificates.clone()));
        let certificates: Vec<_> = certificates.collect();
        let due = cx.now.moment.after(EVERY_MS);
        self.due = Some(due).filter(|_| !certificates.is_empty());
        let paths = self.paths.clone();
        let look = WatchedFiles {
            certificates,
            paths,
        };
        cx.queue_task(Task::LookAtFiles(look));
    }

    /// Takes the result of a check. Returns the services that are to take changed files.
    pub(in crate::control) fn on_seen(
        &mut self,
        cx: &mut Context,
        seen: Seen,
    ) -> Vec<FilesChanged> {
        self.looking = false;
        let changed = self.changed_files(&seen.stamps);
        self.seen = seen.stamps;
        self.take_findings(cx, seen.findings);
        let services: Vec<String> = cx.plan.services.keys().cloned().collect();
        let due = services
            .iter()
            .filter_map(|name| self.due_of(cx, name, &changed))
            .collect();
        if std::mem::take(&mut self.again) {
            self.look(cx);
        }
        due
    }

    /// Files that differ from the last check; at the first check, any may.
    fn changed_files(&self, stamps: &BTreeMap<PathBuf, Stamp>) -> BTreeSet<PathBuf> {
        let seen = &self.seen;
        let first = seen.is_empty();
        let differs = |path: &PathBuf, stamp: &Stamp| match seen.get(path) {
            Some(before) => before.content != stamp.content,
            None => first,
        };
        let changed = stamps.iter().filter(|(path, stamp)| differs(path, stamp));
        changed.map(|(path, _)| path.clone()).collect()
    }

    /// A run of a service reads its files as they are now.
    pub(in crate::control) fn on_run_started(&mut self, cx: &Context, run: RunId) {
        let reads = |id: &ServiceId| {
            cx.service(*id)
                .is_some_and(|it| files_of(it).next().is_some())
        };
        let id = cx.run(run).and_then(|known| known.service);
        if let Some(id) = id.filter(reads) {
            self.started.insert(id, cx.now.unix_ms);
        }
    }

    /// Since when a service has read its files, wall clock; none: the service does not run.
    fn read_since(&self, cx: &Context, name: &str) -> Option<u64> {
        let id = cx.names.id(name)?;
        let view = cx.engine.view(id)?;
        // A completed oneshot has read its files too.
        let oneshot = cx.plan.services.get(name).is_some_and(|it| it.oneshot);
        let done = oneshot && matches!(view.state, State::Completed);
        if cx.engine.main_run(id).is_none() && !done {
            return None;
        }
        let since = view.since;
        let since = cx.now.unix_ms.saturating_sub(cx.now.moment.since(since));
        // Of a run that began under an earlier control process only the state is known.
        let started = self.started.get(&id);
        Some(started.copied().unwrap_or(since))
    }

    /// What a running service is to do for its changed files; none: nothing.
    fn due_of(
        &self,
        cx: &mut Context,
        name: &str,
        changed: &BTreeSet<PathBuf>,
    ) -> Option<FilesChanged> {
        let service = cx.plan.services.get(name).filter(|it| it.enabled)?;
        let since = self.read_since(cx, name)?;
        // The time at which a file was removed is unknown.
        let gone = |stamp: &Stamp| stamp.content.is_none();
        let newer = |path: &PathBuf| {
            let stamp = self.seen.get(path);
            stamp.is_none_or(|stamp| stamp.changed_ms > since || gone(stamp))
        };
        let files: BTreeSet<PathBuf> = files_of(service)
            .filter(|it| changed.contains(it) && newer(it))
            .collect();
        let id = cx.names.id(name).filter(|_| !files.is_empty())?;
        let action = action(service, &files);
        let listed = text::list(files.iter().map(|path| path.display().to_string()));
        if let Some(unusable) = self.finding(id, |grade| grade == Grade::Unusable) {
            let detail = format!("{listed} changed on disk and is not loaded: {unusable}");
            tracing::warn!(service = name, "{detail}");
            cx.publish(name, api::EventKind::Files, &detail, None);
            return None;
        }
        let verb = match action {
            OnChange::Reload => "reloads",
            OnChange::Restart => "restarts",
            OnChange::Nothing => return None,
        };
        Some(FilesChanged {
            id,
            restarts: action == OnChange::Restart,
            detail: format!("{listed} changed on disk: {name} {verb}"),
            files,
        })
    }

    /// Takes the present findings; reports the new ones.
    fn take_findings(&mut self, cx: &mut Context, findings: BTreeMap<String, Vec<Finding>>) {
        let of_plan = |name: &str| cx.plan.services.get(name).and(cx.names.id(name));
        let findings = findings.into_iter();
        let findings: BTreeMap<ServiceId, _> = findings
            .filter_map(|(name, found)| Some((of_plan(&name)?, found)))
            .collect();
        let before = std::mem::replace(&mut self.findings, findings);
        let now = self.findings.clone();
        for (id, found) in &now {
            let known = before.get(id).map_or(&[][..], Vec::as_slice);
            if found == known {
                continue;
            }
            let name = cx.name(*id).to_owned();
            for finding in found.iter().filter(|it| !known.contains(it)) {
                let sentence = finding.sentence();
                tracing::warn!(service = name, "{sentence}");
                cx.publish(&name, api::EventKind::Certificate, &sentence, None);
            }
            if found.is_empty() {
                cx.publish(
                    &name,
                    api::EventKind::Certificate,
                    "nothing is wrong any more",
                    None,
                );
            }
            cx.touch(*id);
        }
        self.tell_of_ends(cx, &now);
    }

    /// Reports certificates that expire soon, each several times.
    fn tell_of_ends(&mut self, cx: &mut Context, findings: &BTreeMap<ServiceId, Vec<Finding>>) {
        let mut told = BTreeMap::new();
        let each = findings
            .iter()
            .flat_map(|(id, found)| found.iter().map(move |finding| (*id, finding)));
        for (id, finding) in each {
            let Grade::Soon(days) = finding.grade else {
                continue;
            };
            let Some(step) = TELL_DAYS.iter().find(|step| days <= **step) else {
                continue;
            };
            told.insert(finding.path.clone(), *step);
            if self.told.get(&finding.path) != Some(step) {
                let name = cx.name(id).to_owned();
                let text = format!("{name}: {}", finding.sentence());
                cx.alert(&name, NotifyOn::Certificate, text);
            }
        }
        if told == self.told {
            return;
        }
        let service = Key::Certificates.name().to_owned();
        let record = serde_json::to_string(&told).expect("paths and numbers are plain data");
        self.told = told;
        cx.tell(if self.told.is_empty() {
            Request::Forget { service }
        } else {
            Request::Remember { service, record }
        });
    }

    /// The first finding of these grades about a certificate of a service, as a sentence.
    fn finding(&self, service: ServiceId, grade: impl Fn(Grade) -> bool) -> Option<String> {
        let found = self.findings.get(&service)?;
        let found = found.iter().find(|finding| grade(finding.grade))?;
        Some(found.sentence())
    }

    /// Why certificates make a service degraded, if so.
    pub(in crate::control) fn certificate_trouble(&self, service: ServiceId) -> Option<String> {
        self.finding(service, |grade| grade >= Grade::Degraded)
    }

    /// The state of a service's certificates, for people: why the service is degraded, or which
    /// certificate expires.
    pub(in crate::control) fn certificate_reason(&self, service: ServiceId) -> Reason {
        let mut reason = Reason::default();
        if let Some(trouble) = self.certificate_trouble(service) {
            reason.push_degraded(trouble);
        } else if let Some(ends) = self.finding(service, |it| matches!(it, Grade::Soon(_))) {
            reason.push(ends);
        }
        reason
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

/// What a change of these files means for a service: the strongest action that a file asks for.
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
