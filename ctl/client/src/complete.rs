//! Shell completion: the shell runs this program for each completion, so completion knows the
//! services of the running plan. Completion is fast or silent: a supervisor that is down or slow
//! yields no names and no error.

use std::{
    ffi::{OsStr, OsString},
    path::PathBuf,
    time::Duration,
};

use api::{ServiceState, StatusReply, ToolsReply};
use clap_complete::{CompletionCandidate, env::CompleteEnv};
use serde::de::DeserializeOwned;

use crate::{Client, options::words};

/// Environment variable that a completing shell sets, to the shell's name.
pub const VARIABLE: &str = "CTL_COMPLETE";
/// Longest wait of a shell for names.
const PATIENCE: Duration = Duration::from_millis(200);

/// Whether a shell runs this program to complete a line.
pub fn asked() -> bool {
    std::env::var_os(VARIABLE).is_some()
}

/// Answers a shell that completes a line, by this definition of the command line, and exits;
/// returns if no shell asks.
pub fn answer(definition: fn() -> clap::Command) {
    if asked() {
        CompleteEnv::with_factory(definition)
            .var(VARIABLE)
            .bin("ctl")
            .complete();
    }
}

/// Enabled tools of the running plan. For clap's `SubcommandCandidates`.
pub fn tools() -> Vec<CompletionCandidate> {
    let reply: Option<ToolsReply> = known("/v1/tools", socket(std::env::args_os()));
    let tools = reply.into_iter().flat_map(|reply| reply.tools);
    tools
        .filter(|tool| tool.enabled)
        .map(|tool| {
            let help = (!tool.description.is_empty()).then(|| tool.description.into());
            CompletionCandidate::new(tool.name).help(help)
        })
        .collect()
}

/// Services whose names begin with `begun`, that the line does not name yet, and to which its command
/// can do something. For clap's `ArgValueCompleter`.
pub fn services(begun: &OsStr) -> Vec<CompletionCandidate> {
    let begun = begun.to_string_lossy();
    let line: Vec<OsString> = line(std::env::args_os()).collect();
    let words = words(&line);
    let (command, named) = match words.as_slice() {
        [command, named @ .., _] => (command.as_str(), named),
        _ => ("", &[][..]),
    };
    let reply: Option<StatusReply> = known("/v1/services", socket(std::env::args_os()));
    reply
        .into_iter()
        .flat_map(|reply| reply.services)
        .filter(|service| service.name.starts_with(begun.as_ref()))
        .filter(|service| is_meant(command, service.state) && !named.contains(&service.name))
        .map(|service| {
            let help = (!service.description.is_empty()).then(|| service.description.into());
            CompletionCandidate::new(service.name).help(help)
        })
        .collect()
}

/// Whether a command can do something to a service in this state.
fn is_meant(command: &str, state: ServiceState) -> bool {
    use ServiceState::{Disabled, Reloading, Running, Spawning, Starting, Stopped, Stopping};
    match command {
        "start" | "once" => !matches!(state, Disabled | Spawning | Starting | Running | Reloading),
        "stop" => !matches!(state, Disabled | Stopped),
        "restart" | "start-except" | "stop-except" | "restart-except" => state != Disabled,
        "reload" | "hup" | "int" | "term" | "kill" | "usr1" | "usr2" | "quit" => {
            matches!(state, Starting | Running | Reloading | Stopping)
        }
        // What only looks may look at all.
        _ => true,
    }
}

fn known<T: DeserializeOwned>(path: &str, socket: PathBuf) -> Option<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .ok()?;
    let client = Client {
        answer_max: PATIENCE,
        reconnect_max: PATIENCE,
        ..Client::new(socket)
    };
    let ask = async { tokio::time::timeout(PATIENCE, client.get(path)).await };
    runtime.block_on(ask).ok()?.ok()
}

/// The words of the line being completed, from its program on. The shell passes them after `--`.
pub fn line(arguments: impl Iterator<Item = OsString>) -> impl Iterator<Item = OsString> {
    arguments.skip_while(|word| word != "--").skip(1)
}

/// The control socket, by the options of the line being completed.
fn socket(arguments: impl Iterator<Item = OsString>) -> PathBuf {
    let mut words = line(arguments);
    let (mut root, mut socket) = (None, None);
    while let Some(word) = words.next() {
        let Some(text) = word.to_str() else { continue };
        let (flag, value) = match text.split_once('=') {
            Some((flag, value)) => (flag, Some(OsString::from(value))),
            None => (text, None),
        };
        match flag {
            "--root" => root = value.or_else(|| words.next()),
            "--socket" => socket = value.or_else(|| words.next()),
            _ => {}
        }
    }
    crate::socket(root.map(PathBuf::from), socket.map(PathBuf::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> PathBuf {
        socket(line.split(' ').map(OsString::from))
    }

    #[test]
    fn the_line_says_which_supervisor_is_meant() {
        assert_eq!(
            of("ctl -- ctl --root /srv status m"),
            PathBuf::from("/srv/run/mattervisor/ctl.sock")
        );
        assert_eq!(
            of("ctl -- ctl --root=/srv --socket /s status"),
            PathBuf::from("/s")
        );
        assert_eq!(of("ctl -- ctl --root"), of("ctl -- ctl"));
    }

    #[test]
    fn a_command_is_offered_what_it_can_act_on() {
        let offered = |command| -> Vec<ServiceState> {
            let all = ServiceState::ALL.into_iter();
            all.filter(|state| is_meant(command, *state)).collect()
        };
        let running = ServiceState::Running;
        for (command, state, meant) in [
            ("start", ServiceState::Stopped, true),
            ("start", ServiceState::Failed, true),
            ("start", running, false),
            ("stop", running, true),
            // It would start again.
            ("stop", ServiceState::Backoff, true),
            ("stop", ServiceState::Stopped, false),
            ("reload", running, true),
            ("reload", ServiceState::Failed, false),
            ("restart", ServiceState::Stopped, true),
            ("restart", ServiceState::Disabled, false),
        ] {
            assert_eq!(is_meant(command, state), meant, "{command} {state:?}");
        }
        assert_eq!(offered("why"), ServiceState::ALL);
        assert_eq!(offered(""), ServiceState::ALL);
    }

    #[test]
    fn a_supervisor_that_is_down_gives_no_names() {
        let root = tempfile::tempdir().unwrap();
        let reply: Option<StatusReply> = known("/v1/services", root.path().join("ctl.sock"));
        assert_eq!(reply, None);
    }
}
