//! Faults of one certificate and its key, one question after the other.

use std::{io, path::Path};

use rustls_pki_types::{PrivateKeyDer, pem::PemObject};
use x509_parser::{certificate::X509Certificate, pem::Pem, prelude::FromDer};

use super::{
    finding::{CHAIN_MAX, DAY_S, Finding, Grade, SOON_S},
    hosts::covers,
    public_key,
};
use crate::{host::machine::Host, model::Certificate};

/// Gathers what is wrong with one certificate.
pub(super) struct Findings<'c> {
    pub(super) certificate: &'c Certificate,
    pub(super) list: Vec<Finding>,
}

impl Findings<'_> {
    fn add(&mut self, path: &Path, grade: Grade, text: impl Into<String>) {
        self.list.push(Finding {
            path: path.to_owned(),
            text: text.into(),
            grade,
        });
    }

    fn of_certificate(&mut self, grade: Grade, text: impl Into<String>) {
        self.add(&self.certificate.certificate, grade, text);
    }

    pub(super) fn read(&mut self, path: &Path, read: io::Result<Vec<u8>>) -> Option<Vec<u8>> {
        match read {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                let hint = self.certificate.hint.as_ref();
                let hint = hint.filter(|_| path == self.certificate.certificate);
                let why = match error.kind() {
                    io::ErrorKind::NotFound => match hint {
                        Some(hint) => format!("it is not there; {hint}"),
                        None => "it is not there".to_owned(),
                    },
                    io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
                    io::ErrorKind::IsADirectory => "it is a directory".to_owned(),
                    _ => error.to_string(),
                };
                self.add(path, Grade::Unusable, format!("cannot be read: {why}"));
                None
            }
        }
    }

    /// The certificates of the file, in their order.
    pub(super) fn chain(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let blocks = Pem::iter_from_buffer(bytes).filter_map(Result::ok);
        let certificates = blocks.filter(|block| block.label == "CERTIFICATE");
        let chain: Vec<Vec<u8>> = certificates
            .take(CHAIN_MAX)
            .map(|block| block.contents)
            .collect();
        let whole = |der: &Vec<u8>| X509Certificate::from_der(der).is_ok();
        if chain.is_empty() {
            let text = "holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)";
            self.of_certificate(Grade::Unusable, text);
        } else if !chain.iter().all(whole) {
            self.of_certificate(Grade::Unusable, "holds a damaged certificate");
            return Vec::new();
        }
        chain
    }

    pub(super) fn mode(&mut self, host: &dyn Host) {
        if let Ok((mode, _)) = host.mode(&self.certificate.key)
            && mode & 0o007 != 0
        {
            let text = format!("others can get at the key (mode {mode:04o}): chmod 600");
            self.add(&self.certificate.key, Grade::Warning, text);
        }
    }

    /// Whether key and certificate belong together.
    pub(super) fn pair(&mut self, chain: &[Vec<u8>], key: &[u8]) {
        if self.certificate.password_file.is_some() {
            return;
        }
        let path = self.certificate.key.clone();
        let key = match PrivateKeyDer::from_pem_slice(key) {
            Ok(key) => key,
            Err(_) if find(key, b"ENCRYPTED") => {
                let text = "the key has a passphrase, and no file that says it";
                self.add(&path, Grade::Unusable, text);
                return;
            }
            Err(_) => {
                let text = "holds no private key in PEM form (-----BEGIN PRIVATE KEY-----)";
                self.add(&path, Grade::Unusable, text);
                return;
            }
        };
        // A kind of key that is not known here may be known to the program.
        let Some(public) = public_key::of(&key) else {
            return;
        };
        let leaf = chain.first().map(|der| X509Certificate::from_der(der));
        let Some(Ok((_, leaf))) = leaf else {
            return;
        };
        if leaf.public_key().subject_public_key.data != public {
            let certificate = self.certificate.certificate.display();
            let text = format!("the key does not belong to the certificate {certificate}");
            self.add(&path, Grade::Unusable, text);
        }
    }

    pub(super) fn leaf(&mut self, leaf: &X509Certificate<'_>, now: i64) {
        let (from, to) = (
            leaf.validity().not_before.timestamp(),
            leaf.validity().not_after.timestamp(),
        );
        if let Some(host) = self.certificate.host.clone()
            && let Err(names) = covers(leaf, &host)
        {
            let text = format!("the certificate is not for {host}, but for {names}");
            self.of_certificate(Grade::Degraded, text);
        }
        let renewed_by = self.certificate.renewed_by.clone();
        if let Some(service) = &renewed_by
            && leaf.issuer() == leaf.subject()
        {
            let text = format!("the certificate is our own until `{service}` has got one");
            self.of_certificate(Grade::Degraded, text);
        }
        let window = SOON_S.min((to - from) / 3);
        // A renewal that is on time is no news.
        let window = if renewed_by.is_some() {
            window / 3 * 2
        } else {
            window
        };
        let left = to - now;
        if left < 0 {
            let text = format!("the certificate expired on {}", day(to));
            self.of_certificate(Grade::Degraded, text);
        } else if now < from {
            let text = format!("the certificate is not valid before {}", day(from));
            self.of_certificate(Grade::Degraded, text);
        } else if left < window {
            let days = left / DAY_S;
            let late =
                renewed_by.map(|service| format!(", and `{service}` should have renewed it"));
            let text = format!(
                "the certificate expires in {}, on {}{}",
                text::counted(days, "day", "days"),
                day(to),
                late.unwrap_or_default()
            );
            self.of_certificate(Grade::Soon(days), text);
        }
    }

    /// Each certificate is signed by the next one.
    pub(super) fn order(&mut self, chain: &[X509Certificate<'_>]) {
        let broken = chain
            .windows(2)
            .position(|pair| pair[0].issuer() != pair[1].subject());
        if let Some(at) = broken {
            let text = format!(
                "the chain is not in order: certificate {} is not that of the issuer of certificate {}",
                at + 2,
                at + 1
            );
            self.of_certificate(Grade::Warning, text);
        }
    }
}

fn find(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

/// `2026-11-23`.
fn day(unix_seconds: i64) -> String {
    jiff::Timestamp::from_second(unix_seconds).map_or_else(
        |_| "a day out of all reckoning".to_owned(),
        |at| text::day(&at.to_zoned(jiff::tz::TimeZone::UTC)),
    )
}
