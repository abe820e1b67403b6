//! HTTPS requests: the certificate authorities that they trust, and the agent that sends them.

use std::{path::Path, time::Duration};

use client::{Error, Kind};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

/// Largest file of certificate authorities.
const CA_BYTES_MAX: u64 = 16 << 20;

/// The system's certificate authorities, and those of the PEM file if one is given.
pub fn roots(ca_file: Option<&Path>) -> Result<Vec<Certificate<'static>>, Error> {
    // `SSL_CERT_FILE` and `SSL_CERT_DIR` take the place of the system's directories.
    let system = rustls_native_certs::load_native_certs().certs;
    let mut roots: Vec<_> = system
        .iter()
        .map(|it| Certificate::from_der(it).to_owned())
        .collect();
    let Some(path) = ca_file else {
        return Ok(roots);
    };
    let failed = |why: String| {
        let path = path.display();
        Error::new(
            Kind::Failed,
            format!("cannot take authorities from {path}: {why}"),
        )
        .hint("it is a PEM file: -----BEGIN CERTIFICATE----- …")
    };
    let bytes = safe_path::read(path, CA_BYTES_MAX).map_err(|error| failed(error.to_string()))?;
    let before = roots.len();
    for item in parse_pem(&bytes) {
        match item {
            Ok(PemItem::Certificate(certificate)) => roots.push(certificate),
            Ok(_) => {}
            Err(error) => return Err(failed(error.to_string())),
        }
    }
    if roots.len() == before {
        return Err(failed("there is no certificate in it".to_owned()));
    }
    Ok(roots)
}

/// An agent that trusts these authorities alone and follows no redirect; a request takes at most
/// `longest`.
pub fn agent(roots: Vec<Certificate<'static>>, longest: Duration) -> ureq::Agent {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::from(roots))
        .unversioned_rustls_crypto_provider(provider);
    ureq::Agent::config_builder()
        .timeout_global(Some(longest))
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .user_agent(concat!("mattervisor/", env!("CARGO_PKG_VERSION")))
        .tls_config(tls.build())
        .build()
        .new_agent()
}
