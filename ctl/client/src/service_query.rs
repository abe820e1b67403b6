//! Service names on the command line, and the requests that carry them.
//!
//! Only the server matches names, exactly or as shell patterns, so every command answers an unknown
//! name alike.

use clap::Args;
use clap_complete::ArgValueCompleter;

use crate::{complete::services, escaped};

// Any number of services.
#[expect(
    missing_docs,
    reason = "it would be the help of the command that takes it"
)]
#[derive(Debug, Args)]
pub struct ServicesArgs {
    /// Services; none means all
    #[arg(value_name = "NAME", add = ArgValueCompleter::new(services))]
    pub names: Vec<String>,
}

/// Path of a status request for these services; without names, for all services.
pub fn status_path(names: &[String]) -> String {
    if names.is_empty() {
        return "/v1/services".to_owned();
    }
    format!("/v1/services?services={}", escaped(&names.join(",")))
}

/// Path of a status request that also asks for CPU and memory.
pub fn usage_path(names: &[String]) -> String {
    let path = status_path(names);
    let joint = if names.is_empty() { '?' } else { '&' };
    format!("{path}{joint}usage=true")
}

/// Whether a name is a shell pattern.
pub fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?', '['])
}
