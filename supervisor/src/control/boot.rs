//! What a control process reads from the state directory before its loop begins.

use std::{collections::BTreeMap, path::Path};

use keeper::message::Hello;
use nix::unistd::{Uid, User};
use plan::{Options, Paths, Plan};

use crate::{
    control::runs::exits,
    history,
    plan_store::{self, AppliedBy, Inputs},
    staging,
    store::{self, Running, StoredHold},
};

/// The input of a new control process.
#[derive(Debug, Default)]
pub(crate) struct Boot {
    /// Seed of the jitter of restarts and schedules.
    pub(crate) seed: u64,
    /// Holds that survived an earlier daemon.
    pub(crate) holds: BTreeMap<String, StoredHold>,
    /// The moment up to which an earlier daemon has handled schedules.
    pub(crate) handled: crate::store::Handled,
    /// The maintenance of the host, if any.
    pub(crate) maintenance: Option<api::Maintenance>,
    /// Whether status files were written, which may still exist.
    pub(crate) status_files: bool,
    /// Main runs that were alive when the file was last stored.
    pub(crate) running: crate::store::Running,
    /// The kernel's boot id.
    pub(crate) kernel_boot_id: String,
    /// Name of the user that the supervisor runs as.
    pub(crate) own_user: String,
    /// Warnings for status: missing privileges, unreadable state.
    pub(crate) warnings: Vec<String>,
    /// Warnings for status about state files that were set aside.
    pub(crate) aside: Vec<String>,
    /// Of the plan on disk: who applied it, and which rejected files it replaces.
    pub(crate) applied: Option<(AppliedBy, Option<Inputs>)>,
}

/// Reads the plan and the state to begin with. `seed` feeds the jitter.
#[expect(
    clippy::disallowed_methods,
    reason = "before the loop: nobody waits for an answer yet"
)]
pub(super) fn read(hello: &Hello, options: &Options, seed: u64) -> (Plan, Boot) {
    let paths = Paths::new(options);
    let kernel_boot_id = proc::boot_id();
    let own_uid = Uid::effective();
    let own_user = match User::from_uid(own_uid) {
        Ok(Some(user)) => user.name,
        _ => own_uid.to_string(),
    };
    let mut boot = Boot {
        seed,
        kernel_boot_id,
        own_user,
        ..Boot::default()
    };
    if !own_uid.is_root() {
        boot.warnings.push(
            "runs without root: every service has the supervisor's own user, so they are not protected from each other".to_owned(),
        );
    }
    match store::Holds::read(&paths.state_dir, &boot.kernel_boot_id) {
        Ok(holds) => boot.holds = holds,
        Err(aside) => boot
            .aside
            .push(format!("{aside}; who stopped what is not known")),
    }
    match store::read_maintenance(&paths.state_dir) {
        Ok(maintenance) => boot.maintenance = maintenance,
        Err(aside) => boot.aside.push(format!(
            "{aside}; whether there was maintenance is not known, so there is none"
        )),
    }
    match crate::status_files::may_be_left(&paths.state_dir) {
        Ok(some) => boot.status_files = some,
        Err(aside) => boot.aside.push(format!(
            "{aside}; status files of an earlier plan may be left"
        )),
    }
    match store::read_schedule(&paths.state_dir) {
        Ok(handled) => boot.handled = handled,
        Err(aside) => boot
            .aside
            .push(format!("{aside}; no run of a schedule is made up for")),
    }
    match store::read_running(&paths.state_dir) {
        Ok(running) => {
            let daemon = exits::daemon(&boot.kernel_boot_id, hello.started_ms);
            boot.running = without_told(running, &daemon, &paths.state_dir);
        }
        Err(aside) => boot.aside.push(format!(
            "{aside}; what ran when the supervisor was killed is not known"
        )),
    }
    // What is remembered besides is not of a plan.
    let nothing_yet = !hello
        .records
        .keys()
        .any(|name| crate::control::record_keys::is_a_services(name));
    let applied = if nothing_yet {
        boot.aside.extend(plan_store::look(&paths.state_dir));
        boot.aside.extend(history::look(&paths.state_dir));
        boot.aside
            .extend(staging::look_at_journal(&paths.state_dir));
        None
    } else {
        plan_store::read(&paths.state_dir)
    };
    let Some(applied) = applied else {
        return (Plan::empty(paths), boot);
    };
    boot.applied = Some((applied.mark, applied.rejected));
    (applied.plan, boot)
}

/// Drops runs of an earlier daemon whose end is in the history: the history was written, and the
/// power failed before the file of runs was. For runs of this daemon the keeper knows what is
/// written.
pub(super) fn without_told(mut running: Running, daemon: &str, state_dir: &Path) -> Running {
    let of_it = |id: &String| id.rsplit_once('-').is_some_and(|(of, _)| of == daemon);
    let unseen = running.0.iter().filter(|(id, _)| !of_it(id));
    let Some(since) = unseen.map(|(_, live)| live.since.clone()).min() else {
        return running;
    };
    match history::exits::ids(state_dir, &since) {
        Ok(told) => running.0.retain(|id, _| !told.contains(id)),
        // Readers of the history count each run once.
        Err(error) => tracing::error!("cannot read how runs ended before: {error}"),
    }
    running
}
