//! Where logs are, and their rotation for clients. Control itself reads no log.

use api::{ErrorReply, EventKind};
use keeper::message::Request;

use crate::{
    ask::{LogPlace, Peer},
    control::{
        Context,
        operations::audit::{self, AuditLog},
        runs::spawn::log_dir,
    },
    service_query::matching,
};

impl Context {
    /// Places of the logs of these services; of all enabled services if no names are given.
    pub(in crate::control) fn log_places(
        &self,
        names: &[String],
    ) -> Result<Vec<LogPlace>, ErrorReply> {
        let places = self.with_logs(names)?.into_iter().map(|service| LogPlace {
            dir: log_dir(&self.plan.paths, &service),
            files: self
                .plan
                .services
                .get(&service)
                .map_or_else(Vec::new, |it| it.log_files.clone()),
            service,
        });
        Ok(places.collect())
    }

    fn with_logs(&self, names: &[String]) -> Result<Vec<String>, ErrorReply> {
        match names {
            [] => Ok(self.enabled()),
            some => matching(some, &self.plan.services),
        }
    }

    /// Enabled services, in the order of their names.
    pub(in crate::control) fn enabled(&self) -> Vec<String> {
        let services = self.plan.services.values().filter(|it| it.enabled);
        services.map(|it| it.name.clone()).collect()
    }
}

/// Has the keeper rotate the logs of these services.
pub(in crate::control) fn rotate(
    cx: &mut Context,
    audit_log: &mut AuditLog,
    id: &str,
    names: &[String],
    peer: &Peer,
) -> Result<Vec<String>, ErrorReply> {
    let names = cx.with_logs(names)?;
    for name in &names {
        cx.publish(name, EventKind::Change, "rotate log", Some(&peer.name));
        cx.tell(Request::Rotate {
            service: name.clone(),
        });
    }
    let asked = audit::asked(cx.now.unix_ms, id, peer, "rotate log", &names);
    audit_log.done(cx, asked);
    tracing::info!(by = peer.name, services = names.join(" "), "rotate logs");
    Ok(names)
}
