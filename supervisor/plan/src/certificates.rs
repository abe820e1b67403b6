//! `[[certificates]]` and `[[watches]]` of a service, and what is wrong with a certificate.
//!
//! A certificate is looked at when the plan is made and by the supervisor while it runs; both get
//! the same sentences. Nothing here refuses a plan: what a program cannot use, its own validator
//! refuses. Sees files through [`Host`] alone and is told the time.

use std::{io, net::IpAddr, path::Path};

use rustls::{
    crypto::ring::sign::any_supported_type,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};
use x509_parser::{
    certificate::X509Certificate, extensions::GeneralName, pem::Pem, prelude::FromDer,
};

use crate::{
    Certificate, Host, OnChange, Service, WatchedFile,
    fields::Fields,
    files::tables,
    problem::Report,
    reader::Reader,
    setting::SERVICE_KEYS,
    source::{Node, Place},
};

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

/// Gathers what is wrong with one certificate.
struct Findings<'c> {
    certificate: &'c Certificate,
    list: Vec<Finding>,
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

    fn read(&mut self, path: &Path, read: io::Result<Vec<u8>>) -> Option<Vec<u8>> {
        match read {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                let why = match error.kind() {
                    io::ErrorKind::NotFound => "it is not there".to_owned(),
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
    fn chain(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
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

    fn mode(&mut self, host: &dyn Host) {
        if let Ok((mode, _)) = host.mode(&self.certificate.key)
            && mode & 0o007 != 0
        {
            let text = format!("others can get at the key (mode {mode:04o}): chmod 600");
            self.add(&self.certificate.key, Grade::Warning, text);
        }
    }

    /// Whether key and certificate belong together.
    fn pair(&mut self, chain: &[Vec<u8>], key: &[u8]) {
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
        let Ok(signer) = any_supported_type(&key) else {
            return;
        };
        let certificates = chain.iter().map(|der| CertificateDer::from(der.as_slice()));
        let certificates: Vec<_> = certificates.map(CertificateDer::into_owned).collect();
        if certificates.is_empty() {
            return;
        }
        let mismatch = rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch);
        if CertifiedKey::new(certificates, signer).keys_match() == Err(mismatch) {
            let certificate = self.certificate.certificate.display();
            let text = format!("the key does not belong to the certificate {certificate}");
            self.add(&path, Grade::Unusable, text);
        }
    }

    fn leaf(&mut self, leaf: &X509Certificate<'_>, now: i64) {
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
                "the certificate expires in {days} day{}, on {}{}",
                if days == 1 { "" } else { "s" },
                day(to),
                late.unwrap_or_default()
            );
            self.of_certificate(Grade::Soon(days), text);
        }
    }

    /// Each certificate is signed by the next one.
    fn order(&mut self, chain: &[X509Certificate<'_>]) {
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

/// Whether a certificate is for a host; an error names those it is for.
fn covers(leaf: &X509Certificate<'_>, host: &str) -> Result<(), String> {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let address: Option<IpAddr> = address.parse().ok();
    let mut names = Vec::new();
    let found = leaf.subject_alternative_name().ok().flatten();
    for name in found.iter().flat_map(|found| &found.value.general_names) {
        match (name, address) {
            (GeneralName::DNSName(name), None) if matches_name(name, host) => return Ok(()),
            (GeneralName::IPAddress(bytes), Some(wanted)) if ip(bytes) == Some(wanted) => {
                return Ok(());
            }
            (GeneralName::DNSName(name), _) => names.push((*name).to_owned()),
            (GeneralName::IPAddress(bytes), _) => names.extend(ip(bytes).map(|ip| ip.to_string())),
            _ => {}
        }
    }
    if names.is_empty() {
        return Err("no host at all (it has no subjectAltName)".to_owned());
    }
    Err(names.join(", "))
}

/// `*` stands for the first label, as browsers have it.
fn matches_name(pattern: &str, host: &str) -> bool {
    let host = host.trim_end_matches('.');
    if let Some(rest) = pattern.strip_prefix("*.") {
        return host
            .split_once('.')
            .is_some_and(|(label, above)| !label.is_empty() && above.eq_ignore_ascii_case(rest));
    }
    pattern.eq_ignore_ascii_case(host)
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => Some(<[u8; 4]>::try_from(bytes).ok()?.into()),
        16 => Some(<[u8; 16]>::try_from(bytes).ok()?.into()),
        _ => None,
    }
}

/// `2026-11-23`.
fn day(unix_seconds: i64) -> String {
    jiff::Timestamp::from_second(unix_seconds).map_or_else(
        |_| "a day out of all reckoning".to_owned(),
        |at| at.strftime("%Y-%m-%d").to_string(),
    )
}

#[cfg(test)]
#[path = "tests/certificates.rs"]
mod tests;
