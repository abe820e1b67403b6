//! The process that brings one message to one target: a command from the plan, or `deliver` of our
//! own binary.
//!
//! Owns nothing: this module describes the process, and the keeper runs it. Limits: a command has
//! [`COMMAND_TIMEOUT_MS`], any other delivery [`DELIVERY_TIMEOUT_MS`].

use std::collections::BTreeMap;

use engine::RunId;
use keeper::message::Spawn;
use plan::{NotifyBy, NotifyTarget};

use crate::{
    deliver::{self, Message},
    programs,
};

/// Service name of a delivery's run; no real service can have this name.
const OWNER: &str = "@notify";
/// Longest time of a command.
const COMMAND_TIMEOUT_MS: u64 = 10_000;
/// Limit of a delivery, with all attempts and pauses; a delivery normally ends by itself before.
const DELIVERY_TIMEOUT_MS: u64 = 120_000;
/// Variables of our own environment that a delivery needs.
const PASSED_ON: [&str; 11] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "MATTERVISOR_SENDMAIL",
];

/// Whether a run is a delivery, which goes on when the control process is replaced.
pub(in crate::control) fn is_delivery(service: &str) -> bool {
    service == OWNER
}

/// Host name of this machine.
pub(super) fn host() -> String {
    // The kernel answers from memory; this call does not block.
    proc::host_name()
}

/// The process that delivers a message: a command itself, everything else by `deliver`.
pub(super) fn spawn(run: RunId, target: &NotifyTarget, message: Message) -> Result<Spawn, String> {
    let mut env = BTreeMap::from([("PATH".to_owned(), programs::PATH.to_owned())]);
    let (argv, timeout_ms) = if let NotifyBy::Command(argv) = &target.by {
        let mut argv = argv.clone();
        let program = argv.first_mut().ok_or("its command is empty")?;
        *program = programs::look_up(program, programs::PATH)?;
        env.extend(variables(&message));
        (argv, COMMAND_TIMEOUT_MS)
    } else {
        for name in PASSED_ON {
            if let Ok(value) = std::env::var(name) {
                env.insert(name.to_owned(), value);
            }
        }
        let errand = deliver::Errand {
            by: target.by.clone(),
            message,
        };
        let errand = serde_json::to_string(&errand).expect("an errand is plain data");
        env.insert(deliver::VARIABLE.to_owned(), errand);
        // Our own running program, even if a package has replaced the file meanwhile.
        let own = proc::program_path(std::process::id());
        (vec![own, "deliver".to_owned()], DELIVERY_TIMEOUT_MS)
    };
    Ok(Spawn::helper(run.0, OWNER, argv, env, timeout_ms))
}

/// Environment variables for a command.
fn variables(message: &Message) -> [(String, String); 7] {
    let (cause, at) = (message.cause_name().to_owned(), message.at());
    [
        ("MATTERVISOR_SERVICE", message.service.clone()),
        ("MATTERVISOR_CAUSE", cause),
        ("MATTERVISOR_STATE", message.state.clone()),
        ("MATTERVISOR_TEXT", message.text.replace('\0', " ")),
        ("MATTERVISOR_AT", at),
        ("MATTERVISOR_COUNT", message.count.to_string()),
        ("MATTERVISOR_HOST", message.host.clone()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
}
