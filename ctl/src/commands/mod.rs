//! One file a command. Each asks, renders and answers an exit code; a failure goes up as an
//! [`Error`] and is printed in one place.

mod actions;
pub(crate) mod check_config;
mod completions;
mod diff_config;
pub(crate) mod env;
mod events;
pub(crate) mod gitlab;
mod gone_back;
pub(crate) mod import;
pub(crate) mod logs;
pub(crate) mod maintenance;
pub(crate) mod reconfigure;
mod reexec;
pub(crate) mod renew_le_certs;
mod service_list;
mod show_config;
mod status;
pub(crate) mod toml_text;
mod unstored;
mod version;
mod wait;
pub(crate) mod why;

use std::{
    cell::RefCell,
    path::{Path, PathBuf},
    time::Duration,
};

use api::Action;

use crate::{
    cli::{Cli, Command, Format},
    client::Client,
    error::{Error, Kind},
    output::Output,
    render::runit,
};

/// What every command has at hand.
pub(crate) struct Context {
    /// The supervisor.
    pub(crate) client: Client,
    /// How to print.
    pub(crate) format: Format,
    /// Wait for the end of a change.
    pub(crate) wait: bool,
    /// For how long at most.
    pub(crate) timeout: Option<Duration>,
    /// `--root`.
    pub(crate) root: PathBuf,
    /// `--catalog`.
    pub(crate) catalog: Option<PathBuf>,
    /// Borrowed for single calls only, never across an await.
    pub(crate) output: RefCell<Output>,
}

impl Context {
    /// Writes styled text to stdout.
    pub(crate) fn print(&self, text: &str) -> Result<(), Error> {
        self.output.borrow_mut().text(text)
    }

    /// Says something on the way: among the results for people, else beside them.
    pub(crate) fn note(&self, line: &str) {
        let mut output = self.output.borrow_mut();
        if self.format == Format::Table {
            // Whoever closed stdout does not want to know; the change goes on.
            let _ = output.text(&format!("{line}\n"));
        } else {
            output.note(line);
        }
    }

    /// A person reads stdout.
    pub(crate) fn terminal(&self) -> bool {
        self.output.borrow().terminal
    }
}

/// Does what was asked and answers the exit code.
pub(crate) fn run(cli: Cli, output: Output) -> u8 {
    let Cli { global, command } = cli;
    let root = root(global.root);
    let catalog = global
        .catalog
        .or_else(|| environment("MATTERVISOR_CATALOG"));
    let named = [Some(&root), catalog.as_ref()];
    for named in named.into_iter().flatten() {
        if let Ok(named) = std::path::absolute(named) {
            safe_path::trust_root(&named);
        }
    }
    let context = Context {
        client: client(&root, global.socket),
        format: global.format,
        wait: !global.no_wait,
        timeout: global.timeout,
        root,
        catalog,
        output: RefCell::new(output),
    };
    let names = command.asked_of_sv().to_vec();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(bounded(&context, command)),
        Err(error) => Err(Error::new(Kind::Failed, format!("cannot begin: {error}"))),
    };
    ended.unwrap_or_else(|error| {
        if context.format == Format::Runit {
            // Whoever closed stdout learns it by the exit code.
            let _ = context.print(&runit::failure(error.kind, &names));
        }
        context.output.borrow_mut().error(&error);
        error.kind.exit_code()
    })
}

/// The directory that stands before all others.
fn root(asked: Option<PathBuf>) -> PathBuf {
    asked
        .or_else(|| environment("MATTERVISOR_ROOT"))
        .unwrap_or_else(|| PathBuf::from("/"))
}

/// A client for the socket that is named, or for that of a root, where the supervisor has two locks.
fn client(root: &Path, named: Option<PathBuf>) -> Client {
    let of_root = named.is_none();
    let mut client = Client::new(socket(Some(root.to_owned()), named));
    if of_root {
        client.locks.push(root.join("var/lib/mattervisor/lock"));
    }
    client
}

/// The control socket that is meant by `--root` and `--socket`.
pub(crate) fn socket(root_asked: Option<PathBuf>, asked: Option<PathBuf>) -> PathBuf {
    asked.unwrap_or_else(|| root(root_asked).join("run/mattervisor/ctl.sock"))
}

/// An empty variable is as good as none.
fn environment(name: &str) -> Option<PathBuf> {
    std::env::var_os(name)
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
}

/// Commands that change or wait keep to `--timeout` themselves and say what is pending.
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
        Command::StartExcept(but) => actions::but(context, Action::Start, but.names).await,
        Command::StopExcept(but) => actions::but(context, Action::Stop, but.names).await,
        Command::RestartExcept(but) => actions::but(context, Action::Restart, but.names).await,
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
        Command::Import(arguments) => import::run(context, arguments),
        Command::ShowConfig(names) => show_config::run(context, &names.names).await,
        Command::Env(arguments) => env::run(context, &arguments).await,
        Command::DiffConfig(names) => diff_config::run(context, &names.names).await,
        Command::Reconfigure(how) => reconfigure::run(context, how).await,
        Command::RenewLeCerts(arguments) => renew_le_certs::run(context, &arguments).await,
        Command::Gitlab(arguments) => gitlab::run(context, &arguments),
        Command::Maintenance(asked) => maintenance::run(context, asked).await,
        Command::Top(names) => crate::top::run(context, &names.names).await,
        Command::Completions(to) => completions::run(context, to.shell),
        Command::Reexec => reexec::run(context).await,
        Command::Version => version::run(context).await,
    }
}
