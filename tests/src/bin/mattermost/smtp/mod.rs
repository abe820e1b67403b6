//! Hands mail to a mail server the way the real server does, faults included: Go's `net/smtp` with
//! its words, no password without TLS, and a STARTTLS whose failure shows only in the commands
//! after it.
//!
//! Everything here blocks. After the greeting nothing has a time limit, as in the real server.

mod client;
mod tls;

use std::time::Duration;

pub(crate) use client::{send, test};

use crate::config::Config;

const SECTION: &str = "EmailSettings";

/// The mail server, as `EmailSettings` describe it.
#[derive(Clone, Debug)]
pub(crate) struct Relay {
    security: Security,
    skip_verification: bool,
    /// Name that this host gives itself.
    hostname: String,
    server: String,
    port: String,
    limit: Duration,
    /// Name and password, if the server signs in.
    credentials: Option<(String, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Security {
    None,
    Tls,
    StartTls,
}

impl Relay {
    /// Reads the settings.
    pub(crate) fn of(config: &Config) -> Self {
        let text = |key| config.text(SECTION, key).to_owned();
        let signs_in = config.flag(SECTION, "EnableSMTPAuth");
        let limit = config.all()[SECTION]["SMTPServerTimeout"].as_u64();
        Self {
            security: match config.text(SECTION, "ConnectionSecurity") {
                "TLS" => Security::Tls,
                "STARTTLS" => Security::StartTls,
                _ => Security::None,
            },
            skip_verification: config.flag(SECTION, "SkipServerCertificateVerification"),
            hostname: host(config.text("ServiceSettings", "SiteURL")),
            server: text("SMTPServer"),
            port: text("SMTPPort"),
            limit: Duration::from_secs(limit.unwrap_or(10)),
            credentials: signs_in.then(|| (text("SMTPUsername"), text("SMTPPassword"))),
        }
    }

    fn address(&self) -> String {
        format!("{}:{}", self.server, self.port)
    }
}

/// The host of a URL, without its port.
pub(crate) fn host(url: &str) -> String {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or_default();
    let host = authority.split(':').next().unwrap_or_default();
    host.to_owned()
}
