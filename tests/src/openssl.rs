//! Certificates for tests. The machine's openssl makes them, except for certificates that began in
//! the past.

use std::{
    path::Path,
    process::Command,
    time::{Duration, SystemTime},
};

use crate::run;

/// A self-signed RSA certificate with its key, for these names (`DNS:…`, `IP:…`), valid for `days`
/// days.
#[track_caller]
pub fn self_signed(certificate: &Path, key: &Path, names: &str, days: i32) {
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes"]);
    openssl.args(["-subj", "/CN=test", "-days", &days.to_string()]);
    openssl.args(["-addext", &format!("subjectAltName={names}")]);
    openssl.arg("-keyout").arg(key).arg("-out").arg(certificate);
    run(&mut openssl).ok();
}

/// A self-signed certificate for a host that began `behind` days ago and has `before` days left.
pub fn aged(certificate: &Path, key: &Path, host: &str, behind: u64, before: u64) {
    let days = |count: u64| Duration::from_secs(count * 86_400);
    let pair = rcgen::KeyPair::generate().expect("a key can be made");
    let params = rcgen::CertificateParams::new(vec![host.to_owned()]);
    let mut params = params.expect("it is the name of a host");
    params.not_before = (SystemTime::now() - days(behind)).into();
    params.not_after = (SystemTime::now() + days(before) + Duration::from_secs(3600)).into();
    let made = params.self_signed(&pair).expect("it signs itself");
    std::fs::write(certificate, made.pem()).expect("the directory is the test's");
    std::fs::write(key, pair.serialize_pem()).expect("the directory is the test's");
}

/// A certificate for these names, signed by an authority of its own: `DIR/ca.crt` is the
/// authority's certificate, `DIR/server.crt` and `DIR/server.key` are the server's.
#[track_caller]
pub fn signed(dir: &Path, names: &str) {
    let at = |name: &str| dir.join(name);
    let mut authority = Command::new("openssl");
    authority.args([
        "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "5",
    ]);
    authority.args(["-subj", "/CN=authority"]);
    authority.args(["-addext", "basicConstraints=critical,CA:TRUE"]);
    authority
        .arg("-keyout")
        .arg(at("ca.key"))
        .arg("-out")
        .arg(at("ca.crt"));
    run(&mut authority).ok();
    let mut request = Command::new("openssl");
    request.args([
        "req",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        "/CN=server",
    ]);
    request
        .arg("-keyout")
        .arg(at("server.key"))
        .arg("-out")
        .arg(at("server.csr"));
    run(&mut request).ok();
    let more = format!("subjectAltName={names}\nbasicConstraints=CA:FALSE\n");
    std::fs::write(at("server.ext"), more).expect("the directory is the test's");
    let mut sign = Command::new("openssl");
    sign.args(["x509", "-req", "-days", "5", "-CAcreateserial"]);
    sign.arg("-in")
        .arg(at("server.csr"))
        .arg("-CA")
        .arg(at("ca.crt"));
    sign.arg("-CAkey")
        .arg(at("ca.key"))
        .arg("-extfile")
        .arg(at("server.ext"));
    sign.arg("-out").arg(at("server.crt"));
    run(&mut sign).ok();
}

/// The fingerprint of the certificate that is served on a port of this machine for a host.
pub fn served(port: u16, host: &str) -> Option<String> {
    let mut openssl = Command::new("sh");
    openssl.arg("-c").arg(format!(
        "openssl s_client -connect 127.0.0.1:{port} -servername {host} </dev/null 2>/dev/null | \
         openssl x509 -noout -fingerprint -sha256 2>/dev/null"
    ));
    let text = run(&mut openssl).stdout;
    text.split_once('=').map(|(_, it)| it.trim().to_owned())
}

/// The fingerprint of a certificate on disk.
#[track_caller]
pub fn fingerprint(certificate: &Path) -> String {
    let mut openssl = Command::new("openssl");
    openssl.args(["x509", "-noout", "-fingerprint", "-sha256", "-in"]);
    let text = run(openssl.arg(certificate)).ok().stdout;
    let (_, print) = text.split_once('=').expect("openssl says NAME=VALUE");
    print.trim().to_owned()
}
