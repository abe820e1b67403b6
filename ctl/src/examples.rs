//! What stands below the help of each command: what one would not guess, and examples.

use clap::Command;

use crate::commands::{logs, maintenance};

const WHEN: &str =
    "WHEN is 30s, 5m, '2 days ago', today, yesterday, 10:30, 2026-11-22, '2026-11-22 10:30' (local time),
or RFC 3339.";

const STATUS: &str = "\
Ends with 3 if an enabled service is not ready.

Examples:
  ctl status                                what runs, and why not
  ctl status mattermost 'post*'
  ctl status --usage                        with processor time and memory of whole process trees
  ctl status --format json | jq '.services[] | select(.ready | not) | .name'
  ctl status --format runit                 gitlab-ctl's lines";

const WHY: &str = "\
Examples:
  ctl why mattermost                        down to what is broken, with what to do about it";

const TAIL: &str = "\
The same as ctl logs -f, with the last 10 lines of each service to begin with.

Examples:
  ctl tail                                  all of them, merged by time
  ctl tail nginx --grep ' 50[0-9] '
  ctl tail mattermost --files               with the files that it writes itself";

const EVENTS: &str = "\
Events are kept in memory, the last 4096. Changes are kept on disk for a year: who asked for what,
and how it ended.

Examples:
  ctl events -f nginx                       what happens to nginx from now on
  ctl events --since 1h                     what has happened
  ctl events --exits --since 7d mattermost  how and why it ended, and what followed
  ctl events --changes --since 30d          who changed what
  ctl events --changes --since 2026-11-01 --until 2026-11-08 mattermost
  ctl events --changes --format json | jq 'select(.outcome == \"failed\")'";

const SERVICE_LIST: &str = "\
Examples:
  ctl service-list
  ctl service-list --format runit           an asterisk behind each that is enabled";

const WAIT: &str = "\
Ends with 3 if that cannot come about by itself, with 4 if a service leaves the plan meanwhile and
with 7 at the end of --timeout. It goes on when the control process is replaced. With --exit-status
it ends with the exit code of the service's last main process instead, and with 255 if a signal
ended that; what prevents the waiting itself keeps its own code.

Examples:
  ctl wait --timeout 5m                     until all are ready
  ctl wait --healthy mattermost
  ctl once migration && ctl wait --stopped --exit-status migration";

const START: &str = "\
Lifts the holds of these services and of what they require.

Examples:
  ctl start                                 all that are enabled
  ctl start mattermost --timeout 2m         give up waiting then; the start goes on
  ctl start 'worker@*' --no-wait";

const STOP: &str = "\
A stopped service stays so until it is started. What requires it stops first, and comes back with
it.

Examples:
  ctl stop nginx
  ctl stop                                  all of them";

const RESTART: &str = "\
What requires them restarts too, and is named.

Examples:
  ctl restart mattermost nginx
  ctl restart                               all that are enabled";

const ONCE: &str = "\
Neither does their restart policy start them again. The next start makes them ordinary again.

Examples:
  ctl once migration
  ctl once mattermost                       to see how it ends";

const RELOAD: &str = "\
Examples:
  ctl reload nginx";

const START_EXCEPT: &str = "\
A start that would have to start what is named here is refused.

Examples:
  ctl start-except 'worker@*'";

const STOP_EXCEPT: &str = "\
What is named is left as it is, and so is all that it requires.

Examples:
  ctl stop-except postgresql                all but the database";

const RESTART_EXCEPT: &str = "\
What is named is left as it is, and so is all that it requires.

Examples:
  ctl restart-except postgresql nginx";

const SIGNAL: &str = "\
Sent to the main process alone; what it does then is its own affair.

Examples:
  ctl hup nginx
  ctl usr1 nginx 'worker@*'";

const CHECK_CONFIG: &str = "\
Names every problem with file, line, key and the nearest right name, and ends with 1 if there is
one.

Examples:
  ctl check-config
  ctl check-config --root /srv/test --catalog ./services.d";

const SHOW_CONFIG: &str = "\
Examples:
  ctl show-config mattermost
  ctl show-config --format json";

const DIFF_CONFIG: &str = "\
Examples:
  ctl diff-config                           before ctl reconfigure";

const RECONFIGURE: &str = "\
What is wrong is refused as a whole, and nothing changes. Each action is printed with its reason.

With the same files a dry run says what the real one then does, service by service. Where a reload
fails, the configuration before is put in place again, and ctl says so and ends with 1. Where a
service does not come up, ctl says why and ends with 1. A rollback puts plan and rendered files back, not
your files: neither a boot nor a restart applies those again unless one changes; ctl reconfigure
does.

Examples:
  ctl reconfigure --dry-run                 what would change, and because of what
  ctl check-config && ctl reconfigure
  ctl reconfigure --rollback                the last configuration that worked";

const COMPLETIONS: &str = "\
The shell then asks this program, which asks the supervisor for the names of services.

Examples:
  source <(ctl completions bash)            for this shell
  ctl completions bash > /etc/bash_completion.d/ctl
  ctl completions zsh > /usr/local/share/zsh/site-functions/_ctl
  ctl completions fish > ~/.config/fish/completions/ctl.fish";

const REEXEC: &str = "\
If the new one does not answer in time, the old one goes on.

Examples:
  ctl reexec && ctl version                 after an upgrade of the package";

const TOOLS: &str = "\
A tool is executed in the place of ctl, with all arguments that follow its name; its exit code is its
own. Options of ctl stand before the name.

Examples:
  ctl tools                                 which there are
  ctl psql -c 'SELECT count(*) FROM posts'
  ctl pg_dump -Fc -f mattermost.dump
  ctl mmctl --local user list";

const VERSION: &str = "\
Examples:
  ctl version
  ctl version --format json";

/// The definition, with what stands below the help of each command.
pub(crate) fn added(command: Command) -> Command {
    let names: Vec<String> = command
        .get_subcommands()
        .map(|it| it.get_name().to_owned())
        .collect();
    names
        .iter()
        .fold(command, |command, name| match below(name) {
            Some(text) => command.mut_subcommand(name, |it| it.after_help(text)),
            None => command,
        })
}

fn below(command: &str) -> Option<String> {
    let text = match command {
        "status" => STATUS,
        "why" => WHY,
        "logs" => logs::EXAMPLES,
        "tail" => TAIL,
        "events" => return Some(format!("{WHEN}\n{EVENTS}")),
        "service-list" => SERVICE_LIST,
        "wait" => WAIT,
        "start" => START,
        "stop" => STOP,
        "restart" => RESTART,
        "once" => ONCE,
        "reload" => RELOAD,
        "start-except" => START_EXCEPT,
        "stop-except" => STOP_EXCEPT,
        "restart-except" => RESTART_EXCEPT,
        "hup" | "int" | "term" | "kill" | "usr1" | "usr2" | "quit" => SIGNAL,
        "check-config" => CHECK_CONFIG,
        "show-config" => SHOW_CONFIG,
        "diff-config" => DIFF_CONFIG,
        "reconfigure" => RECONFIGURE,
        "env" => crate::commands::env::EXAMPLES,
        "maintenance" => maintenance::EXAMPLES,
        "completions" => COMPLETIONS,
        "reexec" => REEXEC,
        "tools" => TOOLS,
        "version" => VERSION,
        _ => return None,
    };
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use crate::cli::{self, Cli};

    #[test]
    fn every_command_has_examples_and_they_parse() {
        let ours = super::added(Cli::command());
        client::testing::examples_parse(&ours, cli::command);
    }
}
