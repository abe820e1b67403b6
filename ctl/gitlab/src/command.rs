//! `ctl gitlab …`: sign-on with GitLab, and GitLab's nginx as the proxy. The commands work from
//! files; no supervisor need run.

use clap::{Args, Subcommand};
use client::{Context, Error, programs};

use crate::{
    authorize::{self, Mode},
    input::{AuthorizeWith, VhostTo},
    vhost,
};

/// Text after the help of `ctl gitlab`.
const EXAMPLES: &str = "\
Works without a supervisor. What it stores counts after ctl reconfigure.

Examples:
  ctl gitlab authorize --url https://gitlab.example.com --token-file /root/gitlab-token
  ctl gitlab authorize --token-file /root/gitlab-token --dry-run
  ctl gitlab reauthorize --token-file /root/gitlab-token
  ctl gitlab vhost -o /etc/gitlab/mattermost-nginx.conf";

const AUTHORIZE: &str = "\
Makes an application `GitLab Mattermost` for the addresses of this Mattermost, with the scope
read_user, and stores its id and secret in secrets.toml, with mattermost.gitlab_enable and
mattermost.gitlab_url. What the site file says of these wins, so it may not say otherwise. If the
application is there already, it checks that all is well with it and changes nothing.";

const REAUTHORIZE: &str = "\
The secret is renewed in GitLab (before GitLab 16.11, and where its addresses are wrong: another
application is made and the old one removed), and stored in secrets.toml.";

const VHOST: &str = "\
For the nginx of a GitLab on the same machine, which holds the ports 80 and 443. All settings of
mattermost_nginx count. Set mattermost_nginx.enable = false, so that ours does not want them too.";

// The command of this program.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(about = programs::about("gitlab"), after_help = EXAMPLES)]
    Gitlab(Gitlab),
}

// The commands about GitLab.
#[derive(Debug, Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Gitlab {
    #[command(subcommand)]
    command: GitlabCommand,
}

// What to do about GitLab.
#[derive(Debug, Subcommand)]
enum GitlabCommand {
    /// Let users sign on with GitLab: make the OAuth application there, store its secret here
    #[command(after_help = AUTHORIZE)]
    Authorize(AuthorizeWith),
    /// Renew the secret of that application, or put another in its place
    #[command(after_help = REAUTHORIZE)]
    Reauthorize(AuthorizeWith),
    /// Write Mattermost's virtual host for GitLab's nginx
    #[command(after_help = VHOST)]
    Vhost(VhostTo),
}

/// Runs the subcommand.
pub(crate) fn run(context: &Context, command: &Command) -> Result<u8, Error> {
    let Command::Gitlab(gitlab) = command;
    match &gitlab.command {
        GitlabCommand::Authorize(with) => authorize::run(context, with, Mode::Authorize),
        GitlabCommand::Reauthorize(with) => authorize::run(context, with, Mode::Reauthorize),
        GitlabCommand::Vhost(to) => vhost::run(context, to),
    }
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
