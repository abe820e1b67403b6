//! Files that only root may read are copied, and reload tokens written, before a service's validator
//! sees its configuration, so before each start and reload.

use engine::RunId;

use crate::{control::Control, credentials::NotLaid, prepare::Resolved};

impl Control {
    /// The validator has all that it needs, or not the copies.
    pub(in crate::control) fn start_validator(
        &mut self,
        service: &plan::Service,
        run: RunId,
        resolved: &Resolved,
        laid: Result<(), NotLaid>,
        filled: Result<(), String>,
    ) {
        let name = &service.name;
        if let Err(why) = filled {
            // Nobody asks one that starts for it.
            if self.cx.main_run_of(name).is_some() {
                self.helper_ended(run, Err(why));
                return;
            }
            tracing::warn!(service = name, "{why}");
            self.cx.publish(name, "files", &why, None);
        }
        if let Err(why) = laid {
            // What it has had is better than not to start; a reload would only seem to be one.
            if !why.earlier || self.cx.main_run_of(name).is_some() {
                self.helper_ended(run, Err(why.reason));
                return;
            }
            let what = format!("starts with the files that it had: {}", why.reason);
            tracing::warn!(service = name, "{what}");
            self.cx.publish(name, "files", &what, None);
        }
        if service.validate.is_empty() {
            self.helper_ended(run, Ok(String::new()));
        } else {
            self.spawn_helper(service, run, resolved);
        }
    }
}
