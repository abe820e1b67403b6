//! What control knows of logs: where they are, and who asked for a rotation. It reads none.

use api::ErrorReply;
use keeper::message::Request;

use crate::{
    ask::{LogPlace, Peer},
    control::{Control, operations::audit, runs::spawn::log_dir},
    service_query::matching,
};

impl Control {
    /// Where the lines of these services are; of all that are enabled if there are no names.
    pub(in crate::control) fn log_places(
        &self,
        names: &[String],
    ) -> Result<Vec<LogPlace>, ErrorReply> {
        let places = self.with_logs(names)?.into_iter().map(|service| LogPlace {
            dir: log_dir(&self.cx.plan.paths, &service),
            files: self
                .cx
                .plan
                .services
                .get(&service)
                .map_or_else(Vec::new, |it| it.log_files.clone()),
            service,
        });
        Ok(places.collect())
    }

    /// Has the keeper rotate the logs of these services.
    pub(in crate::control) fn rotate_logs(
        &mut self,
        id: &str,
        names: &[String],
        peer: &Peer,
    ) -> Result<Vec<String>, ErrorReply> {
        let names = self.with_logs(names)?;
        for name in &names {
            self.cx
                .publish(name, "change", "rotate log", Some(&peer.name));
            self.cx.tell(Request::Rotate {
                service: name.clone(),
            });
        }
        let asked = audit::asked(self.cx.now.unix_ms, id, peer, "rotate log", &names);
        self.audit.done(&mut self.cx, asked);
        tracing::info!(by = peer.name, services = names.join(" "), "rotate logs");
        Ok(names)
    }

    fn with_logs(&self, names: &[String]) -> Result<Vec<String>, ErrorReply> {
        match names {
            [] => Ok(self.enabled()),
            some => matching(some, &self.cx.plan.services),
        }
    }
}
