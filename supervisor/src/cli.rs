//! The daemon's command line: one definition gives parsing and help.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

/// An empty variable counts as none, as for ctl; clap's own `env` would refuse it.
const ROOT_HELP: &str = "Directory that stands before etc/mattervisor, var/lib/mattervisor, \
    var/log/mattervisor and run/mattervisor [env: MATTERVISOR_ROOT] [default: /]";

const CATALOG_HELP: &str = "Directory of the shipped service files [env: MATTERVISOR_CATALOG] \
    [default: /usr/share/mattervisor/services.d]";

/// Runs the services of a Mattermost server and keeps them up.
///
/// Without a command it stays in the foreground and runs everything until SIGTERM, SIGINT or SIGQUIT.
/// SIGHUP applies a changed configuration.
#[derive(Debug, Parser)]
#[command(name = "mattervisord", version, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    /// Directory that stands before etc/mattervisor and the others
    #[arg(long, global = true, value_name = "DIR", help = ROOT_HELP)]
    pub(crate) root: Option<PathBuf>,
    /// Directory of the shipped service files
    #[arg(long, global = true, value_name = "DIR", help = CATALOG_HELP)]
    pub(crate) catalog: Option<PathBuf>,
    /// How the daemon writes its own log, to stderr
    #[arg(long, global = true, default_value = "text", value_name = "FORMAT")]
    pub(crate) log_format: LogFormat,
    /// What to do instead of running
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// How the daemon writes its own log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// One readable line each.
    Text,
    /// One JSON object a line.
    Json,
}

/// What to do instead of running.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Check the configuration files and say all that is wrong with them
    Check,
    /// Print the version
    Version,
    /// The control process; the keeper alone starts it
    #[command(hide = true)]
    Control,
    /// Say whether this program can read the keeper's state; the keeper alone starts it
    #[command(hide = true)]
    KeeperTrial,
    /// Go on as the keeper that another program has been; the keeper alone executes it
    #[command(hide = true)]
    KeeperResume {
        /// Descriptor of the keeper's state
        state: i32,
        /// Descriptor of the program before this one
        earlier: i32,
        /// Why the program that was executed in between gave up
        #[arg(long, value_name = "JSON")]
        went_back: Option<String>,
    },
    /// Compress rotated log files; the keeper alone starts it
    #[command(hide = true)]
    Compress {
        /// Leave those alone that were rotated less than this many milliseconds ago
        #[arg(long, default_value_t = 0)]
        rotated_for_ms: u64,
        /// Log directories of services
        #[arg(required = true)]
        dirs: Vec<PathBuf>,
    },
    /// Delivers one notification; the control process alone starts it
    #[command(hide = true)]
    Deliver,
}

const EXIT_CODES: &str = "\
Exit codes: 0 stopped as asked, or the configuration is good · 1 failed · 2 usage ·
78 the configuration does not check and none has ever worked";

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use clap::CommandFactory as _;
    use clap_mangen::Man;

    use super::Cli;

    #[test]
    fn the_man_page_is_that_of_the_definition() {
        let manual = "Mattervisor";
        // No version and no date: a release changes no page.
        let man = Man::new(Cli::command().version("").disable_version_flag(true))
            .section("8")
            .date("")
            .source(manual)
            .manual(manual);
        let mut page = Vec::new();
        man.render(&mut page).unwrap();
        let page = String::from_utf8(page).unwrap();
        // One page for all: the generator refers to a page for each command.
        let line = |line: &str| match line
            .strip_prefix("mattervisord\\-")
            .and_then(|it| it.strip_suffix("(8)"))
        {
            Some(name) => format!("\\fBmattervisord {name}\\fR\n"),
            None => format!("{line}\n"),
        };
        let mut page: String = page.lines().map(line).collect();
        page.push_str(".SH SEE ALSO\nmattervisorctl(1), mattervisor.toml(5)\n");
        let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/man/mattervisord.8");
        if std::env::var_os("MATTERVISOR_UPDATE").is_some() {
            fs::write(&place, &page).unwrap();
        }
        let kept = fs::read_to_string(&place).unwrap_or_default();
        assert!(
            kept == page,
            "{} is out of date; write it anew: MATTERVISOR_UPDATE=1 cargo test --workspace man_page",
            place.display()
        );
    }
}
