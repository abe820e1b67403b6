//! `ctl renew-le-certs`: gets or renews the certificate from Let's Encrypt. The service `letsencrypt`
//! runs it by its schedule; by hand it does the same, with the order that the plan has rendered.

use std::{
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use clap::{Args, Subcommand};
use client::{Context, Error, Kind, programs, time_arg};

use crate::{Order, Outcome};

/// What stands below the help.
const EXAMPLES: &str = "\
The service letsencrypt does this once a day by itself; nginx takes the new certificate at once.
A certificate is renewed in the last third of its life, 90 days mostly.

Examples:
  ctl renew-le-certs             if it is time
  ctl renew-le-certs --force     now; the authority counts how often
  ctl why letsencrypt            what it said the last time";

/// The service that has the order.
const SERVICE: &str = "letsencrypt";

// The command of this program.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(about = programs::about("renew-le-certs"), after_help = EXAMPLES)]
    RenewLeCerts(Renew),
}

// What is to be done.
#[derive(Debug, Args)]
pub(crate) struct Renew {
    /// Renew also when it is not time yet
    #[arg(long)]
    force: bool,
    /// What is wanted; the service's own way to say it
    #[arg(long, value_name = "FILE", hide = true)]
    order: Option<PathBuf>,
    /// Make a certificate of our own where there is none, until there is a real one
    #[arg(long, hide = true, requires_all = ["host", "certificate", "key"])]
    placeholder: bool,
    /// Whom the placeholder is for
    #[arg(long, hide = true)]
    host: Option<String>,
    /// Where the placeholder goes
    #[arg(long, hide = true)]
    certificate: Option<PathBuf>,
    /// Where its key goes
    #[arg(long, hide = true)]
    key: Option<PathBuf>,
}

/// Does it.
pub(crate) async fn run(context: &Context, command: Command) -> Result<u8, Error> {
    let Command::RenewLeCerts(arguments) = &command;
    // The directories above the root are the administrator's business.
    if let Ok(root) = std::path::absolute(&context.root) {
        safe_path::trust_root(&root);
    }
    if arguments.placeholder {
        return placeholder(arguments);
    }
    let order = match &arguments.order {
        Some(path) => Order::read(path)?,
        None => by_hand(context).await?,
    };
    let order = order.ok_or_else(not_enabled)?;
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let outcome = crate::renew(&order, arguments.force, now, &|line| context.note(line)).await?;
    let path = order.certificate.display();
    context.note(&match outcome {
        Outcome::Fresh(at) => format!("{path} is good; it is renewed from {} on", day(at)),
        Outcome::Issued(at) => format!("{path} is new; it is renewed from {} on", day(at)),
    });
    Ok(0)
}

/// The order that the plan has rendered, unless the service has been disabled since.
async fn by_hand(context: &Context) -> Result<Option<Order>, Error> {
    // Without a supervisor the order alone counts.
    let path = format!("/v1/services/{SERVICE}");
    let status: Result<api::ServiceStatus, _> = context.client.get(&path).await;
    if status.is_ok_and(|status| !status.enabled) {
        return Ok(None);
    }
    Order::read(&context.root.join("run/mattervisor/letsencrypt/order.json"))
}

fn not_enabled() -> Error {
    Error::new(Kind::Failed, "letsencrypt is not enabled on this host")
        .hint("set letsencrypt.enable = true in the site file, then: ctl reconfigure")
}

/// Makes the certificate that a server starts with until there is a real one.
fn placeholder(arguments: &Renew) -> Result<u8, Error> {
    let (Some(host), Some(certificate), Some(key)) =
        (&arguments.host, &arguments.certificate, &arguments.key)
    else {
        let message = "--placeholder needs --host, --certificate and --key";
        return Err(Error::new(Kind::Usage, message));
    };
    crate::make_placeholder(host, certificate, key)?;
    Ok(0)
}

fn day(unix_seconds: i64) -> String {
    time_arg::day(unix_seconds)
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
