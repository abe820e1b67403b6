//! Checks of a certificate.
//!
//! A certificate is looked at when the plan is made and by the supervisor while it runs; both get
//! the same sentences. Nothing here refuses a plan: what a program cannot use, its own validator
//! refuses. Sees files through [`Host`] alone and is told the time.

use std::io;

use x509_parser::{certificate::X509Certificate, pem::Pem, prelude::FromDer};

use super::{
    finding::{Finding, SOON_S},
    findings::Findings,
    hosts::covers,
};
use crate::{
    host::machine::Host,
    model::{Certificate, Service},
    report::{place::Place, problem::Report},
};

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

/// Faults of a certificate and its key at a time, in seconds of the Unix epoch.
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
        // The service that makes the certificate has not run yet.
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

/// Data that a renewer of a certificate needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Life {
    /// From when it is valid, seconds of the Unix epoch.
    pub from: i64,
    /// Until when.
    pub to: i64,
    /// Issuer and subject are the same.
    pub self_signed: bool,
}

impl Life {
    /// The moment from which it is to be renewed: a third of its life is left, or 30 days.
    pub fn renew_at(&self) -> i64 {
        self.to - SOON_S.min((self.to - self.from) / 3)
    }
}

/// The life of the first certificate of a PEM file, and whether it is for all these hosts. None:
/// there is none.
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
