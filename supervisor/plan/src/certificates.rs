//! `[[certificates]]` and `[[watches]]` of a service, and what is wrong with a certificate.
//!
//! A certificate is looked at when the plan is made and by the supervisor while it runs; both get
//! the same sentences. Nothing here refuses a plan: what a program cannot use, its own validator
//! refuses. Sees files through [`Host`] alone and is told the time.

mod findings;
mod hosts;
mod public_key;

use std::io;

use x509_parser::{certificate::X509Certificate, pem::Pem, prelude::FromDer};

use crate::{
    Certificate, Host, OnChange, Service, WatchedFile,
    fields::Fields,
    files::tables,
    problem::Report,
    reader::Reader,
    setting::SERVICE_KEYS,
    source::{Node, Place},
};
use findings::Findings;
use hosts::covers;

/// Seconds before its end from which a certificate is told of, at most; a short-lived one is told of
/// in the last third of its life.
const SOON_S: i64 = 30 * DAY_S;
const DAY_S: i64 = 86_400;
/// Certificates of one file that are looked at.
const CHAIN_MAX: usize = 16;

/// Something to be told of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file that it is about.
    pub path: std::path::PathBuf,
    /// What is wrong, lower case, without the file's name.
    pub text: String,
    /// How bad it is.
    pub grade: Grade,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// Worth mending; nobody notices yet.
    Warning,
    /// It ends soon: so many days are left.
    Soon(i64),
    /// Clients do not trust it, though a program may serve it.
    Degraded,
    /// A program cannot use it: it cannot be read, or key and certificate do not belong together.
    Unusable,
}

impl Finding {
    /// With the file's name, as a sentence of its own.
    pub fn sentence(&self) -> String {
        format!("{}: {}", self.path.display(), self.text)
    }
}

/// The certificates of a service.
pub(crate) fn certificates(
    reader: &mut Reader<'_, '_>,
    fields: &mut Fields<'_>,
) -> Vec<Certificate> {
    let mut out = Vec::new();
    for mut fields in tables(reader, fields, "certificates") {
        let node = needed(reader, &mut fields, "certificate");
        let certificate = node.and_then(|node| reader.text(node, "certificates.certificate"));
        let key = needed(reader, &mut fields, "key");
        // Where there is none, its key does not matter.
        let used = certificate.as_deref() != Some("");
        let key = key.filter(|_| used);
        let key = key.and_then(|node| reader.text(node, "certificates.key"));
        let host = reader.text_key(&mut fields, "host");
        let password_file = reader.path_key(&mut fields, "password_file", true);
        let renewed_by = reader.text_key(&mut fields, "renewed_by");
        let hint = reader.text_key(&mut fields, "hint");
        let at = fields.at.clone();
        fields.finish(&SERVICE_KEYS, reader.report());
        let (Some(certificate), Some(key)) = (certificate.filter(|_| used), key) else {
            continue;
        };
        if !certificate.starts_with('/') || !key.starts_with('/') {
            let message = "certificate and key must be absolute paths";
            reader.report().error(&at, "certificates", message);
            continue;
        }
        out.push(Certificate {
            certificate: certificate.into(),
            key: key.into(),
            host: host.filter(|host| !host.is_empty()),
            password_file,
            renewed_by: renewed_by.filter(|name| !name.is_empty()),
            hint: hint.filter(|hint| !hint.is_empty()),
        });
    }
    out
}

fn needed<'t>(
    reader: &mut Reader<'_, '_>,
    fields: &mut Fields<'t>,
    key: &'static str,
) -> Option<&'t Node> {
    let node = fields.node(key);
    if node.is_none() {
        let name = fields.key(key);
        reader.report().error(&fields.at, name, "is missing");
    }
    node
}

/// The files of a service that something else writes.
pub(crate) fn watches(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>) -> Vec<WatchedFile> {
    let words = [
        ("reload", OnChange::Reload),
        ("restart", OnChange::Restart),
        ("nothing", OnChange::Nothing),
    ];
    let mut out = Vec::new();
    for mut fields in tables(reader, fields, "watches") {
        needed(reader, &mut fields, "path");
        let path = reader.path_key(&mut fields, "path", true);
        let on_change = reader
            .word_key(&mut fields, "on_change", &words)
            .unwrap_or(OnChange::Reload);
        fields.finish(&SERVICE_KEYS, reader.report());
        if let Some(path) = path {
            out.push(WatchedFile { path, on_change });
        }
    }
    out
}

/// Tells what is wrong with the certificates of a service that runs here.
pub(crate) fn report(host: &dyn Host, service: &Service, report: &mut Report) {
    let now = host.unix_seconds();
    for certificate in &service.certificates {
        for finding in check(host, certificate, now) {
            let key = format!("{}.certificates", service.name);
            report.warning(&Place::whole(&finding.path), key, finding.text);
        }
    }
}

/// What is wrong with a certificate and its key at a time, in seconds of the Unix epoch.
pub fn check(host: &dyn Host, certificate: &Certificate, now: i64) -> Vec<Finding> {
    let mut findings = Findings {
        certificate,
        list: Vec::new(),
    };
    let given = host.read(&certificate.certificate);
    let key = host.read(&certificate.key);
    let absent = |read: &io::Result<Vec<u8>>| {
        read.as_ref()
            .is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    };
    if certificate.renewed_by.is_some() && absent(&given) && absent(&key) {
        // It is about to be made.
        return Vec::new();
    }
    let given = findings.read(&certificate.certificate, given);
    let key = findings.read(&certificate.key, key);
    let chain = given
        .map(|bytes| findings.chain(&bytes))
        .unwrap_or_default();
    if key.is_some() {
        findings.mode(host);
    }
    if let Some(key) = key {
        findings.pair(&chain, &key);
    }
    let parsed: Vec<X509Certificate<'_>> = chain
        .iter()
        .filter_map(|der| X509Certificate::from_der(der).ok())
        .map(|(_, parsed)| parsed)
        .collect();
    if let Some(leaf) = parsed.first() {
        findings.leaf(leaf, now);
        findings.order(&parsed);
    }
    findings.list
}

/// What whoever renews a certificate must know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Life {
    /// From when it is valid, seconds of the Unix epoch.
    pub from: i64,
    /// Until when.
    pub to: i64,
    /// Nobody but itself vouches for it.
    pub self_signed: bool,
}

impl Life {
    /// The moment from which it is to be renewed: a third of its life is left, or 30 days.
    pub fn renew_at(&self) -> i64 {
        self.to - SOON_S.min((self.to - self.from) / 3)
    }
}

/// The life of the first certificate of a PEM file, and whether it is for all these hosts. None: there
/// is none.
pub fn life(pem: &[u8], hosts: &[String]) -> Option<(Life, bool)> {
    let mut blocks = Pem::iter_from_buffer(pem).filter_map(Result::ok);
    let block = blocks.find(|block| block.label == "CERTIFICATE")?;
    let (_, leaf) = X509Certificate::from_der(&block.contents).ok()?;
    let life = Life {
        from: leaf.validity().not_before.timestamp(),
        to: leaf.validity().not_after.timestamp(),
        self_signed: leaf.issuer() == leaf.subject(),
    };
    let for_all = hosts.iter().all(|host| covers(&leaf, host).is_ok());
    Some((life, for_all))
}

#[cfg(test)]
#[path = "tests/certificates.rs"]
mod tests;
