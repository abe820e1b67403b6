//! Reads a status.

use api::{ServiceStatus, StatusReply};

/// How the warning begins that a run without root always has.
pub const WITHOUT_ROOT: &str = "runs without root";

/// Shorthands for what tests read in a status.
pub trait StatusExt {
    /// A service by name; fails the test if the status does not list that service.
    fn service(&self, name: &str) -> &ServiceStatus;

    /// What `ctl status` warns of, except that the supervisor runs without root.
    fn warnings(&self) -> Vec<&str>;

    /// The state of a service.
    fn state(&self, name: &str) -> &'static str {
        self.service(name).state.as_str()
    }

    /// The main process of a service; fails the test if the service has none.
    fn pid(&self, name: &str) -> i32 {
        let service = self.service(name);
        service
            .pid
            .unwrap_or_else(|| panic!("{name} has no process: {service:#?}"))
    }

    /// Whether a service runs (or has completed) and is ready.
    fn ready(&self, name: &str) -> bool {
        self.service(name).ready
    }
}

impl StatusExt for StatusReply {
    fn service(&self, name: &str) -> &ServiceStatus {
        let found = self.services.iter().find(|service| service.name == name);
        found.unwrap_or_else(|| panic!("no service {name} in the status: {self:#?}"))
    }

    fn warnings(&self) -> Vec<&str> {
        let all = self.supervisor.warnings.iter().map(String::as_str);
        all.filter(|it| !it.starts_with(WITHOUT_ROOT)).collect()
    }
}
