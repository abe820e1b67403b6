//! Completion: a shell asks this program itself, so that it knows the services that there are. It
//! is fast or silent: a supervisor that is down or slow gives no names, and no error either.

use std::{
    ffi::{OsStr, OsString},
    io::{self, Write},
    path::PathBuf,
    time::Duration,
};

use api::StatusReply;
use clap_complete::{CompletionCandidate, env::CompleteEnv, env::Shells};

use crate::{cli, client::Client};

/// By this variable a shell says that it asks, and which it is.
const VARIABLE: &str = "CTL_COMPLETE";
/// Nobody waits longer for names.
const PATIENCE: Duration = Duration::from_millis(200);

/// Answers a shell that asks, and ends; otherwise does nothing.
pub(crate) fn answer() {
    if std::env::var_os(VARIABLE).is_some() {
        CompleteEnv::with_factory(cli::command)
            .var(VARIABLE)
            .bin("ctl")
            .complete();
    }
}

/// Writes what a shell reads to learn to ask; `program` is whom it asks.
pub(crate) fn registration(shell: cli::Shell, program: &str, to: &mut dyn Write) -> io::Result<()> {
    let name = match shell {
        cli::Shell::Bash => "bash",
        cli::Shell::Zsh => "zsh",
        cli::Shell::Fish => "fish",
    };
    let shells = Shells::builtins();
    let completer = shells
        .completer(name)
        .ok_or_else(|| io::Error::other(format!("there are no completions for {name}")))?;
    completer.write_registration(VARIABLE, "ctl", "ctl", program, to)
}

/// Names of services that begin so. For clap's `ArgValueCompleter`.
pub(crate) fn services(begun: &OsStr) -> Vec<CompletionCandidate> {
    let begun = begun.to_string_lossy();
    let reply = known(socket(std::env::args_os()));
    reply
        .into_iter()
        .flat_map(|reply| reply.services)
        .filter(|service| service.name.starts_with(begun.as_ref()))
        .map(|service| {
            let help = (!service.description.is_empty()).then(|| service.description.into());
            CompletionCandidate::new(service.name).help(help)
        })
        .collect()
}

fn known(socket: PathBuf) -> Option<StatusReply> {
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
    let ask = async { tokio::time::timeout(PATIENCE, client.get("/v1/services")).await };
    runtime.block_on(ask).ok()?.ok()
}

/// The socket that the line being completed means. The shell hands it over after `--`.
fn socket(arguments: impl Iterator<Item = OsString>) -> PathBuf {
    let mut words = arguments.skip_while(|word| word != "--").skip(1);
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
    crate::commands::socket(root.map(PathBuf::from), socket.map(PathBuf::from))
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
    fn a_supervisor_that_is_down_gives_no_names() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(known(root.path().join("ctl.sock")), None);
    }

    #[test]
    fn the_man_page_is_that_of_the_definition() {
        let mut page = Vec::new();
        clap_mangen::Man::new(cli::command().name("ctl"))
            .render(&mut page)
            .unwrap();
        // One page for all: the generator refers to a page for each command.
        let page = String::from_utf8(page).unwrap();
        let page = page
            .lines()
            .map(|line| {
                match line
                    .strip_prefix("ctl\\-")
                    .and_then(|it| it.strip_suffix("(1)"))
                {
                    Some(name) => format!("\\fBctl {name}\\fR\n"),
                    None => format!("{line}\n"),
                }
            })
            .collect::<String>();
        let place = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/man/ctl.1");
        if std::env::var_os("MATTERVISOR_UPDATE").is_some() {
            std::fs::write(place, &page).unwrap();
        }
        let kept = std::fs::read_to_string(place).unwrap_or_default();
        assert!(
            kept == page,
            "{place} is out of date; write it anew: MATTERVISOR_UPDATE=1 cargo test -p ctl man_page"
        );
    }
}
