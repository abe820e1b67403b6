//! What a control process reads from the state directory before its loop begins.

use keeper::message::Hello;
use nix::unistd::{Uid, User};
use plan::{Options, Paths, Plan};

use super::lifecycle::Boot;
use crate::{applied, history, store};

/// The plan and the state to begin with. `seed` feeds the jitter.
#[expect(
    clippy::disallowed_methods,
    reason = "before the loop: nobody waits for an answer yet"
)]
pub(super) fn read(hello: &Hello, options: &Options, seed: u64) -> (Plan, Boot) {
    let paths = Paths::new(options);
    let kernel_boot_id = store::boot_id();
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
    match store::read_schedule(&paths.state_dir) {
        Ok(handled) => boot.handled = handled,
        Err(aside) => boot
            .aside
            .push(format!("{aside}; no run of a schedule is made up for")),
    }
    match store::read_running(&paths.state_dir) {
        Ok(running) => boot.running = running,
        Err(aside) => boot.aside.push(format!(
            "{aside}; what ran when the supervisor was killed is not known"
        )),
    }
    // What is remembered besides is not of a plan.
    let nothing_yet = !hello
        .records
        .keys()
        .any(|name| super::memory::is_a_services(name));
    let applied = if nothing_yet {
        boot.aside.extend(applied::look(&paths.state_dir));
        boot.aside.extend(history::look(&paths.state_dir));
        None
    } else {
        applied::read(&paths.state_dir)
    };
    let Some(applied) = applied else {
        return (Plan::empty(paths), boot);
    };
    boot.applied = Some((applied.mark, applied.rejected));
    (applied.plan, boot)
}
