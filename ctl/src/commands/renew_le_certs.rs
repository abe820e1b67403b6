//! `ctl renew-le-certs`: gets or renews the certificate from Let's Encrypt. The service `letsencrypt`
//! runs it by its schedule; by hand it does the same, with the order that the plan has rendered.

use std::{
    ffi::OsString,
    os::unix::process::CommandExt,
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use clap::Args;

use super::Context;
use crate::{
    acme::{self, Order, Outcome},
    error::{Error, Kind},
    moment,
};

/// What stands below the help.
pub(crate) const EXAMPLES: &str = "\
The service letsencrypt does this once a day by itself; nginx takes the new certificate at once.
A certificate is renewed in the last third of its life, 90 days mostly.

Examples:
  ctl renew-le-certs             if it is time
  ctl renew-le-certs --force     now; the authority counts how often
  ctl why letsencrypt            what it said the last time";

/// The service that has the order.
const SERVICE: &str = "letsencrypt";

// What is to be done.
#[derive(Debug, Args)]
pub(crate) struct Renew {
    /// Renew also when it is not time yet
    #[arg(long)]
    force: bool,
    /// What is wanted; the service's own way to say it
    #[arg(long, value_name = "FILE", hide = true)]
    order: Option<PathBuf>,
    /// Make a certificate of our own where there is none, then execute the command
    #[arg(long, hide = true, requires_all = ["host", "certificate", "key", "command"])]
    placeholder: bool,
    /// Remove it when the command has ended: it was to be tried, and nothing is to change
    #[arg(long, hide = true, requires = "placeholder")]
    trial: bool,
    /// Whom the placeholder is for
    #[arg(long, hide = true)]
    host: Option<String>,
    /// Where the placeholder goes
    #[arg(long, hide = true)]
    certificate: Option<PathBuf>,
    /// Where its key goes
    #[arg(long, hide = true)]
    key: Option<PathBuf>,
    /// What is executed then
    #[arg(last = true, hide = true)]
    command: Vec<OsString>,
}

/// Does it.
pub(crate) async fn run(context: &Context, arguments: &Renew) -> Result<u8, Error> {
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
    let outcome = acme::renew(&order, arguments.force, now, &|line| context.note(line)).await?;
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

/// Makes the placeholder and becomes the command; comes back only if that fails, or in a trial.
fn placeholder(arguments: &Renew) -> Result<u8, Error> {
    let given = (&arguments.host, &arguments.certificate, &arguments.key);
    let ((Some(host), Some(certificate), Some(key)), Some((program, rest))) =
        (given, arguments.command.split_first())
    else {
        let message = "--placeholder needs --host, --certificate, --key and a command";
        return Err(Error::new(Kind::Usage, message));
    };
    let made = acme::make_placeholder(host, certificate, key)?;
    let mut command = std::process::Command::new(program);
    command.args(rest);
    let error = if made && arguments.trial {
        #[expect(
            clippy::disallowed_methods,
            reason = "one command of ours, waited for at once; nobody else reaps here"
        )]
        let ended = command.status();
        // What was there for the trial alone; a reload makes it again.
        let _ = (std::fs::remove_file(certificate), std::fs::remove_file(key));
        match ended {
            Ok(status) => {
                return Ok(status
                    .code()
                    .map_or(1, |code| u8::try_from(code).unwrap_or(1)));
            }
            Err(error) => error,
        }
    } else {
        command.exec()
    };
    let program = program.to_string_lossy();
    Err(Error::new(
        Kind::Failed,
        format!("cannot execute {program}: {error}"),
    ))
}

fn day(unix_seconds: i64) -> String {
    moment::day(unix_seconds)
}
