//! Services that could not start for want of something that is there now.
//!
//! What failed a service alone (its account, its directory, its program) is not in the plan, so a
//! comparison of plans does not see it mended. Whoever mends it says `ctl reconfigure`.

use engine::{Goal, ServiceId, State};

use crate::{control::Control, staging::Staged};

impl Control {
    /// Those that failed for it and would not now, in order.
    pub(super) fn mended(&self, staged: &Staged) -> Vec<String> {
        let lacked = |id: ServiceId| self.starts.is_lacking(id);
        let has_it = staged.resolved.iter().filter(|(name, resolved)| {
            let found = resolved.is_ok() || self.reconfigure.loaded.would_have_account(name);
            found && !staged.broken.contains_key(name.as_str())
        });
        let failed = |name: &&String| {
            let view = self
                .cx
                .names
                .id(name)
                .and_then(|id| self.cx.engine.view(id));
            view.is_some_and(|view| {
                matches!(view.state, State::Failed { .. }) && view.goal == Goal::Up
            })
        };
        let names = has_it
            .map(|(name, _)| name)
            .filter(|name| self.cx.names.id(name).is_some_and(lacked))
            .filter(failed);
        names.cloned().collect()
    }

    /// Those that are down and would be judged otherwise before a start: they are not left to wait for
    /// their next try.
    pub(super) fn judged_anew(&self, plan: &plan::Plan) -> Vec<String> {
        let down = |name: &str| {
            let view = self
                .cx
                .names
                .id(name)
                .and_then(|id| self.cx.engine.view(id));
            view.is_some_and(|view| {
                matches!(view.state, State::Failed { .. } | State::Backoff { .. })
                    && view.goal == Goal::Up
            })
        };
        let otherwise = |service: &plan::Service| {
            let before = self.cx.plan.services.get(&service.name);
            before.is_some_and(|before| before.validate != service.validate)
        };
        let services = plan.services.values().map(AsRef::as_ref);
        let found = services.filter(|it| otherwise(it) && down(&it.name));
        found.map(|service| service.name.clone()).collect()
    }
}
