//! Whether the account that a service runs with is another by now, which no file of the
//! configuration says.

use std::sync::Arc;

use engine::ServiceId;

use crate::{control::Context, prepare::Resolved, unready::Unready};

impl Context {
    /// In words, what is another of the account that a service runs with. The service goes on as it
    /// is.
    pub(in crate::control) fn moved_account(
        &self,
        id: ServiceId,
        found: Option<&Result<Arc<Resolved>, Unready>>,
    ) -> Option<String> {
        let main = self.run(self.engine.main_run(id)?)?;
        let had = main.resolved.as_ref()?;
        let now = found?.as_ref().ok()?;
        let (had, now) = differs(had, now)?;
        let name = self.name(id);
        Some(format!(
            "runs with {had}, but its account has {now} now: ctl restart {name} takes that"
        ))
    }
}

/// What a run has, and what its account has instead.
fn differs(had: &Resolved, now: &Resolved) -> Option<(String, String)> {
    let (had, now) = (had.ids.as_ref()?, now.ids.as_ref()?);
    let list = |groups: &[u32]| {
        let groups: Vec<_> = groups.iter().map(u32::to_string).collect();
        groups.join(", ")
    };
    let said = |word: &str, had: String, now: String| {
        let differ = had != now;
        differ.then(|| (format!("{word} {had}"), format!("{word} {now}")))
    };
    said("uid", had.uid.to_string(), now.uid.to_string())
        .or_else(|| said("gid", had.gid.to_string(), now.gid.to_string()))
        .or_else(|| said("groups", list(&had.groups), list(&now.groups)))
}
