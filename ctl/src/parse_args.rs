//! Parses the arguments into a [`Cli`], or into the answer to a wrong command line or to a request
//! for help.

use std::ffi::OsString;

use api::Tool;
use clap::{CommandFactory, FromArgMatches, error::ErrorKind};
use client::{
    Error, Kind,
    command_line::Stop,
    options::words,
    programs::{self, Program},
};

use crate::cli::{self, Cli};

/// The program that carries out the command, if it is not `ctl` itself.
pub(crate) fn program(arguments: &[OsString]) -> Option<&'static Program> {
    let words = words(arguments);
    let mut words = words.iter().map(String::as_str);
    match words.next()? {
        "help" => programs::of(words.next()?),
        command => programs::of(command),
    }
}

/// Whether the last word of a line is an argument of a tool.
pub(crate) fn is_past_tool(line: &[OsString]) -> bool {
    let words = words(line);
    let Some(first) = words.first().filter(|it| !it.is_empty() && *it != "help") else {
        return false;
    };
    let past = line.last().is_some_and(|last| last != first.as_str()) || words.len() > 1;
    let command = cli::command();
    past && !command.get_subcommands().any(|it| it.get_name() == first)
}

/// Reads the command line.
pub(crate) fn parse(arguments: &[OsString]) -> Result<Cli, Stop> {
    let read = |command: clap::Command| {
        command
            .try_get_matches_from(arguments)
            .and_then(|matches| Cli::from_arg_matches(&matches))
    };
    // Groups and examples are built for a line that gets help or an error as its answer: a start of
    // `ctl` that does its work does not pay for them.
    read(Cli::command())
        .or_else(|_| read(cli::command()))
        .map_err(|error| explain(arguments, &error))
}

fn explain(arguments: &[OsString], error: &clap::Error) -> Stop {
    let words = words(arguments);
    let ours = match error.kind() {
        ErrorKind::InvalidSubcommand => no_help(&words),
        ErrorKind::MissingRequiredArgument => words.first().and_then(|verb| nameless(verb)),
        _ => None,
    };
    if let Some(error) = ours {
        return Stop::Error(error);
    }
    Stop::from(error)
}

/// Swapped words, as in `ctl mattermost restart`: other tools take the name first.
fn swapped(words: &[String]) -> Option<Error> {
    let [name, verb, rest @ ..] = words else {
        return None;
    };
    let command = cli::command();
    if !command
        .get_subcommands()
        .any(|known| known.get_name() == verb)
    {
        return None;
    }
    let corrected = [&[verb.clone(), name.clone()], rest].concat().join(" ");
    Some(
        Error::new(Kind::Usage, format!("there is no command `{name}`"))
            .hint(format!("did you mean: ctl {corrected}?")),
    )
}

/// The error for a word that is neither a command nor a tool.
pub(crate) fn no_such_command(words: &[OsString], tools: Result<Vec<Tool>, Error>) -> Error {
    let words: Vec<String> = words
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    if let Some(error) = swapped(&words) {
        return error;
    }
    let asked = words.first().map_or("", String::as_str);
    let error = Error::new(Kind::Usage, format!("there is no command `{asked}`"));
    let command = cli::command();
    let ours = command.get_subcommands().map(clap::Command::get_name);
    let theirs = tools.iter().flatten().map(|tool| tool.name.as_str());
    if let Some(near) = plan::nearest(asked, ours.chain(theirs)) {
        return error.hint(format!("did you mean: ctl {near}?"));
    }
    match tools {
        // The word may be a tool of a plan that cannot be read.
        Err(why) => why,
        Ok(_) => error.hint("ctl help lists the commands, ctl tools what else it runs"),
    }
}

/// The error for `ctl help` of a word that is not a command.
fn no_help(words: &[String]) -> Option<Error> {
    let [help, name, ..] = words else {
        return None;
    };
    let message = format!("ctl has no command `{name}` to help with");
    (help == "help").then(|| {
        Error::new(Kind::Usage, message).hint(format!("a tool explains itself: ctl {name} --help"))
    })
}

/// The error for a command without a name that never means all services.
fn nameless(verb: &str) -> Option<Error> {
    let why = match verb {
        "start-except" | "stop-except" | "restart-except" => {
            format!("`ctl {verb}` needs the names of the services that are left alone")
        }
        "once" | "reload" | "hup" | "int" | "term" | "kill" | "usr1" | "usr2" | "quit" => {
            format!("`ctl {verb}` needs the name of a service; it never means all of them")
        }
        "why" => "`ctl why` needs the name of a service".to_owned(),
        _ => return None,
    };
    Some(Error::new(Kind::Usage, why).hint(format!(
        "ctl {verb} NAME; `ctl service-list` shows the names"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::ctl;

    fn stopped(line: &str) -> (String, u8) {
        let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        match parse(&arguments).unwrap_err() {
            Stop::Shown { text, code } => (anstream::adapter::strip_str(&text).to_string(), code),
            Stop::Error(error) => (
                format!("{}\n{}", error.message, error.hints.join("\n")),
                error.kind.exit_code(),
            ),
        }
    }

    #[test]
    fn swapped_words_are_put_right() {
        let ran = ctl("ctl --root /nonexistent mattermost restart");
        assert_eq!(ran.code, 2);
        assert_eq!(
            ran.err,
            "error: there is no command `mattermost`\nhint: did you mean: ctl restart mattermost?\n"
        );
    }

    #[test]
    fn a_mistyped_command_is_answered_with_the_nearest() {
        let ran = ctl("ctl --root /nonexistent statsu");
        assert_eq!(ran.code, 2);
        assert_eq!(
            ran.err,
            "error: there is no command `statsu`\nhint: did you mean: ctl status?\n"
        );
        let (text, code) = stopped("ctl help psql");
        assert_eq!(code, 2);
        assert!(text.contains("ctl psql --help"), "{text}");
    }

    #[test]
    fn a_signal_or_reload_without_a_name_is_refused() {
        for verb in [
            "once", "reload", "hup", "int", "term", "kill", "usr1", "usr2", "quit",
        ] {
            let (text, code) = stopped(&format!("ctl {verb}"));
            assert_eq!(code, 2);
            assert!(
                text.starts_with(&format!("`ctl {verb}` needs the name")),
                "{text}"
            );
        }
    }

    #[test]
    fn help_is_a_word_too() {
        let (text, code) = stopped("ctl help");
        assert_eq!(code, 0);
        assert!(text.contains("Exit codes:"), "{text}");
        let (text, code) = stopped("ctl help restart");
        assert_eq!(code, 0);
        assert!(text.contains("Usage: ctl restart"), "{text}");
    }

    #[test]
    fn ctl_alone_shows_the_help_and_fails_as_a_wrong_command_line_does() {
        let (text, code) = stopped("ctl");
        assert_eq!(code, 2);
        assert!(text.contains("Exit codes:"), "{text}");
    }

    #[test]
    fn options_of_every_command_are_listed_by_ctl_help_alone() {
        let (text, _) = stopped("ctl help");
        assert!(text.contains("--socket <PATH>"), "{text}");
        for command in Cli::command().get_subcommands() {
            let (text, code) = stopped(&format!("ctl {} --help", command.get_name()));
            assert_eq!(code, 0, "{text}");
            assert!(!text.contains("--socket"), "{text}");
            assert!(text.contains("ctl help lists"), "{text}");
        }
    }

    #[test]
    fn a_bad_duration_is_refused() {
        let (text, code) = stopped("ctl --timeout soon status");
        assert_eq!(code, 2);
        assert!(text.contains("90s"), "{text}");
    }
}
