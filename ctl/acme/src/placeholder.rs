//! A self-signed certificate, with which a web server can start before a real one exists.

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use client::{Error, Kind};
use rcgen::{CertificateParams, DnType, KeyPair};

use super::{store, with_file};

/// Long enough that the placeholder never expires in use.
const VALID: Duration = Duration::from_secs(365 * 86_400);

/// Creates the placeholder if neither certificate nor key exists; answers whether it did.
pub(crate) fn make(host: &str, certificate: &Path, key: &Path) -> Result<bool, Error> {
    if fs::symlink_metadata(certificate).is_ok() || fs::symlink_metadata(key).is_ok() {
        return Ok(false);
    }
    let failed = |error: &rcgen::Error| {
        Error::new(
            Kind::Failed,
            format!("cannot make a certificate for {host}: {error}"),
        )
    };
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let mut params =
        CertificateParams::new(vec![name.to_owned()]).map_err(|error| failed(&error))?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.distinguished_name.push(
        DnType::OrganizationName,
        "mattervisor: until there is a real one",
    );
    let now = SystemTime::now();
    params.not_before = (now - Duration::from_secs(3600)).into();
    params.not_after = (now + VALID).into();
    let pair = KeyPair::generate().map_err(|error| failed(&error))?;
    let made = params.self_signed(&pair).map_err(|error| failed(&error))?;
    for path in [key, certificate] {
        let made = path.parent().map(|dir| safe_path::Dir::make(dir, 0o755));
        made.transpose()
            .map_err(|error| with_file("make the directory of", path, &error))?;
    }
    store::write(key, pair.serialize_pem().as_bytes(), 0o600, None)?;
    store::write(certificate, made.pem().as_bytes(), 0o644, None)?;
    Ok(true)
}
