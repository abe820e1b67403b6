//! One module for each command. A command sends its requests, renders the reply and returns the
//! exit code; a failure goes up as an [`Error`], and one place prints it.

pub(crate) mod actions;
pub(crate) mod check_config;
pub(crate) mod completions;
pub(crate) mod diff_config;
pub(crate) mod env;
pub(crate) mod events;
mod gone_back;
pub(crate) mod logs;
pub(crate) mod maintenance;
pub(crate) mod reconfigure;
pub(crate) mod reexec;
pub(crate) mod service_list;
pub(crate) mod show_config;
pub(crate) mod status;
mod tool;
pub(crate) mod tools;
mod unstored;
pub(crate) mod version;
pub(crate) mod wait;
pub(crate) mod why;

use api::Action;
use client::{Context, Error, Kind, Output, command_line::carry_out};

use crate::cli::{Cli, Command};

/// Carries out the command and returns the exit code.
pub(crate) fn run(cli: Cli, output: Output) -> u8 {
    let Cli { global, command } = cli;
    let names = command.asked_of_sv().to_vec();
    let work = async |context: &Context| bounded(context, command).await;
    carry_out(global, output, &names, work)
}

/// Applies `--timeout` to commands that only look. Commands that change or wait keep to `--timeout`
/// themselves, and say what is pending.
async fn bounded(context: &Context, command: Command) -> Result<u8, Error> {
    let alone = !matches!(
        command,
        Command::Status(_) | Command::ServiceList | Command::Why(_) | Command::Version
    );
    match context.timeout {
        Some(timeout) if !alone => tokio::time::timeout(timeout, dispatch(context, command))
            .await
            .unwrap_or_else(|_| {
                let message =
                    format!("timed out after {timeout:?}: the supervisor has not answered");
                Err(Error::new(Kind::TimedOut, message))
            }),
        _ => dispatch(context, command).await,
    }
}

async fn dispatch(context: &Context, command: Command) -> Result<u8, Error> {
    let signal = |name: &str| Action::Signal(name.to_owned());
    match command {
        Command::Status(arguments) => status::run(context, &arguments).await,
        Command::Start(names) => actions::run(context, Action::Start, names.names).await,
        Command::Stop(names) => actions::run(context, Action::Stop, names.names).await,
        Command::Restart(names) => actions::run(context, Action::Restart, names.names).await,
        Command::Once(names) => actions::run(context, Action::Once, names.names).await,
        Command::StartExcept(but) => actions::all_except(context, Action::Start, but.names).await,
        Command::StopExcept(but) => actions::all_except(context, Action::Stop, but.names).await,
        Command::RestartExcept(but) => {
            actions::all_except(context, Action::Restart, but.names).await
        }
        Command::Reload(names) => actions::run(context, Action::Reload, names.names).await,
        Command::Hup(names) => actions::run(context, signal("HUP"), names.names).await,
        Command::Int(names) => actions::run(context, signal("INT"), names.names).await,
        Command::Term(names) => actions::run(context, signal("TERM"), names.names).await,
        Command::Kill(names) => actions::run(context, signal("KILL"), names.names).await,
        Command::Usr1(names) => actions::run(context, signal("USR1"), names.names).await,
        Command::Usr2(names) => actions::run(context, signal("USR2"), names.names).await,
        Command::Quit(names) => actions::run(context, signal("QUIT"), names.names).await,
        Command::Wait(arguments) => wait::run(context, &arguments).await,
        Command::ServiceList => service_list::run(context).await,
        Command::Logs(arguments) => logs::run(context, &arguments).await,
        Command::Tail(arguments) => logs::tail(context, &arguments).await,
        Command::Events(arguments) => events::run(context, &arguments).await,
        Command::Why(arguments) => why::run(context, &arguments.name).await,
        Command::CheckConfig => check_config::run(context),
        Command::ShowConfig(names) => show_config::run(context, &names.names).await,
        Command::Env(arguments) => env::run(context, &arguments).await,
        Command::DiffConfig(names) => diff_config::run(context, &names.names).await,
        Command::Reconfigure(how) => reconfigure::run(context, how).await,
        Command::Maintenance(asked) => maintenance::run(context, asked).await,
        Command::Completions(to) => completions::run(context, to.shell),
        Command::Reexec(of) => reexec::run(context, of).await,
        Command::Tools => tools::run(context).await,
        Command::Tool(words) => tool::run(context, &words).await,
        Command::Version => version::run(context).await,
    }
}
