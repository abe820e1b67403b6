//! `ctl renew-le-certs`: obtains a certificate from an authority that speaks ACME (RFC 8555), by
//! HTTP challenges.
//!
//! An order, a file that the plan renders, describes the certificate; this program reads no site
//! file and knows no supervisor. `issue` talks to the authority through a library, over our own
//! HTTP client; `answers` lays out the challenge files; `store` writes files atomically;
//! `placeholder` makes the certificate in use until a real one exists.

mod account;
mod answers;
mod authority;
mod issue;
mod order;
mod placeholder;
mod renew_le_certs;
mod store;
#[cfg(test)]
mod tests;

use std::process::ExitCode;

use client::{Error, Kind, command_line};

pub(crate) use order::Order;
pub(crate) use placeholder::make as make_placeholder;

fn main() -> ExitCode {
    command_line::main(renew_le_certs::run)
}

/// The outcome of an order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing is due before that moment, in seconds of the Unix epoch.
    Fresh(i64),
    /// A new certificate is in place, which is to be renewed at that moment.
    Issued(i64),
}

/// Obtains a certificate if one is due, or if it is forced.
pub(crate) async fn renew(
    order: &Order,
    force: bool,
    now: i64,
    say: &dyn Fn(&str),
) -> Result<Outcome, Error> {
    order.check()?;
    let _lock = store::lock(&order.account)?;
    let known = account::read(&order.account)?;
    let reason = match order.due(known.as_ref(), now) {
        Ok(at) if !force => return Ok(Outcome::Fresh(at)),
        Ok(_) => "it was asked for".to_owned(),
        Err(reason) => reason,
    };
    let hosts = order.hosts.join(", ");
    say(&format!(
        "asks {} for a certificate for {hosts}: {reason}",
        order.directory
    ));
    let issued = issue::issue(order, known, say).await?;
    let life = store::put(order, &issued)?;
    Ok(Outcome::Issued(life.renew_at()))
}

/// An error of an operation on a file.
fn with_file(what: &str, path: &std::path::Path, error: &std::io::Error) -> Error {
    if error.kind() == std::io::ErrorKind::PermissionDenied {
        let message = format!("cannot {what} {}: permission denied", path.display());
        return Error::new(Kind::NotAllowed, message).hint("this needs root: sudo ctl …");
    }
    Error::new(
        Kind::Failed,
        format!("cannot {what} {}: {error}", path.display()),
    )
}
