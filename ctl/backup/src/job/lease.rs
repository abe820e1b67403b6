//! Stops Mattermost for the time of the job, by a lease of the supervisor. The lease ends with the
//! job, even if the job dies.

use std::path::PathBuf;

use api::{ErrorReply, LeaseRequest, Progress, ReleaseRequest, Verdict};
use serde_json::{Value, json};

use super::socket::{Answer, ask};
use crate::{Error, Step, Stop, Unit, Watch, create::Pause};

/// Environment variable with the path of the control socket.
const VARIABLE: &str = "MATTERVISOR_SOCKET";
const PATH: &str = "/v1/leases";
/// Method that takes the lease: Mattermost is stopped.
const TAKE: &str = "POST";
/// Method that releases the lease: Mattermost is started again.
const RELEASE: &str = "DELETE";

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

    /// Leaves the lease to the next run of the job.
    pub(crate) fn leave(&mut self) {
        self.held = false;
    }

    /// Releases the lease, if it is held.
    pub(crate) fn end(&mut self) -> Result<(), Error> {
        if self.held { self.resume() } else { Ok(()) }
    }

    fn ask(&self, method: &str, body: &Value) -> Result<(), Error> {
        let socket = std::env::var_os(VARIABLE)
            .map(PathBuf::from)
            .ok_or(Error::NoJob)?;
        let answer = ask(&socket, method, PATH, body, &self.stop);
        let answer = answer.map_err(Error::with("ask the supervisor at", &socket))?;
        judge(&answer).map_err(|why| Error::Lease {
            doing: if method == TAKE { "stop" } else { "start" },
            why,
        })
    }
}

impl Pause for Lease<'_> {
    fn pause(&mut self, watch: &mut Watch) -> Result<(), Error> {
        watch.step(Step::StopMattermost, None, Unit::Files);
        // Set before the request: whatever the answer is, services may be stopped and the lease
        // must be released.
        self.held = true;
        let request = LeaseRequest {
            id: None,
            job: self.job.to_owned(),
            services: self.services.to_vec(),
        };
        self.ask(TAKE, &json!(request))
    }

    fn resume(&mut self) -> Result<(), Error> {
        self.held = false;
        let request = ReleaseRequest {
            id: None,
            job: self.job.to_owned(),
        };
        self.ask(RELEASE, &json!(request))
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if self.held {
            let _ = self.resume();
        }
    }
}

/// Checks that all services reached the requested state; otherwise answers why not.
fn judge(answer: &Answer) -> Result<(), String> {
    let why = match serde_json::from_value::<Progress>(answer.last.clone()) {
        Ok(Progress::Done(outcome)) => {
            let failed = outcome.results.iter();
            let mut failed =
                failed.filter(|it| !matches!(it.verdict, Verdict::Done | Verdict::Already));
            let first = failed.next();
            if answer.status == 200 && outcome.finished && first.is_none() {
                return Ok(());
            }
            let all = first.into_iter().chain(failed);
            let named = all.map(|it| format!("{} {}: {}", it.service, it.full_state(), it.detail));
            match named.collect::<Vec<_>>().join(", ") {
                none if none.is_empty() => "it has not come to its end".to_owned(),
                named => named,
            }
        }
        Ok(Progress::Refused(error)) => error.message,
        // A refusal before any progress, or an answer that broke off.
        _ => serde_json::from_value::<ErrorReply>(answer.last.clone()).map_or_else(
            |_| "it has not said how it ended".to_owned(),
            |it| it.message,
        ),
    };
    Err(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(last: Value) -> Result<(), String> {
        judge(&Answer { status: 200, last })
    }

    #[test]
    fn only_what_is_said_to_be_done_is_done() {
        let line = |finished: bool, verdict: &str, detail: &str| {
            json!({"progress": "done", "id": "one", "finished": finished, "results": [{
                "service": "mattermost", "verdict": verdict, "state": "stopping", "pid": null,
                "seconds": 0, "state_in_full": null, "detail": detail,
            }]})
        };
        assert_eq!(judged(line(true, "done", "")), Ok(()));
        assert!(judged(line(false, "done", "")).is_err(), "it goes on");
        let said = judged(line(true, "failed", "did not end")).expect_err("it failed");
        assert!(said.contains("mattermost stopping: did not end"), "{said}");
        let message = "a reconfigure is under way";
        for refused in [
            json!({"progress": "refused", "kind": "busy", "message": message}),
            json!({"kind": "busy", "message": message}),
        ] {
            let said = judged(refused).expect_err("it was refused");
            assert!(said.contains(message), "{said}");
        }
        let said = judged(json!({"progress": "accepted"})).expect_err("it broke off");
        assert!(said.contains("has not said how it ended"), "{said}");
    }
}
