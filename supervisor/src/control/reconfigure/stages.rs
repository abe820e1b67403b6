//! The steps of a reconfiguration that are jobs, up to the point where nothing has changed yet.

use std::{collections::VecDeque, fmt::Write as _, sync::Arc};

use api::{ErrorKind, ErrorReply, FileCheck, HostChange};
use keeper::message::Request;
use plan::Plan;

use crate::{
    accounts::{Accounts, MakeCommand},
    control::{
        Control, Job,
        reconfigure::{LastWord, LoadResult, Stage},
    },
    load_plan::{Loaded, NotLoaded},
    plan_store,
    staging::{Broken, Staged},
};

/// Problems that are told over the API; the rest is counted.
pub(super) const PROBLEMS_TOLD_MAX: usize = 50;
const UNCHANGED: Option<&str> = Some("nothing has changed");

impl Control {
    fn is_dry_run(&self) -> bool {
        self.reconfigure.request.preview.is_some()
    }

    pub(super) fn on_loaded(&mut self, result: Result<Loaded, NotLoaded>) {
        match result {
            Ok(mut loaded) => {
                if loaded.kept.is_none() && loaded.rejected.is_none() && !self.is_dry_run() {
                    self.set_refused(None);
                }
                let host = secrets(&loaded);
                if let Some(mark) = loaded.mark {
                    self.reconfigure.request.mark = mark;
                }
                if !self.is_dry_run() {
                    self.state_warnings.note_put_back(&mut self.cx, &loaded.put_back);
                }
                for remark in &loaded.plan.remarks {
                    tracing::warn!("{remark}");
                }
                self.reconfigure.loaded = LoadResult {
                    kept: loaded.kept,
                    rolled_back: loaded.rejected.is_some(),
                    rejected: loaded.rejected,
                    // Plans are compared without them.
                    remarks: std::mem::take(&mut loaded.plan.remarks),
                    host,
                    ..LoadResult::default()
                };
                self.with_plan(Arc::from(loaded.plan));
            }
            Err(NotLoaded::Problems(problems)) => self.on_refused_plan(&problems),
            Err(NotLoaded::NothingKept) => self.give_up(
                ErrorKind::Refused,
                "there is no configuration to go back to: none that worked differs from the one that runs".to_owned(),
                Some("ctl diff-config compares the one that runs with the files"),
            ),
        }
    }

    /// A plan that checks: what does it need?
    pub(super) fn with_plan(&mut self, plan: Arc<Plan>) {
        self.cx.job(Job::MissingAccounts { plan: plan.clone() });
        self.reconfigure.stage = Stage::Accounts {
            plan,
            left: VecDeque::new(),
            run: None,
            making: None,
        };
    }

    fn on_refused_plan(&mut self, problems: &[plan::Problem]) {
        if !self.is_dry_run() {
            for problem in problems {
                tracing::error!("{problem}");
            }
        }
        let said: Vec<_> = problems
            .iter()
            .take(PROBLEMS_TOLD_MAX)
            .map(ToString::to_string)
            .collect();
        let message = format!("the configuration does not check:\n{}", said.join("\n"));
        if self.reconfigure.first {
            let Some(applied) = plan_store::read(&self.cx.plan.paths.state_dir) else {
                tracing::error!("there is no configuration that has ever worked; giving up");
                self.cx.tell(Request::Quit {
                    code: crate::exit::CONFIGURATION,
                });
                return;
            };
            tracing::error!("the last good configuration runs instead");
            self.set_refused(Some(super::REFUSED.to_owned()));
            self.reconfigure.request.mark = applied.mark;
            self.reconfigure.loaded.rolled_back = applied.rejected.is_some();
            self.reconfigure.loaded.rejected = applied.rejected;
            self.with_plan(Arc::new(applied.plan));
            return;
        }
        let hint = Some("nothing has changed; mend the files and try again");
        self.give_up(ErrorKind::Configuration, message, hint);
    }

    /// A clash refuses a change; at the daemon's start it fails that service alone, by what `Stage`
    /// finds again.
    pub(super) fn on_missing_accounts(&mut self, accounts: Accounts) {
        if !self.reconfigure.first && !accounts.clashes.is_empty() {
            let clashes = accounts.clashes.iter();
            let said: Vec<_> = clashes
                .map(|(name, why)| format!("{name}: {why}"))
                .collect();
            self.give_up(ErrorKind::Configuration, said.join("\n"), UNCHANGED);
            return;
        }
        let dry_run = self.is_dry_run();
        if dry_run {
            let made = accounts.commands.iter().map(created);
            self.reconfigure.loaded.host.extend(made);
        } else if let Stage::Accounts { left, .. } = &mut self.reconfigure.stage {
            *left = accounts.commands.into();
        }
        self.next_account();
    }

    /// Removes what an earlier control process left of a plan, if there is anything.
    fn clear_left(&mut self, then: Option<&Arc<Plan>>) -> bool {
        let staged = self.left_candidates();
        let any = !staged.is_empty();
        if any {
            self.reconfigure.stage = Stage::Clearing(then.cloned());
            self.cx.job(Job::Discard {
                staged,
                made: Vec::new(),
            });
        }
        any
    }

    /// All accounts are there, or cannot be had.
    pub(super) fn stage(&mut self, plan: Arc<Plan>) {
        if self.clear_left(Some(&plan)) {
            return;
        }
        let rehearsal = self.is_dry_run();
        self.note_candidates(Some(&plan));
        self.reconfigure.stage = Stage::Staging { plan: plan.clone() };
        self.cx.job(Job::Stage { plan, rehearsal });
    }

    pub(super) fn on_staged(&mut self, mut staged: Staged) {
        let without_account = std::mem::take(&mut self.reconfigure.without_account);
        let without_account = without_account.into_iter();
        let without_account = without_account.map(|(name, why)| (name, Broken { why, own: None }));
        staged.broken.extend(without_account);
        match std::mem::take(&mut self.reconfigure.stage) {
            Stage::Resolving => self.on_resolved_all(staged),
            Stage::Staging { plan } => {
                // The first plan has nothing running that a bad file could hurt: a service's own
                // validator sees it before the start and fails that service alone.
                let checked = !self.reconfigure.first;
                if checked && let Some((service, why)) = staged.first_refused() {
                    let refused = refused(format!("{service}: {why}"), UNCHANGED);
                    self.discard_and_say(staged, LastWord::Refused(refused));
                    return;
                }
                let left = staged
                    .files
                    .iter()
                    .filter(|file| checked && !file.validate.is_empty());
                let left = left.cloned().collect();
                self.reconfigure.loaded.host.append(&mut staged.host);
                let left_out = std::mem::take(&mut staged.left_out);
                self.reconfigure.loaded.checks.extend(left_out);
                if checked {
                    self.reconfigure.loaded.spoiled(&staged.broken);
                }
                self.reconfigure.stage = Stage::Checking {
                    plan,
                    staged: Box::new(staged),
                    left,
                    run: None,
                };
                self.next_check();
            }
            other => self.reconfigure.stage = other,
        }
    }

    /// A control process that took over knows all that its plan needs.
    fn on_resolved_all(&mut self, staged: Staged) {
        self.starts.note_lacking(&mut self.cx, &staged.resolved);
        self.starts.note_broken(&mut self.cx, staged.broken);
        self.schedule_follows_plan(staged.zone);
        if staged.files.is_empty() {
            self.on_put_back();
            return;
        }
        // Files that are not as the plan has them: of a swap that was cut short, or somebody's own.
        self.reconfigure.stage = Stage::PuttingBack;
        let staged = staged.files;
        self.cx.job(if self.probation.is_swapping() {
            Job::PutBack { staged }
        } else {
            let made = Vec::new();
            Job::Discard { staged, made }
        });
    }

    pub(super) fn on_put_back(&mut self) {
        if self.clear_left(None) {
            return;
        }
        self.note_swapping(false);
        let ended = std::mem::take(&mut self.reconfigure);
        self.start_what_waits(ended.next, ended.again);
    }

    /// A rendered file is not as it should be.
    pub(super) fn on_bad_candidate(&mut self, detail: &str) {
        let Stage::Checking {
            plan, staged, run, ..
        } = std::mem::take(&mut self.reconfigure.stage)
        else {
            return;
        };
        let check = run.map(|(_, check)| check);
        let which = check.as_ref().map_or_else(String::new, |it| {
            let service = plan.services.get(&it.service);
            let user = service.and_then(|it| it.user.as_deref());
            // What root could read, that account may not.
            let user = user.map_or_else(String::new, |user| format!(", read as {user}"));
            format!(" ({}{user})", it.path)
        });
        let mut message = format!("a rendered file does not check{which}:\n{detail}");
        if let Some((number, line)) = check.and_then(|it| meant(&plan, &it, detail)) {
            let _ = write!(message, "\nline {number} is: {line}");
        }
        // The program's own words may be hard to read; a warning often says it plainly.
        for line in self.reconfigure.loaded.warnings() {
            let _ = write!(message, "\n{line}");
        }
        let hint = Some("nothing has changed; the old file is still in place");
        self.discard_and_say(*staged, LastWord::Refused(refused(message, hint)));
    }
}

/// The line that the checking program complains of: the candidate is gone when this is read.
fn meant(plan: &Plan, check: &FileCheck, detail: &str) -> Option<(usize, String)> {
    let service = plan.services.get(&check.service)?;
    let mut files = service.files.iter();
    let file = files.find(|it| it.path.display().to_string() == check.path)?;
    plan::file_diff::meant(file, detail)
}

fn refused(message: String, hint: Option<&str>) -> ErrorReply {
    ErrorReply {
        kind: ErrorKind::Configuration,
        message,
        hint: hint.map(str::to_owned),
    }
}

fn created(command: &MakeCommand) -> HostChange {
    HostChange {
        action: super::CREATE.to_owned(),
        what: command.what.clone(),
        services: command.services.clone(),
    }
}

/// Secrets that only a dry run leaves missing.
fn secrets(loaded: &Loaded) -> Vec<HostChange> {
    let change = |action: &str, service: &str, key: &str| HostChange {
        action: action.to_owned(),
        what: format!("secret {service}.{key}"),
        services: vec![service.to_owned()],
    };
    let back = loaded.put_back.iter();
    let back = back.map(|(service, key)| change("put back", service, key));
    let missing = loaded.plan.missing_secrets.iter();
    back.chain(missing.map(|it| change("generate", &it.service, &it.key)))
        .collect()
}
