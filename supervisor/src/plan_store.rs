//! Plans on disk: the one that was applied last, which a control process or a boot goes on with,
//! and those that have worked, to go back to.
//!
//! Owner: jobs on the blocking pool. Both files are 0600, for plans hold secrets. Limit:
//! [`KEPT_MAX`].

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use api::KeptPlan;
use plan::Plan;
use serde::{Deserialize, Serialize};

use text::time;

use crate::{
    staging,
    staging::{Broken, StagedDirectory, StagedFile},
    store::{self, write_atomically},
};

const APPLIED: &str = "plan.json";
const KEPT: &str = "kept-plans.json";
/// Plans that are kept: the one that runs, once it has worked, and the one before it.
const KEPT_MAX: usize = 2;

/// The list of kept plans is read, changed and written by one job at a time.
static KEPT_LOCK: Mutex<()> = Mutex::new(());

/// Administrator who had a plan applied, and the time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AppliedBy {
    /// Wall clock, milliseconds of the Unix epoch.
    pub(crate) at_unix_ms: u64,
    /// The user or signal, for people: `root`, `SIGHUP`.
    pub(crate) by: String,
}

/// The administrator's files: path and content.
pub(crate) type Inputs = BTreeMap<PathBuf, String>;

/// The plan that was applied last.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Applied<P = Plan> {
    pub(crate) mark: AppliedBy,
    /// It was gone back to, from what these files said. As long as they still do, a boot does not
    /// apply them.
    pub(crate) rejected: Option<Inputs>,
    pub(crate) plan: P,
}

/// A plan to go back to: one that has worked, the first that there was, or the one before.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) mark: AppliedBy,
    /// Services that were not up with it.
    pub(crate) not_up: Vec<String>,
    pub(crate) plan: Plan,
}

impl Kept {
    /// The part of it that clients see.
    pub(crate) fn told(&self) -> KeptPlan {
        KeptPlan {
            at: time(self.mark.at_unix_ms),
            by: self.mark.by.clone(),
            not_up: self.not_up.clone(),
        }
    }
}

/// Everything that makes a plan the one that is applied.
#[derive(Debug)]
pub(crate) struct Swap<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) files: &'a [StagedFile],
    /// Directories that get another mode.
    pub(crate) modes: &'a [StagedDirectory],
    pub(crate) mark: &'a AppliedBy,
    pub(crate) rejected: Option<Inputs>,
    /// The plan that ran until now, kept if none is kept yet; `None` for the daemon's first.
    pub(crate) before: Option<Kept>,
}

/// State of the store after a swap.
#[derive(Debug, Default)]
pub(crate) struct Swapped {
    /// The plan that a rollback would go back to.
    pub(crate) rollback: Option<KeptPlan>,
    /// This plan has worked before.
    pub(crate) has_worked: bool,
    /// The plan is on disk.
    pub(crate) stored: bool,
    /// Services that did not get a file into their own account's directory, and why.
    pub(crate) spoiled: BTreeMap<String, Broken>,
}

/// The last plan that was applied, if one is stored and can be read by this version.
pub(crate) fn read(state_dir: &Path) -> Option<Applied> {
    // A file that is no plan has been put aside, which is in the log.
    store::read_json(&state_dir.join(APPLIED)).unwrap_or_default()
}

/// Files of plans that were none and have been put aside, in words.
pub(crate) fn look(state_dir: &Path) -> Vec<String> {
    let applied = store::read_json::<Applied>(&state_dir.join(APPLIED));
    let kept = store::read_json::<Vec<Kept>>(&state_dir.join(KEPT));
    let aside = applied.err().into_iter().chain(kept.err());
    aside.map(|it| it.to_string()).collect()
}

/// Puts candidates in place and stores the plan, or does neither: a control process that dies in
/// between leaves files that its successor puts back.
pub(crate) fn swap(state_dir: &Path, swap: Swap<'_>) -> io::Result<Swapped> {
    let first = swap.before.is_none();
    let applied = Applied {
        mark: swap.mark.clone(),
        rejected: swap.rejected,
        plan: swap.plan,
    };
    let text = serde_json::to_string(&applied)?;
    let path = state_dir.join(APPLIED);
    // Writing comes first: after this step nothing needs room on the disk.
    let written = match store::write_beside(&path, text.as_bytes()) {
        Ok(written) => written,
        Err(error) if first => {
            // Nothing runs that could be hurt, and services need their files.
            tracing::error!("cannot store the plan: {error}");
            staging::swap_each(swap.files, swap.modes);
            return Ok(Swapped::default());
        }
        Err(error) => return Err(error),
    };
    let mut spoiled = BTreeMap::new();
    if first {
        staging::swap_each(swap.files, swap.modes);
        store::put_in_place(&written, &path)?;
    } else {
        let undo = staging::swap(swap.files, swap.modes);
        let undo = undo.inspect_err(|_| store::forget_beside(&written))?;
        if let Err(error) = store::put_in_place(&written, &path) {
            undo.back();
            return Err(error);
        }
        spoiled = undo.forget();
    }
    if let Some(before) = swap.before {
        // A plan that could not be kept is worth a warning, and does not fail the change.
        if let Err(error) = keep(state_dir, before, true) {
            tracing::warn!("cannot keep the configuration before this one: {error}");
        }
    }
    let kept = kept(state_dir);
    Ok(Swapped {
        stored: true,
        spoiled,
        has_worked: kept.iter().any(|it| it.plan == *swap.plan),
        rollback: kept.iter().find(|it| it.plan != *swap.plan).map(Kept::told),
    })
}

/// Keeps a plan as the last that worked. `as_first`: only if none is kept.
pub(crate) fn keep(state_dir: &Path, worked: Kept, as_first: bool) -> io::Result<()> {
    let _one = KEPT_LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    let mut list = kept(state_dir);
    if as_first && !list.is_empty() {
        return Ok(());
    }
    list.retain(|it| it.plan != worked.plan);
    list.insert(0, worked);
    list.truncate(KEPT_MAX);
    let text = serde_json::to_string(&list)?;
    write_atomically(&state_dir.join(KEPT), text.as_bytes())
}

/// The last plan that worked and is another than the one that runs.
pub(crate) fn before(state_dir: &Path, running: &Plan) -> Option<Kept> {
    kept(state_dir).into_iter().find(|it| it.plan != *running)
}

/// The last that worked comes first. What this version cannot read cannot be gone back to.
fn kept(state_dir: &Path) -> Vec<Kept> {
    let kept = store::read_json(&state_dir.join(KEPT));
    kept.unwrap_or_default().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use plan::{Options, Paths};

    use std::fs;

    use super::*;

    fn plan(root: &Path, group: &str) -> Plan {
        let options = Options {
            root: root.to_owned(),
            catalog: None,
        };
        let mut plan = Plan::empty(Paths::new(&options));
        plan.control.admin_group = Some(group.to_owned());
        plan
    }

    fn kept_of(plan: &Plan, by: &str) -> Kept {
        Kept {
            mark: AppliedBy {
                at_unix_ms: 1_500,
                by: by.to_owned(),
            },
            not_up: Vec::new(),
            plan: plan.clone(),
        }
    }

    fn mark(by: &str) -> AppliedBy {
        AppliedBy {
            at_unix_ms: 7,
            by: by.to_owned(),
        }
    }

    #[test]
    fn a_rollback_goes_to_the_last_that_worked_and_is_another() {
        let dir = tempfile::tempdir().unwrap();
        let [a, b, c] = ["a", "b", "c"].map(|name| plan(dir.path(), name));
        assert!(before(dir.path(), &a).is_none());
        for (plan, by) in [(&a, "ann"), (&b, "bob")] {
            keep(dir.path(), kept_of(plan, by), false).unwrap();
        }
        let told = |running| before(dir.path(), running).unwrap().told();
        assert_eq!((told(&c).by, told(&c).at), ("bob".into(), time(1_500)));
        assert_eq!(told(&b).by, "ann");
        // Worked once more: it is the last one now, and known once.
        keep(dir.path(), kept_of(&a, "ann again"), false).unwrap();
        assert_eq!(told(&c).by, "ann again");
        assert_eq!(told(&a).by, "bob");
        keep(dir.path(), kept_of(&c, "eve"), true).unwrap();
        assert_eq!(told(&c).by, "ann again", "only the first of all");
        let mode = fs::metadata(dir.path().join(KEPT)).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::mode(&mode.permissions());
        assert_eq!(mode & 0o7777, 0o600);
    }

    #[test]
    fn files_and_plan_are_swapped_together_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (plan(dir.path(), "a"), plan(dir.path(), "b"));
        let file = |name: &str| StagedFile {
            service: "web".to_owned(),
            candidate: dir.path().join(format!(".{name}.candidate")),
            path: dir.path().join(name),
            user: None,
            altered: true,
            validate: Vec::new(),
        };
        let swapped = |plan: &Plan, files: &[StagedFile]| {
            swap(
                dir.path(),
                Swap {
                    plan,
                    files,
                    modes: &[],
                    mark: &mark("root"),
                    rejected: None,
                    before: Some(kept_of(plan, "root")),
                },
            )
        };
        let (one, two) = (file("one"), file("two"));
        fs::write(&one.path, "old").unwrap();
        fs::write(&one.candidate, "new").unwrap();
        swapped(&a, std::slice::from_ref(&one)).unwrap();
        assert_eq!(fs::read_to_string(&one.path).unwrap(), "new");
        fs::write(&one.candidate, "newer").unwrap();
        // The second candidate has gone: the first file comes back.
        swapped(&b, &[one.clone(), two.clone()]).unwrap_err();
        assert_eq!(fs::read_to_string(&one.path).unwrap(), "new");
        assert!(!two.path.exists());
        assert_eq!(read(dir.path()).unwrap().plan, a);
        let mut left: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|it| it.unwrap().file_name())
            .collect();
        left.sort();
        assert_eq!(left, ["kept-plans.json", "one", "plan.json"]);
    }
}
