//! What control knows of logs: where they are, who asked for a rotation, and which cannot be written. It
//! reads none.

use api::ErrorReply;
use keeper::message::{LogTrouble, Request};

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

    /// The keeper says how the log of a service stands.
    pub(in crate::control) fn on_log_trouble(
        &mut self,
        service: &str,
        trouble: Option<LogTrouble>,
    ) {
        let kind = |it: Option<&LogTrouble>| it.map(std::mem::discriminant);
        let id = self.cx.names.id(service);
        let before = id.and_then(|id| self.log_troubles.remove(&id));
        if !self.cx.plan.services.contains_key(service) {
            return;
        }
        if kind(before.as_ref()) != kind(trouble.as_ref()) {
            let text = trouble.as_ref().map_or_else(
                || "nothing is wrong with its log any more".to_owned(),
                sentence,
            );
            tracing::warn!(service, "{text}");
            self.cx.publish(service, "log", &text, None);
        }
        if let Some((id, trouble)) = id.zip(trouble) {
            self.log_troubles.insert(id, trouble);
        }
    }

    /// What is wrong with the log of a service, for people.
    pub(in crate::control) fn log_reason(&self, service: &str) -> Option<String> {
        let id = self.cx.names.id(service)?;
        self.log_troubles.get(&id).map(sentence)
    }

    fn with_logs(&self, names: &[String]) -> Result<Vec<String>, ErrorReply> {
        match names {
            [] => Ok(self.enabled()),
            some => matching(some, &self.cx.plan.services),
        }
    }
}

fn sentence(trouble: &LogTrouble) -> String {
    match trouble {
        LogTrouble::LosesLines { lines, why } => {
            format!("its log has lost lines that could not be written, at least {lines}: {why}")
        }
        LogTrouble::NotRotated { why } => {
            format!("its log cannot be rotated and grows: {why}")
        }
    }
}
