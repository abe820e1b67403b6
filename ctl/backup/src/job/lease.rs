//! Mattermost's stop for the time of the job: a lease of the supervisor's. It ends with the job too, should
//! we die.

use std::path::PathBuf;

use api::{LeaseRequest, ReleaseRequest};
use serde_json::{Value, json};

use super::socket::{Answer, ask};
use crate::{Error, Step, Stop, Unit, Watch, create::Pause};

/// Where the supervisor is asked, in our environment.
const VARIABLE: &str = "MATTERVISOR_SOCKET";
const PATH: &str = "/v1/leases";

/// The lease of one job.
pub(crate) struct Lease<'c> {
    job: &'c str,
    services: &'c [String],
    held: bool,
    stop: Stop,
}

impl<'c> Lease<'c> {
    pub(crate) fn new(job: &'c str, services: &'c [String], stop: &Stop) -> Self {
        Self {
            job,
            services,
            held: false,
            stop: stop.clone(),
        }
    }

    /// The next run of the job has it.
    pub(crate) fn leave(&mut self) {
        self.held = false;
    }

    /// Gives back what is held, if anything is.
    pub(crate) fn end(&mut self) -> Result<(), Error> {
        if self.held { self.resume() } else { Ok(()) }
    }

    fn ask(&self, method: &str, body: &Value) -> Result<(), Error> {
        let socket = std::env::var_os(VARIABLE)
            .map(PathBuf::from)
            .ok_or(Error::NoJob)?;
        let answer = ask(&socket, method, PATH, body, &self.stop);
        let answer = answer.map_err(Error::with("ask the supervisor at", &socket))?;
        judge(&answer)
    }
}

impl Pause for Lease<'_> {
    fn pause(&mut self, watch: &mut Watch) -> Result<(), Error> {
        watch.step(Step::StopMattermost, None, Unit::Files);
        // Whatever comes back: what may be stopped is given back.
        self.held = true;
        let request = LeaseRequest {
            id: None,
            job: self.job.to_owned(),
            services: self.services.to_vec(),
        };
        self.ask("POST", &json!(request))
    }

    fn resume(&mut self) -> Result<(), Error> {
        self.held = false;
        let request = ReleaseRequest {
            id: None,
            job: self.job.to_owned(),
        };
        self.ask("DELETE", &json!(request))
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if self.held {
            let _ = self.resume();
        }
    }
}

/// Whether all services came to what was asked.
fn judge(answer: &Answer) -> Result<(), Error> {
    let last = &answer.last;
    let failed = last["results"].as_array().into_iter().flatten();
    let failed = failed.filter(|one| !matches!(one["verdict"].as_str(), Some("done" | "already")));
    let named: Vec<String> = failed
        .map(|one| {
            let text = |key: &str| one[key].as_str().unwrap_or_default();
            format!("{} {}: {}", text("service"), text("state"), text("detail"))
        })
        .collect();
    if answer.status == 200 && last["progress"] == "done" && named.is_empty() {
        return Ok(());
    }
    let why = match last["message"].as_str() {
        Some(message) => message.to_owned(),
        None => named.join(", "),
    };
    Err(Error::Lease { why })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(last: Value) -> Result<(), String> {
        judge(&Answer { status: 200, last }).map_err(|error| error.to_string())
    }

    #[test]
    fn only_what_is_said_to_be_done_is_done() {
        let done = json!({"progress": "done", "finished": true, "results": [
            {"service": "mattermost", "verdict": "done", "state": "stopped", "detail": ""}]});
        assert_eq!(judged(done), Ok(()));
        let failed = json!({"progress": "done", "results": [
            {"service": "mattermost", "verdict": "failed", "state": "stopping", "detail": "did not end"}]});
        let said = judged(failed).expect_err("it failed");
        assert!(said.contains("mattermost stopping: did not end"), "{said}");
        let refused = json!({"progress": "refused", "message": "a reconfigure is under way"});
        let said = judged(refused).expect_err("it was refused");
        assert!(said.contains("a reconfigure is under way"), "{said}");
    }
}
