//! `ctl import`: makes a site file from the configuration of another package. The command needs no
//! supervisor and no catalogue on disk.

use std::{fmt::Write as _, path::PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use client::{
    Context, Error, Format, programs,
    render::{BOLD, DIM, GREEN, YELLOW, json, shown, styled},
};

use crate::{
    Import, Request,
    report::{Disposition, Line, Report},
};

/// Text after the help.
const EXAMPLES: &str = "\
Nothing of the file is run. Each line is converted, not needed here, or in need of you; the report
says which and why, and ends with what to do next. Secrets are never printed: they go into
secrets.toml beside the file of -o, mode 0600. No file that is there is overwritten; a secrets.toml
gets what it lacks.

Examples:
  ctl import gitlab-rb /etc/gitlab/gitlab.rb       what would come of it
  ctl import gitlab-rb /etc/gitlab/gitlab.rb -o /etc/mattervisor/mattervisor.toml
  ctl import gitlab-rb gitlab.rb --secrets gitlab-secrets.json --env-dir env -o mattervisor.toml
  ctl import gitlab-rb gitlab.rb --format json -o mattervisor.toml | jq '.person[].text'";

// The command of this program.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(about = programs::about("import"), after_help = EXAMPLES)]
    Import(Arguments),
}

// What to import.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// What the file is
    #[arg(value_name = "KIND")]
    pub(crate) kind: Kind,
    /// The file, or - for standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// GitLab's secrets [default: gitlab-secrets.json beside FILE, if it is there]
    #[arg(long, value_name = "FILE")]
    pub(crate) secrets: Option<PathBuf>,
    /// Directory of the variables that GitLab gave Mattermost (/opt/gitlab/etc/mattermost/env)
    #[arg(long, value_name = "DIR")]
    pub(crate) env_dir: Option<PathBuf>,
    /// Write this site file, and secrets.toml beside it [default: print it]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// What can be imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// The configuration of GitLab's Linux package.
    GitlabRb,
}

/// Imports, and reports what became of each line.
pub(crate) fn run(context: &Context, command: Command) -> Result<u8, Error> {
    let Command::Import(Arguments {
        kind: Kind::GitlabRb,
        file,
        secrets,
        env_dir,
        output,
    }) = command;
    let written = output.is_some();
    let imported = crate::run(&Request {
        file,
        secrets,
        env_dir,
        output,
        root: context.root.clone(),
    })?;
    if context.format == Format::Json {
        let paths = imported.written.iter();
        let paths = paths.map(|it| it.display().to_string()).collect();
        let site = (!written).then_some(imported.site.as_str());
        let report = imported.report.json(site, paths);
        context.print(&json::value(&report, context.terminal())?)?;
    } else if written {
        context.print(&text(&imported))?;
    } else {
        context.print(&imported.site)?;
        let mut output = context.output.borrow_mut();
        output.note(text(&imported).trim_end());
    }
    Ok(0)
}

fn text(imported: &Import) -> String {
    let report = &imported.report;
    let mut out = String::new();
    let [converted, not_needed, person] = report.counts();
    for (heading, style, wanted) in [
        ("Converted", GREEN, 0),
        ("Not needed here", DIM, 1),
        ("New here", DIM, 3),
        ("Needs you", YELLOW.bold(), 2),
    ] {
        part(&mut out, report, &styled(style, heading), wanted);
    }
    if !report.next.is_empty() {
        let _ = writeln!(out, "{}:", styled(BOLD, "Next"));
        for (index, step) in report.next.iter().enumerate() {
            let _ = writeln!(out, "  {}. {}", index + 1, shown(step));
        }
        out.push('\n');
    }
    let read = report.read.join(", ");
    let _ = writeln!(
        out,
        "{}: {converted} converted, {not_needed} not needed here, {person} for you",
        shown(&read)
    );
    if imported.written.is_empty() {
        if !imported.secret_keys.is_empty() {
            let _ = writeln!(
                out,
                "{} secrets are not printed: with -o FILE they go into secrets.toml beside it",
                imported.secret_keys.len()
            );
        }
    } else {
        for path in &imported.written {
            let _ = writeln!(out, "written: {}", shown(&path.display().to_string()));
        }
    }
    out
}

/// Lines with one disposition. `wanted`: 0 converted, 1 not needed, 2 for a person, 3 new.
fn part(out: &mut String, report: &Report, heading: &str, wanted: usize) {
    let kind = |line: &&Line| match line.fate {
        Disposition::Converted(_) => wanted == 0,
        Disposition::NotNeeded(_) => wanted == 1,
        Disposition::Person(_) => wanted == 2,
        Disposition::New(_) => wanted == 3,
    };
    let lines: Vec<&Line> = report.lines.iter().filter(kind).collect();
    if lines.is_empty() {
        return;
    }
    let width = lines.iter().map(|it| it.origin.to_string().len()).max();
    let _ = writeln!(out, "{heading}:");
    for line in lines {
        entry(out, line, width.unwrap_or(0));
    }
    out.push('\n');
}

fn entry(out: &mut String, line: &Line, width: usize) {
    let origin = line.origin.to_string();
    // A person looks for the statement, not only for the name of its setting.
    let left = matches!(line.fate, Disposition::Person(_)) && !line.text.is_empty();
    let name = if left || line.what.is_empty() {
        &line.text
    } else {
        &line.what
    };
    let _ = write!(out, "  {origin:<width$}  {}", shown(name));
    match &line.fate {
        Disposition::Converted(keys) => {
            if keys.len() != 1 || keys[0] != line.what {
                let _ = write!(out, " -> {}", shown(&keys.join(", ")));
            }
        }
        Disposition::NotNeeded(why) | Disposition::New(why) => {
            let _ = write!(out, ": {}", shown(why));
        }
        Disposition::Person(why) => {
            let _ = write!(out, "\n  {:width$}  {}", "", shown(why));
        }
    }
    if let Some(remark) = &line.remark {
        let _ = write!(out, "\n  {:width$}  {}", "", shown(remark));
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use client::command_line::Cli;

    use super::*;

    #[test]
    fn every_command_has_examples_and_they_parse() {
        client::testing::examples_parse(&Cli::<Command>::command(), || {
            Cli::<Command>::command().allow_external_subcommands(true)
        });
    }

    #[test]
    fn the_man_pages_are_those_of_the_definition() {
        client::man_page::keep_commands(&Cli::<Command>::command());
    }
}
