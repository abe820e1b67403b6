//! `ctl check-config`: what is wrong with the configuration files.

use std::fmt::Write as _;

use api::{CheckReply, Problem};

use super::Context;
use crate::{
    cli::Format,
    error::{Error, Kind},
    render::{CYAN, RED_BOLD, YELLOW, json, shown, styled},
};

/// Prints every problem; 1 if one of them is an error.
pub(crate) async fn run(context: &Context) -> Result<u8, Error> {
    let reply: CheckReply = context.client.get("/v1/check").await?;
    let text = match context.format {
        Format::Json => json::value(&reply, context.terminal())?,
        _ => problems(&reply.problems),
    };
    context.print(&text)?;
    Ok(if reply.ok {
        0
    } else {
        Kind::Failed.exit_code()
    })
}

fn problems(problems: &[Problem]) -> String {
    problems.iter().map(problem).collect()
}

/// `file:line: severity: key: message`, the hint below it.
fn problem(problem: &Problem) -> String {
    let style = match problem.severity.as_str() {
        "error" => RED_BOLD,
        "warning" => YELLOW.bold(),
        _ => CYAN.bold(),
    };
    let mut text = match (problem.file.as_str(), problem.line) {
        ("", _) => String::new(),
        (file, 0) => format!("{}: ", shown(file)),
        (file, line) => format!("{}:{line}: ", shown(file)),
    };
    text.push_str(&styled(style, &format!("{}:", shown(&problem.severity))));
    if !problem.key.is_empty() {
        let _ = write!(text, " {}:", shown(&problem.key));
    }
    let _ = writeln!(text, " {}", shown(&problem.message));
    if let Some(hint) = &problem.hint {
        let _ = writeln!(text, "    {}", shown(hint));
    }
    text
}
