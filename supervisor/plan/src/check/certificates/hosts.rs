//! Which hosts a certificate is for.

use std::net::IpAddr;

use x509_parser::{certificate::X509Certificate, extensions::GeneralName};

/// Whether a certificate is for a host; an error names those it is for.
pub(super) fn covers(leaf: &X509Certificate<'_>, host: &str) -> Result<(), String> {
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
