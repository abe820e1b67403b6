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
    use std::{fs, path::Path};

    use clap::CommandFactory as _;
    use client::{man_page, options::with_global_options};

    use crate::cli;

    #[test]
    fn the_man_pages_are_those_of_the_definition() {
        man_page::keep_main(&with_global_options(cli::command()));
        man_page::keep_commands(&cli::Cli::command());
    }

    /// A page of a command that is gone would be named by no other.
    #[test]
    fn every_man_page_of_a_command_is_that_of_a_command() {
        let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/man");
        let pages = fs::read_dir(place)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let pages: Vec<_> = pages
            .filter(|path| path.extension().is_some_and(|it| it == "1"))
            .collect();
        let all: String = pages
            .iter()
            .map(|path| fs::read_to_string(path).unwrap())
            .collect();
        for page in pages
            .iter()
            .filter(|page| !page.ends_with("mattervisorctl.1"))
        {
            let name = page
                .file_stem()
                .unwrap()
                .to_str()
                .unwrap()
                .replace('-', "\\-");
            assert!(
                all.contains(&format!("\n{name}(1)\n")),
                "no page names {}",
                page.display()
            );
        }
    }
}
