//! The fourth step: each service's own program looks at its candidates.

use std::{collections::BTreeSet, fmt::Write as _};

use api::FileCheck;
use engine::RunId;
use keeper::message::Spawn;
use plan::Plan;

use crate::{
    control::{
        Context,
        operations::Operations,
        reconfigure::{
            attempt_step::AttemptStep,
            last_word::refused,
            pipeline::step_run::{STEP_TIMEOUT_MS, spawn_step},
            stage::{Stage, StagedPlan},
            state::Reconfigure,
        },
        runs::spawn::helper_spawn,
    },
    staging::{OwnerChange, StagedFile},
};

impl Reconfigure {
    pub(super) fn next_check(
        &mut self,
        cx: &mut Context,
        operations: &mut Operations,
    ) -> AttemptStep {
        let Stage::Checking { staged, left, run } = &mut self.attempt.stage else {
            return AttemptStep::Wait;
        };
        let Some(file) = left.pop_front() else {
            return match std::mem::take(&mut self.attempt.stage) {
                Stage::Checking { staged, .. } => AttemptStep::Weigh(staged),
                _ => AttemptStep::Wait,
            };
        };
        let number = cx.engine.allocate_run();
        let check = FileCheck {
            service: file.service.clone(),
            path: file.path.display().to_string(),
            passed: true,
            detail: String::new(),
        };
        let step = format!("checks {}", check.path);
        let spawn = check_spawn(staged, number, file);
        *run = Some((number, check));
        match spawn {
            Ok(spawn) => {
                self.attempt.say_step(cx, operations, step);
                spawn_step(cx, number, spawn);
                AttemptStep::Wait
            }
            Err(why) => self.on_bad_candidate(cx, &why),
        }
    }

    /// A program has looked at its candidate.
    pub(super) fn candidate_checked(
        &mut self,
        cx: &mut Context,
        operations: &mut Operations,
        result: Result<(), &str>,
    ) -> AttemptStep {
        if let Err(why) = result {
            return self.on_bad_candidate(cx, why);
        }
        if let Stage::Checking { run, .. } = &mut self.attempt.stage
            && let Some((_, check)) = run.take()
        {
            self.attempt.loaded.checks.push(check);
        }
        self.next_check(cx, operations)
    }

    /// Refuses the plan, as a program does not take its candidate.
    fn on_bad_candidate(&mut self, cx: &mut Context, detail: &str) -> AttemptStep {
        let Stage::Checking { staged, run, .. } = std::mem::take(&mut self.attempt.stage) else {
            return AttemptStep::Wait;
        };
        let StagedPlan { plan, staged } = staged;
        let check = run.map(|(_, check)| check);
        let which = check.as_ref().map_or_else(String::new, |it| {
            let service = plan.services.get(&it.service);
            let user = service.and_then(|it| it.user.as_deref());
            // The account may not be able to read what root could read.
            let user = user.map_or_else(String::new, |user| format!(", read as {user}"));
            format!(" ({}{user})", it.path)
        });
        let mut message = format!("a rendered file does not check{which}:\n{detail}");
        if let Some((number, line)) = check.and_then(|it| meant(&plan, &it, detail)) {
            let _ = write!(message, "\nline {number} is: {line}");
        }
        // The program's own words may be hard to read; a warning often says it plainly.
        for line in self.attempt.loaded.warnings() {
            let _ = write!(message, "\n{line}");
        }
        let hint = "nothing has changed; the old file is still in place";
        self.attempt.discard(cx, *staged, refused(message, hint))
    }
}

/// The line that the checking program complains of: the candidate is gone when this is read.
fn meant(plan: &Plan, check: &FileCheck, detail: &str) -> Option<(usize, String)> {
    let service = plan.services.get(&check.service)?;
    let mut files = service.files.iter();
    let file = files.find(|it| it.path.display().to_string() == check.path)?;
    plan::file_diff::meant(file, detail)
}

/// The check of a candidate, as the service itself would be run by the plan that is being checked:
/// what its account may not read, the service is not to find in its configuration either.
fn check_spawn(
    StagedPlan { plan, staged }: &StagedPlan,
    number: RunId,
    file: StagedFile,
) -> Result<Spawn, String> {
    let gone = || format!("{} has left the plan", file.service);
    let service = plan.services.get(&file.service).ok_or_else(gone)?;
    match staged.resolved.get(&file.service) {
        Some(Ok(resolved)) => {
            let spawn = helper_spawn(service, resolved, number, file.validate, STEP_TIMEOUT_MS)?;
            Ok(let_in(spawn, staged.owners.get(&file.service)))
        }
        Some(Err(why)) => Err(why.to_string()),
        None => Err(gone()),
    }
}

/// What the program reads lies in directories that change hands only when the service starts: until
/// then their groups let it in.
fn let_in(mut spawn: Spawn, changes: Option<&Vec<OwnerChange>>) -> Spawn {
    if let Some(ids) = &mut spawn.ids {
        let groups = changes.into_iter().flatten().map(|it| it.from.gid);
        let groups = groups.filter(|gid| *gid != 0 && *gid != ids.gid);
        let groups: BTreeSet<u32> = groups.chain(ids.groups.iter().copied()).collect();
        ids.groups = groups.into_iter().collect();
    }
    spawn
}
