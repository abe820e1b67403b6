//! Renders `ctl why`: the chain of causes, then the details of each first cause, then what to do.

use std::fmt::Write as _;

use api::{AutomaticRestart, Hint, LogLine, Why, WhyStep};
use jiff::Timestamp;

use super::{BOLD, DIM, HINT, ago, shown, styled};

/// Width of the column of commands in hints; a longer command shifts its explanation.
const COMMAND_COLUMNS: usize = 24;

/// The whole output, styled.
pub fn story(why: &Why, now: Timestamp) -> String {
    let mut text = String::new();
    for step in &why.chain {
        let indent = "   ".repeat(usize::try_from(step.depth).unwrap_or(0));
        let because = if step.depth == 0 { "" } else { "because " };
        let sentence = shown(&step.sentence);
        let sentence = if step.root {
            styled(BOLD, &sentence)
        } else {
            sentence.into_owned()
        };
        let _ = writeln!(text, "{indent}{because}{sentence}");
        let restart = step.restart.as_ref().filter(|_| !step.root);
        let restart = restart.map(restarted);
        for note in restart.iter().chain(&step.notes) {
            let _ = writeln!(text, "{indent}   ({})", shown(note));
        }
    }
    let roots: Vec<&WhyStep> = why.chain.iter().filter(|step| step.root).collect();
    for step in &roots {
        text.push_str(&details(step, now));
    }
    if let Some(step) = why.chain.first().filter(|step| !step.root) {
        text.push_str(&ends(step));
    }
    if !roots.is_empty() {
        text.push_str("\nwhat to do:\n");
    }
    for hint in roots.iter().flat_map(|step| &step.hints) {
        let _ = writeln!(text, "  {}", advice(hint));
    }
    text
}

/// The automatic restart of a service, with its reason.
fn restarted(restart: &AutomaticRestart) -> String {
    let (at, how) = (&restart.exit.at, restart.exit.how());
    let often = match restart.in_a_day {
        0 => String::new(),
        1 => "; once in the last 24 h".to_owned(),
        many => format!("; {many} times in the last 24 h"),
    };
    format!("restarted automatically at {at}, because its run ended: {how}{often}")
}

/// Ends of the last runs of a service that was restarted automatically and is not a first cause.
fn ends(step: &WhyStep) -> String {
    let Some(restart) = &step.restart else {
        return String::new();
    };
    let mut text = format!("\n{}\n", styled(BOLD, &shown(&step.service.name)));
    text.push_str(&last_ends(step));
    if !restart.log.is_empty() {
        let at = shown(&restart.exit.at);
        let _ = writeln!(text, "  what it said last before {at}:");
    }
    said(&mut text, &restart.log);
    text
}

fn last_ends(step: &WhyStep) -> String {
    let mut text = String::new();
    if !step.exits.is_empty() {
        text.push_str("  how its runs ended:\n");
    }
    for exit in &step.exits {
        let _ = writeln!(text, "    {} {}", shown(&exit.at), shown(&exit.to_string()));
    }
    text
}

fn said(text: &mut String, lines: &[LogLine]) {
    for line in lines {
        let at = shown(&line.at);
        let _ = writeln!(text, "    {DIM}{at}{DIM:#} {}", shown(&line.text));
    }
}

/// The details of a first cause.
fn details(step: &WhyStep, now: Timestamp) -> String {
    let mut text = String::new();
    if let Some(exit) = &step.service.last_exit {
        let (how, when) = (shown(&exit.reason), ago(&exit.at, now));
        let _ = writeln!(text, "  last exit: {how}, {when} ({})", shown(&exit.at));
    }
    text.push_str(&last_ends(step));
    if !step.history.is_empty() {
        text.push_str("  what happened:\n");
    }
    for event in &step.history {
        let _ = writeln!(text, "    {}", shown(event));
    }
    if !step.log.is_empty() {
        text.push_str("  what it said last:\n");
    }
    said(&mut text, &step.log);
    if text.is_empty() {
        return text;
    }
    format!("\n{}\n{text}", styled(BOLD, &shown(&step.service.name)))
}

fn advice(hint: &Hint) -> String {
    let text = shown(&hint.text);
    match &hint.command {
        Some(command) => {
            let room = COMMAND_COLUMNS.saturating_sub(command.chars().count());
            let command = styled(HINT, &shown(command));
            format!("{command}{:room$}  {text}", "")
        }
        None => text.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{NOW, step};

    fn why() -> Why {
        let hint = |command: Option<&str>, text: &str| Hint {
            command: command.map(str::to_owned),
            text: text.to_owned(),
        };
        let cause = WhyStep {
            root: true,
            notes: vec!["exit code 1: no".into()],
            hints: vec![
                hint(None, "mend it"),
                hint(Some("ctl logs nginx"), "shows more of what it said"),
            ],
            log: vec![LogLine {
                file: None,
                service: "x".into(),
                at: "2026-11-22T11:59:15.000000Z".into(),
                text: "cannot bind \x1b[31mport".into(),
                marker: false,
                cursor: String::new(),
            }],
            ..step(2, 2, "nginx has been in backoff for 45s")
        };
        Why {
            chain: vec![
                step(0, 4, "waits has been waiting for middle for 45s"),
                step(1, 4, "middle has been waiting for nginx for 45s"),
                cause,
            ],
        }
    }

    #[test]
    fn the_chain_reads_downwards_and_only_its_end_in_full() {
        let text = story(&why(), NOW.parse().unwrap());
        insta::assert_snapshot!(anstream::adapter::strip_str(&text).to_string(), @r"
        waits has been waiting for middle for 45s
           because middle has been waiting for nginx for 45s
              because nginx has been in backoff for 45s
                 (exit code 1: no)

        nginx
          last exit: exit code 1, 45s ago (2026-11-22T11:59:15Z)
          what happened:
            11:59:15 exited with code 1
          what it said last:
            2026-11-22T11:59:15.000000Z cannot bind \x1b[31mport

        what to do:
          mend it
          ctl logs nginx            shows more of what it said
        ");
    }

    #[test]
    fn all_well_is_one_line() {
        let why = Why {
            chain: vec![step(
                0,
                0,
                "mattermost has been running for 45s and is ready",
            )],
        };
        assert_eq!(
            story(&why, NOW.parse().unwrap()),
            "mattermost has been running for 45s and is ready\n"
        );
    }

    /// A service that runs now and was restarted the night before.
    #[test]
    fn what_runs_again_says_why_it_was_restarted() {
        let exit = crate::testing::exit("mattermost");
        let line = LogLine {
            file: None,
            service: "mattermost".into(),
            at: "2026-11-22T03:12:06.000000Z".into(),
            text: "out of memory".into(),
            marker: false,
            cursor: String::new(),
        };
        let mut step = step(0, 0, "mattermost has been running for 45s and is ready");
        step.exits = vec![exit.clone()];
        step.restart = Some(AutomaticRestart {
            exit,
            in_a_day: 2,
            log: vec![line],
        });
        let text = story(&Why { chain: vec![step] }, NOW.parse().unwrap());
        insta::assert_snapshot!(anstream::adapter::strip_str(&text).to_string(), @r"
        mattermost has been running for 45s and is ready
           (restarted automatically at 2026-11-22T03:12:07.123Z, because its run ended: killed by KILL after 3h2m; 2 times in the last 24 h)

        mattermost
          how its runs ended:
            2026-11-22T03:12:07.123Z killed by KILL after 3h2m; starts again at once
          what it said last before 2026-11-22T03:12:07.123Z:
            2026-11-22T03:12:06.000000Z out of memory
        ");
    }
}
