//! Names of services on the command line. The server alone knows and matches them (exactly, or as
//! shell patterns), so that an unknown one is answered the same way everywhere.

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

/// Where to ask for the status of these; of all if there are none.
pub fn status_path(names: &[String]) -> String {
    if names.is_empty() {
        return "/v1/services".to_owned();
    }
    format!("/v1/services?services={}", escaped(&names.join(",")))
}

/// The same, with what they use.
pub fn usage_path(names: &[String]) -> String {
    let path = status_path(names);
    let joint = if names.is_empty() { '?' } else { '&' };
    format!("{path}{joint}usage=true")
}

/// Whether a name is a pattern for several.
pub fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?', '['])
}
