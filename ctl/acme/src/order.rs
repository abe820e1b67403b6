//! The order: which certificate is wanted, and whether it is due.

use std::path::{Path, PathBuf};

use client::{Error, Kind};
use plan::{Certificate, RealHost, certificates};
use serde::Deserialize;

use super::{account::Known, store::CHAIN_BYTES_MAX, with_file};

/// Largest order that is read.
const ORDER_BYTES_MAX: u64 = 1 << 20;
/// Most hosts of one certificate.
const HOSTS_MAX: usize = 100;

/// An order, as the plan renders it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Order {
    /// Hosts that the certificate is for, the first one its main one.
    pub(crate) hosts: Vec<String>,
    /// Path of the certificate with its chain.
    pub(crate) certificate: PathBuf,
    /// Path of the key.
    pub(crate) key: PathBuf,
    /// Owner of both files; `None` for our own user.
    pub(crate) owner: Option<String>,
    /// Group that may read the key; `None` for no group.
    pub(crate) group: Option<String>,
    /// `ecdsa256` or `ecdsa384`.
    pub(crate) key_type: String,
    /// Directory served below `/.well-known/` on port 80 of all hosts.
    pub(crate) wwwroot: PathBuf,
    /// Path of the account file.
    pub(crate) account: PathBuf,
    /// Directory URL of the authority.
    pub(crate) directory: String,
    /// Authorities that vouch for the ACME server's own certificate, besides the system's.
    pub(crate) ca_file: Option<PathBuf>,
    /// Addresses that the authority may write to.
    pub(crate) contact_emails: Vec<String>,
}

impl Order {
    /// Reads an order; `None` if there is none.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>, Error> {
        let text = match safe_path::read(path, ORDER_BYTES_MAX) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(with_file("read", path, &error)),
        };
        serde_json::from_slice(&text).map(Some).map_err(|error| {
            let message = format!(
                "cannot read {}: {}",
                path.display(),
                text::json_place(&error)
            );
            Error::new(Kind::Failed, message)
                .hint("it was rendered by another version: ctl reconfigure renders it again")
        })
    }

    /// Refuses hosts that no authority would accept, before the authority counts a failure.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let wrong = |host: &str, why: &str| {
            Err(
                Error::new(Kind::Failed, format!("no authority gives a certificate for {host}: {why}"))
                    .hint("only names that the whole world can look up will do; give another host in mattermost_external_url, or letsencrypt.enable = false and a certificate of your own"),
            )
        };
        if self.hosts.is_empty() || self.hosts.len() > HOSTS_MAX {
            let message = format!("a certificate is for 1 to {HOSTS_MAX} hosts");
            return Err(Error::new(Kind::Failed, message));
        }
        let public = self.directory.contains("letsencrypt.org");
        for host in &self.hosts {
            let lower = host.to_ascii_lowercase();
            let private = [
                ".local",
                ".localhost",
                ".internal",
                ".lan",
                ".test",
                ".invalid",
                ".example",
            ];
            if host.contains('*') {
                return wrong(host, "for a wildcard it asks DNS, which is not done here");
            }
            if public && (!host.contains('.') || private.iter().any(|end| lower.ends_with(end))) {
                return wrong(host, "it is a name of a private network");
            }
        }
        Ok(())
    }

    /// The moment at which the existing certificate is to be renewed, in seconds of the Unix epoch.
    /// An error says why it is due now.
    pub(super) fn due(&self, known: Option<&Known>, now: i64) -> Result<i64, String> {
        let path = self.certificate.display();
        let Ok(pem) = safe_path::read(&self.certificate, CHAIN_BYTES_MAX) else {
            return Err(format!("there is no {path}"));
        };
        let Some((life, for_all)) = certificates::life(&pem, &self.hosts) else {
            return Err(format!("{path} holds no certificate"));
        };
        let certificate = Certificate {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            host: None,
            password_file: None,
            renewed_by: None,
            hint: None,
        };
        let found = certificates::check(&RealHost, &certificate, now);
        if let Some(bad) = found
            .iter()
            .find(|it| it.grade == certificates::Grade::Unusable)
        {
            return Err(bad.sentence());
        }
        if known.is_some_and(|known| known.issued && known.directory != self.directory) {
            return Err("the one that is there is from another authority".to_owned());
        }
        if life.self_signed {
            return Err("the one that is there is self-signed".to_owned());
        }
        if !for_all {
            return Err("the one that is there is not for all of these hosts".to_owned());
        }
        let at = life.renew_at();
        if now < at {
            return Ok(at);
        }
        let days = (life.to - now) / 86_400;
        Err(match life.to.cmp(&now) {
            std::cmp::Ordering::Less => "the one that is there has expired".to_owned(),
            _ => format!(
                "the one that is there ends in {}",
                text::counted(days, "day", "days")
            ),
        })
    }
}
