//! `ctl tools`: lists the programs of services that `ctl NAME …` executes. The list comes from the
//! running supervisor, or from the files if none answers.

use std::fmt::Write as _;

use api::{Tool, ToolsReply};
use client::{
    Context, Error, Format, Kind,
    render::{DIM, json, shown, table},
};
use plan::{RealHost, Severity, lost_secrets};

use super::check_config;

/// Text after the command's help.
pub(crate) const EXAMPLES: &str = "\
A tool is executed in the place of ctl, with all arguments that follow its name; its exit code is its
own. Options of ctl stand before the name.

Examples:
  ctl tools                                 which there are
  ctl psql -c 'SELECT count(*) FROM posts'
  ctl pg_dump -Fc -f mattermost.dump
  ctl mmctl --local user list";

/// Lists the tools.
pub(super) async fn run(context: &Context) -> Result<u8, Error> {
    let tools = known(context).await?;
    let text = match context.format {
        Format::Json => json::value(&ToolsReply { tools }, context.terminal())?,
        Format::Runit => names(&tools),
        Format::Table => list(&tools),
    };
    context.print(&text)?;
    Ok(0)
}

/// The tools of the plan that runs, or of the files where no supervisor answers.
pub(super) async fn known(context: &Context) -> Result<Vec<Tool>, Error> {
    match context.client.get::<ToolsReply>("/v1/tools").await {
        Ok(reply) => Ok(reply.tools),
        Err(error) if error.kind == Kind::Unreachable => from_files(context),
        Err(error) => Err(error),
    }
}

fn from_files(context: &Context) -> Result<Vec<Tool>, Error> {
    let options = check_config::options(context)?;
    let state_dir = plan::Paths::new(&options).state_dir;
    let known = || lost_secrets::Known::of(None, &state_dir);
    let mended = lost_secrets::load_mended(&RealHost, &options, known);
    mended
        .map(|mended| mended.plan.tools().tools)
        .map_err(|problems| {
            let errors = problems.0.iter();
            let errors = errors.filter(|it| it.severity == Severity::Error).count();
            let message = format!(
                "no supervisor answers, and the configuration files have {}",
                text::counted(errors, "error", "errors")
            );
            Error::new(Kind::Failed, message).hint("ctl check-config names them")
        })
}

fn names(tools: &[Tool]) -> String {
    let names = tools.iter().map(|tool| tool.name.as_str());
    names.flat_map(|name| [name, "\n"]).collect()
}

fn list(tools: &[Tool]) -> String {
    let row = |tool: &Tool| {
        let about = shown(&tool.description).into_owned();
        let about = if tool.enabled {
            table::plain(about)
        } else {
            (DIM, format!("{about} (not enabled here)"))
        };
        vec![
            table::plain(shown(&tool.name)),
            table::plain(shown(&tool.service)),
            about,
        ]
    };
    let rows: Vec<_> = tools.iter().map(row).collect();
    let mut text = String::new();
    for line in table::columns(&["TOOL", "SERVICE", "DESCRIPTION"], &rows) {
        let _ = writeln!(text, "{line}");
    }
    text
}
