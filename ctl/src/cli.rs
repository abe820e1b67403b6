//! The command line: one definition, from which parsing, help, completion and man page come.

use std::{ffi::OsString, fmt::Write as _};

use clap::{CommandFactory, Subcommand};
use clap_complete::engine::SubcommandCandidates;

use crate::commands::{
    actions::{self, ExceptArgs, NamedServicesArgs},
    check_config,
    completions::{self, CompletionsArgs},
    diff_config, env,
    events::{self, EventsArgs},
    logs, maintenance, reconfigure,
    reexec::{self, ReexecArgs},
    service_list, show_config,
    status::{self, StatusArgs},
    tools, version,
    wait::{self, WaitArgs},
    why::{self, WhyArgs},
};
use client::{
    complete,
    options::with_global_options,
    programs::{PROGRAMS, Program},
    service_query::ServicesArgs,
};

const AFTER_HELP: &str = "\
No NAME means all services for status, start, stop, restart, logs, tail and wait. Several names
and patterns ('matter*') may be given; one that is unknown is an error and nothing is done.

Examples:
  ctl status                        what runs, is it ready, since when, why not
  ctl restart mattermost nginx      and wait until both are ready again
  ctl why mattermost                the chain of causes, with the last lines it logged
  ctl logs -f                       follow everything
  ctl wait --timeout 5m             until everything is ready
  ctl events --changes --since 30d  who changed what
  ctl psql                          the database, as its superuser
  ctl mmctl --local user list       Mattermost's own client
  ctl top                           a live view; r restarts, s stops, q quits

Exit codes:
  0 done    1 failed    2 wrong usage    3 not running or not ready (status, wait)
  4 no such service    5 supervisor not reachable    6 not allowed    7 timed out";

const ABOUT: &str = "Control the services that the supervisor runs";

/// The command line of `ctl`.
pub(crate) type Cli = client::command_line::Cli<Command>;

/// What to do. Help lists these by [`GROUPS`].
#[derive(Debug, Subcommand)]
// clap defines only the requested command in full.
#[command(defer = true)]
pub(crate) enum Command {
    /// Show what runs, whether it is ready, since when, and why not
    #[command(after_help = status::EXAMPLES)]
    Status(StatusArgs),
    /// Start services and what they require, and wait until they are ready
    #[command(after_help = actions::START_EXAMPLES)]
    Start(ServicesArgs),
    /// Stop services and hold them until they are started again
    #[command(after_help = actions::STOP_EXAMPLES)]
    Stop(ServicesArgs),
    /// Stop and start services, and wait until they are ready
    #[command(after_help = actions::RESTART_EXAMPLES)]
    Restart(ServicesArgs),
    /// Start services, and leave them down when they end
    #[command(after_help = actions::ONCE_EXAMPLES)]
    Once(NamedServicesArgs),
    /// Start all services but these
    #[command(after_help = actions::START_EXCEPT_EXAMPLES)]
    StartExcept(ExceptArgs),
    /// Stop all services but these
    #[command(after_help = actions::STOP_EXCEPT_EXAMPLES)]
    StopExcept(ExceptArgs),
    /// Restart all services but these
    #[command(after_help = actions::RESTART_EXCEPT_EXAMPLES)]
    RestartExcept(ExceptArgs),
    /// Have services load a new configuration without a restart
    #[command(after_help = actions::RELOAD_EXAMPLES)]
    Reload(NamedServicesArgs),
    /// Tell users that there is maintenance, in Mattermost's place, or let them in again
    #[command(after_help = maintenance::EXAMPLES)]
    Maintenance(maintenance::MaintenanceArgs),
    /// Send SIGHUP to the main process
    #[command(after_help = actions::SIGNAL_EXAMPLES)]
    Hup(NamedServicesArgs),
    /// Send SIGINT to the main process
    #[command(after_help = actions::SIGNAL_EXAMPLES)]
    Int(NamedServicesArgs),
    /// Send SIGTERM to the main process
    #[command(after_help = actions::SIGNAL_EXAMPLES)]
    Term(NamedServicesArgs),
    /// Send SIGKILL to the main process
    #[command(after_help = actions::SIGNAL_EXAMPLES)]
    Kill(NamedServicesArgs),
    /// Send SIGUSR1 to the main process
    #[command(after_help = actions::SIGNAL_EXAMPLES)]
    Usr1(NamedServicesArgs),
    /// Send SIGUSR2 to the main process
    #[command(after_help = actions::SIGNAL_EXAMPLES)]
    Usr2(NamedServicesArgs),
    /// Send SIGQUIT to the main process
    #[command(after_help = actions::SIGNAL_EXAMPLES)]
    Quit(NamedServicesArgs),
    /// Wait until services are ready, healthy or stopped
    #[command(after_help = wait::EXAMPLES)]
    Wait(WaitArgs),
    /// List all services and whether they are enabled on this host
    #[command(after_help = service_list::EXAMPLES)]
    ServiceList,
    /// Show what services have logged
    #[command(after_help = logs::EXAMPLES)]
    Logs(logs::LogsArgs),
    /// Follow what services log
    #[command(after_help = logs::TAIL_EXAMPLES)]
    Tail(logs::TailArgs),
    /// Show what has happened
    #[command(after_help = events::EXAMPLES)]
    Events(EventsArgs),
    /// Explain the state of a service: the chain of causes
    #[command(after_help = why::EXAMPLES)]
    Why(WhyArgs),
    /// Check the configuration files; works without a supervisor, changes nothing
    #[command(after_help = check_config::EXAMPLES)]
    CheckConfig,
    /// Show the configuration that runs, without its secrets
    #[command(after_help = show_config::EXAMPLES)]
    ShowConfig(ServicesArgs),
    /// Show what a reconfigure would change; 1 if it would change anything
    #[command(after_help = diff_config::EXAMPLES)]
    DiffConfig(ServicesArgs),
    /// Show the environment of a service, and what is wrong with it
    #[command(after_help = env::EXAMPLES)]
    Env(env::EnvArgs),
    /// Apply the configuration files: what did not change keeps running
    #[command(after_help = reconfigure::EXAMPLES)]
    Reconfigure(reconfigure::ReconfigureArgs),
    /// Print the completions for a shell: source <(ctl completions bash)
    #[command(after_help = completions::EXAMPLES)]
    Completions(CompletionsArgs),
    /// Replace the program of the running daemon with the installed one; services keep running
    #[command(after_help = reexec::EXAMPLES)]
    Reexec(ReexecArgs),
    /// List the programs of services that ctl runs by their names, such as psql and mmctl
    #[command(after_help = tools::EXAMPLES)]
    Tools,
    /// Show the versions of ctl and of the supervisor
    #[command(after_help = version::EXAMPLES)]
    Version,
    // A word that is no command of ctl may be a tool: its name and its arguments, untouched.
    #[command(external_subcommand)]
    Tool(Vec<OsString>),
}

impl Command {
    /// The services of a command that `sv` has too, for lines in its form.
    pub(crate) fn asked_of_sv(&self) -> &[String] {
        match self {
            Self::Status(it) => &it.names,
            Self::Start(it) | Self::Stop(it) | Self::Restart(it) => &it.names,
            _ => &[],
        }
    }
}

/// Headings of the help text with their commands.
const GROUPS: &[(&str, &[&str])] = &[
    (
        "Look",
        &[
            "status",
            "why",
            "logs",
            "tail",
            "events",
            "service-list",
            "wait",
            "top",
        ],
    ),
    (
        "Act",
        &[
            "start",
            "stop",
            "restart",
            "once",
            "reload",
            "start-except",
            "stop-except",
            "restart-except",
            "maintenance",
        ],
    ),
    (
        "Signal",
        &["hup", "int", "term", "kill", "usr1", "usr2", "quit"],
    ),
    ("Data", &["backup", "restore"]),
    (
        "Configure",
        &[
            "check-config",
            "diff-config",
            "show-config",
            "env",
            "reconfigure",
            "import",
            "gitlab",
            "renew-le-certs",
        ],
    ),
    ("Run", &["tools"]),
    ("Other", &["completions", "reexec", "version"]),
];

/// The definition with commands listed in groups.
pub(crate) fn command() -> clap::Command {
    let command = Cli::command()
        .about(ABOUT)
        .after_help(AFTER_HELP)
        .add(SubcommandCandidates::new(complete::tools))
        .subcommands(PROGRAMS.iter().map(elsewhere));
    let groups = groups(&command);
    let options = global_options();
    command.help_template(format!(
        "{{about-with-newline}}\n{{usage-heading}} ctl [OPTIONS] <COMMAND>\n{groups}\n\
         Options of every command:\n{options}{{after-help}}"
    ))
}

/// The options of every command as the help of `ctl` lists them, wrapped for the terminal.
fn global_options() -> String {
    let mut shown = with_global_options(Cli::command()).help_template("{options}");
    let text = shown.render_help().to_string();
    text.trim_end().to_owned()
}

/// The entry in the help for a command that another program carries out.
fn elsewhere(program: &Program) -> clap::Command {
    clap::Command::new(program.command).about(program.about)
}

fn groups(command: &clap::Command) -> String {
    let mut text = String::new();
    for (heading, names) in GROUPS {
        let _ = writeln!(text, "\n{heading}:");
        for name in *names {
            let about = command
                .find_subcommand(name)
                .and_then(clap::Command::get_about);
            let about = about.map(ToString::to_string).unwrap_or_default();
            let _ = writeln!(text, "  {name:<16}{about}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_examples_and_they_parse() {
        let ours = Cli::command();
        client::testing::examples_parse(&ours, command);
    }

    #[test]
    fn the_definition_holds_together() {
        command().debug_assert();
    }

    #[test]
    fn help_lists_every_command_once() {
        let command = command();
        let mut known: Vec<_> = command
            .get_subcommands()
            .map(clap::Command::get_name)
            .collect();
        let mut listed: Vec<_> = GROUPS
            .iter()
            .flat_map(|(_, names)| names.iter().copied())
            .collect();
        known.sort_unstable();
        listed.sort_unstable();
        assert_eq!(known, listed);
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "the help is as long as it is")]
    fn help_reads_well() {
        insta::assert_snapshot!(command().term_width(100).render_help().to_string(), @r"
        Control the services that the supervisor runs

        Usage: ctl [OPTIONS] <COMMAND>

        Look:
          status          Show what runs, whether it is ready, since when, and why not
          why             Explain the state of a service: the chain of causes
          logs            Show what services have logged
          tail            Follow what services log
          events          Show what has happened
          service-list    List all services and whether they are enabled on this host
          wait            Wait until services are ready, healthy or stopped
          top             Watch services live, with their processor time, memory and last log lines

        Act:
          start           Start services and what they require, and wait until they are ready
          stop            Stop services and hold them until they are started again
          restart         Stop and start services, and wait until they are ready
          once            Start services, and leave them down when they end
          reload          Have services load a new configuration without a restart
          start-except    Start all services but these
          stop-except     Stop all services but these
          restart-except  Restart all services but these
          maintenance     Tell users that there is maintenance, in Mattermost's place, or let them in again

        Signal:
          hup             Send SIGHUP to the main process
          int             Send SIGINT to the main process
          term            Send SIGTERM to the main process
          kill            Send SIGKILL to the main process
          usr1            Send SIGUSR1 to the main process
          usr2            Send SIGUSR2 to the main process
          quit            Send SIGQUIT to the main process

        Data:
          backup          Make, list, verify and prune backups of Mattermost
          restore         Restore a backup, or take the last restore back

        Configure:
          check-config    Check the configuration files; works without a supervisor, changes nothing
          diff-config     Show what a reconfigure would change; 1 if it would change anything
          show-config     Show the configuration that runs, without its secrets
          env             Show the environment of a service, and what is wrong with it
          reconfigure     Apply the configuration files: what did not change keeps running
          import          Make a site file from the gitlab.rb of GitLab's package; works without a supervisor
          gitlab          Sign-on with GitLab, and GitLab's nginx in front of Mattermost
          renew-le-certs  Get or renew the certificate from Let's Encrypt now

        Run:
          tools           List the programs of services that ctl runs by their names, such as psql and mmctl

        Other:
          completions     Print the completions for a shell: source <(ctl completions bash)
          reexec          Replace the program of the running daemon with the installed one; services keep running
          version         Show the versions of ctl and of the supervisor

        Options of every command:
              --root <DIR>          Prefix for all paths [env: MATTERVISOR_ROOT] [default: /]
              --socket <PATH>       Control socket [default: ROOT/run/mattervisor/ctl.sock]
              --catalog <DIR>       Directory of the catalogue, for commands that read service files [env:
                                    MATTERVISOR_CATALOG]
              --format <FORMAT>     How to print: a table for people, JSON, or gitlab-ctl's lines [default:
                                    table] [possible values: table, json, runit]
              --no-wait             Return as soon as the change is accepted
              --timeout <DURATION>  Give up waiting after this long (90s, 5m, 1h30m); the change itself goes
                                    on
          -h, --help                Print help; ctl help lists the options of every command
          -V, --version             Print version

        No NAME means all services for status, start, stop, restart, logs, tail and wait. Several names
        and patterns ('matter*') may be given; one that is unknown is an error and nothing is done.

        Examples:
          ctl status                        what runs, is it ready, since when, why not
          ctl restart mattermost nginx      and wait until both are ready again
          ctl why mattermost                the chain of causes, with the last lines it logged
          ctl logs -f                       follow everything
          ctl wait --timeout 5m             until everything is ready
          ctl events --changes --since 30d  who changed what
          ctl psql                          the database, as its superuser
          ctl mmctl --local user list       Mattermost's own client
          ctl top                           a live view; r restarts, s stops, q quits

        Exit codes:
          0 done    1 failed    2 wrong usage    3 not running or not ready (status, wait)
          4 no such service    5 supervisor not reachable    6 not allowed    7 timed out
        ");
    }
}
