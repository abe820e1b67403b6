//! What control knows of logs: where they are, and who asked for a rotation. It reads none.

use api::{ErrorReply, Outcome};
use keeper::message::Request;

use super::{Control, matching, spawn::log_dir};
use crate::ask::{LogPlace, Peer};

impl Control {
    /// Where the lines of these services are; of all that are enabled if there are no names.
    pub(super) fn log_places(&self, names: &[String]) -> Result<Vec<LogPlace>, ErrorReply> {
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

    /// Has the keeper rotate the logs of these services.
    pub(super) fn rotate_logs(
        &mut self,
        id: &str,
        names: &[String],
        peer: &Peer,
    ) -> Result<Vec<String>, ErrorReply> {
        let names = self.with_logs(names)?;
        for name in &names {
            self.publish(name, "change", "rotate log", Some(&peer.name));
            self.tell(Request::Rotate {
                service: name.clone(),
            });
        }
        self.record_asked(id, peer, "rotate log", &names);
        let outcome = Outcome {
            rollback: None,
            unstored: api::Unstored::default(),
            id: id.to_owned(),
            finished: true,
            results: Vec::new(),
        };
        self.record_ended(&outcome, false);
        tracing::info!(by = peer.name, services = names.join(" "), "rotate logs");
        Ok(names)
    }

    fn with_logs(&self, names: &[String]) -> Result<Vec<String>, ErrorReply> {
        match names {
            [] => Ok(self.enabled()),
            some => matching(some, &self.plan.services),
        }
    }
}
