//! `ctl completions`: prints the script with which a shell completes command lines of ctl.

use std::io::{self, Write};

use clap::{Args, ValueEnum};
use clap_complete::env::Shells;
use client::{Context, Error, Kind, complete::VARIABLE};

/// Shells that can be taught our names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    /// GNU bash.
    Bash,
    /// Z shell.
    Zsh,
    /// fish.
    Fish,
}

// The shell that reads the script.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// Shell
    pub(crate) shell: Shell,
}

/// Text after the command's help.
pub(crate) const EXAMPLES: &str = "\
The shell then asks this program, which asks the supervisor for the names of services.

Examples:
  source <(ctl completions bash)            for this shell
  ctl completions bash > /etc/bash_completion.d/ctl
  ctl completions zsh > /usr/local/share/zsh/site-functions/_ctl
  ctl completions fish > ~/.config/fish/completions/ctl.fish";

/// Prints the script for the name that this program was called by. If it was called by a path, the shell
/// asks that very program for completions, else the program of that name in its search path.
pub(crate) fn run(context: &Context, shell: Shell) -> Result<u8, Error> {
    let called = std::env::args().next().unwrap_or_default();
    let name = called.rsplit('/').next().filter(|it| !it.is_empty());
    let name = name.unwrap_or("ctl");
    let by_path = called.contains('/').then(std::env::current_exe);
    let program = match by_path {
        Some(Ok(path)) => path.display().to_string(),
        _ => name.to_owned(),
    };
    let mut script = Vec::new();
    registration(shell, name, &program, &mut script).map_err(|error| {
        Error::new(
            Kind::Failed,
            format!("cannot write the completions: {error}"),
        )
    })?;
    context.print(&String::from_utf8_lossy(&script))?;
    Ok(0)
}

/// Writes the script for a shell; `program` is the program that the shell asks about lines of `name`.
fn registration(shell: Shell, name: &str, program: &str, to: &mut dyn Write) -> io::Result<()> {
    let shell = match shell {
        Shell::Bash => "bash",
        Shell::Zsh => "zsh",
        Shell::Fish => "fish",
    };
    let shells = Shells::builtins();
    let completer = shells
        .completer(shell)
        .ok_or_else(|| io::Error::other(format!("there are no completions for {shell}")))?;
    completer.write_registration(VARIABLE, name, name, program, to)
}

#[cfg(test)]
mod tests {
    use client::options::with_global_options;

    use crate::cli;

    #[test]
    fn the_man_page_is_that_of_the_definition() {
        let mut page = Vec::new();
        clap_mangen::Man::new(with_global_options(cli::command()).name("ctl"))
            .render(&mut page)
            .unwrap();
        // The generator refers to a page for each command, but there is only one page.
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
        let place = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../packaging/man/mattervisorctl.1"
        );
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
