//! TLS to a mail server. Authorities are the system's own, or those that `SSL_CERT_FILE` and
//! `SSL_CERT_DIR` name; errors are in Go's words.

use std::{
    net::{IpAddr, TcpStream},
    sync::Arc,
};

use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore,
    SignatureScheme, StreamOwned,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, UnixTime},
};

/// Makes a TLS connection and completes its handshake.
pub(super) fn client(
    mut stream: TcpStream,
    server: &str,
    skip_verification: bool,
) -> Result<StreamOwned<ClientConnection, TcpStream>, String> {
    let name = server.trim_start_matches('[').trim_end_matches(']');
    let name = ServerName::try_from(name.to_owned()).map_err(|error| error.to_string())?;
    let config = config(skip_verification).map_err(|error| error.to_string())?;
    let made = ClientConnection::new(Arc::new(config), name);
    let mut connection = made.map_err(|error| error.to_string())?;
    while connection.is_handshaking() {
        if let Err(error) = connection.complete_io(&mut stream) {
            let tls = error.get_ref().and_then(|it| it.downcast_ref::<Error>());
            return Err(tls.map_or_else(|| "EOF".to_owned(), |tls| words(tls, server)));
        }
    }
    Ok(StreamOwned::new(connection, stream))
}

fn config(skip_verification: bool) -> Result<ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions()?;
    if skip_verification {
        let anybody = Arc::new(Anybody(provider));
        let builder = builder
            .dangerous()
            .with_custom_certificate_verifier(anybody);
        return Ok(builder.with_no_client_auth());
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// The error as a server in Go words it.
fn words(error: &Error, server: &str) -> String {
    let why = match error {
        Error::InvalidMessage(_) => {
            return "tls: first record does not look like a TLS handshake".to_owned();
        }
        Error::InvalidCertificate(why) => why,
        other => return format!("tls: {other}"),
    };
    let why = match why {
        CertificateError::UnknownIssuer => "certificate signed by unknown authority".to_owned(),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "certificate has expired or is not yet valid".to_owned()
        }
        CertificateError::NotValidForNameContext { presented, .. }
            if server.parse::<IpAddr>().is_ok()
                && !presented.iter().any(|it| it.starts_with("IpAddress")) =>
        {
            format!(
                "cannot validate certificate for {server} because it doesn't contain any IP SANs"
            )
        }
        CertificateError::NotValidForNameContext { presented, .. } => {
            // Each name is `DnsName("NAME")`.
            let names = presented.iter().filter_map(|it| it.split('"').nth(1));
            let names: Vec<&str> = names.collect();
            format!(
                "certificate is valid for {}, not {server}",
                names.join(", ")
            )
        }
        CertificateError::NotValidForName => format!("certificate is not valid for {server}"),
        other => format!("{other:?}"),
    };
    format!("tls: failed to verify certificate: x509: {why}")
}

/// `SkipServerCertificateVerification`: any certificate will do.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
