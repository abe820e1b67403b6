//! Certificates of services: what is reported of a missing, unusable or expiring one.

use insta::assert_snapshot;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};

use crate::{
    Certificate,
    certificates::{Grade, check},
    tests::machine::Machine,
};

const DAY: i64 = 86_400;
const CERTIFICATE: &str = "/ssl/m.crt";
const KEY: &str = "/ssl/m.key";

/// A certificate with its key, as PEM, valid for this many days from the epoch.
fn made(names: &[&str], days: i64) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let certificate = params(names, days).self_signed(&key).unwrap();
    (certificate.pem(), key.serialize_pem())
}

fn params(names: &[&str], days: i64) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    let at = |seconds: i64| {
        (std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds.unsigned_abs())).into()
    };
    params.not_before = at(0);
    params.not_after = at(days * DAY);
    params
}

fn machine(certificate: &str, key: &str) -> Machine {
    let mut machine = Machine::new();
    machine
        .put(CERTIFICATE, certificate)
        .put(KEY, key)
        .mode(KEY, 0o600);
    machine
}

fn of(host: &str) -> Certificate {
    Certificate {
        certificate: CERTIFICATE.into(),
        key: KEY.into(),
        host: Some(host.to_owned()),
        password_file: None,
        renewed_by: None,
        hint: None,
    }
}

/// The hint comes once even if certificate and key are missing.
#[test]
fn what_to_do_without_a_certificate_is_said_with_it() {
    let certificate = Certificate {
        hint: Some("get one".to_owned()),
        ..of("m.example")
    };
    assert_snapshot!(said(&Machine::new(), &certificate, 1), @r"
    Unusable: /ssl/m.crt: cannot be read: it is not there; get one
    Unusable: /ssl/m.key: cannot be read: it is not there
    ");
}

/// Grade and sentence of each finding.
fn said(machine: &Machine, certificate: &Certificate, day: i64) -> String {
    let found = check(machine, certificate, day * DAY);
    let lines = found
        .iter()
        .map(|it| format!("{:?}: {}", it.grade, it.sentence()));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_good_one_is_not_told_of() {
    let (certificate, key) = made(&["m.example", "*.x.example", "10.0.0.1", "::1"], 90);
    let machine = machine(&certificate, &key);
    for host in ["m.example", "M.Example", "a.x.example", "10.0.0.1", "[::1]"] {
        assert_eq!(said(&machine, &of(host), 1), "", "{host}");
    }
    for host in [
        "x.example",
        "a.b.x.example",
        ".x.example",
        "10.0.0.2",
        "n.example",
    ] {
        let found = check(&machine, &of(host), DAY);
        assert_eq!(found.len(), 1, "{host}");
        assert_eq!(found[0].grade, Grade::Degraded);
    }
    assert_snapshot!(said(&machine, &of("n.example"), 1), @"Degraded: /ssl/m.crt: the certificate is not for n.example, but for m.example, *.x.example, 10.0.0.1, ::1");
}

#[test]
fn its_end_is_told_in_time() {
    let (certificate, key) = made(&["m.example"], 365);
    let machine = machine(&certificate, &key);
    assert_eq!(said(&machine, &of("m.example"), 334), "");
    assert_snapshot!(said(&machine, &of("m.example"), 336), @"Soon(29): /ssl/m.crt: the certificate expires in 29 days, on 1971-01-01");
    assert_snapshot!(said(&machine, &of("m.example"), 364), @"Soon(1): /ssl/m.crt: the certificate expires in 1 day, on 1971-01-01");
    assert_snapshot!(said(&machine, &of("m.example"), 366), @"Degraded: /ssl/m.crt: the certificate expired on 1971-01-01");
    assert_snapshot!(said(&machine, &of("m.example"), -1), @"Degraded: /ssl/m.crt: the certificate is not valid before 1970-01-01");
}

#[test]
fn one_that_is_renewed_here_is_told_of_when_that_is_late() {
    let issuer_key = KeyPair::generate().unwrap();
    let mut issuer = params(&[], 4000);
    issuer.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    issuer
        .distinguished_name
        .push(DnType::CommonName, "authority");
    let issuer = Issuer::new(issuer, issuer_key);
    let key = KeyPair::generate().unwrap();
    let mut leaf = params(&["m.example"], 90);
    leaf.subject_alt_names = vec![SanType::DnsName("m.example".try_into().unwrap())];
    let leaf = leaf.signed_by(&key, &issuer).unwrap();
    let mut machine = machine(&leaf.pem(), &key.serialize_pem());
    let renewed = Certificate {
        renewed_by: Some("renewal".to_owned()),
        ..of("m.example")
    };
    assert_eq!(said(&machine, &renewed, 65), "", "25 days are left");
    assert_snapshot!(said(&machine, &renewed, 71), @"Soon(19): /ssl/m.crt: the certificate expires in 19 days, on 1970-04-01, and `renewal` should have renewed it");
    let (own, key) = made(&["m.example"], 90);
    machine.put(CERTIFICATE, own).put(KEY, key).mode(KEY, 0o600);
    assert_snapshot!(said(&machine, &renewed, 1), @"Degraded: /ssl/m.crt: the certificate is our own until `renewal` has got one");
    let nothing = Machine::new();
    assert_eq!(said(&nothing, &renewed, 1), "", "it will be made");
}

#[test]
fn what_cannot_be_used_is_told_with_its_file() {
    let (certificate, key) = made(&["m.example"], 90);
    let (_, other) = made(&["m.example"], 90);
    let torn = certificate.replacen("MII", "MIIB", 1);
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let mut open = machine(&certificate, &key);
    open.mode(KEY, 0o644);
    let other_key = KeyPair::generate().unwrap();
    let mut authority = params(&["ca"], 9);
    authority
        .distinguished_name
        .push(DnType::CommonName, "authority");
    let authority = authority.self_signed(&other_key).unwrap().pem();
    let chain = format!("{certificate}{authority}");
    let cases = [
        ("nothing", Machine::new()),
        ("another key", machine(&certificate, &other)),
        ("no PEM", machine("hello", "hello")),
        ("a key for a certificate", machine(&key, &certificate)),
        ("torn", machine(&torn, &key)),
        ("encrypted", machine(&certificate, encrypted)),
        ("open", open),
        ("no chain", machine(&chain, &key)),
    ];
    let all: Vec<String> = cases
        .iter()
        .map(|(what, machine)| format!("{what}\n{}", said(machine, &of("m.example"), 1)))
        .collect();
    assert_snapshot!(all.join("\n"));
}

#[test]
fn a_plan_with_a_bad_certificate_is_a_plan_that_warns() {
    let mut machine = Machine::new();
    machine.shipped(
        "web",
        "command = ['/bin/web']\n\
         [settings]\npassword_file = { type = 'path' }\n\
         [[certificates]]\ncertificate = '/ssl/m.crt'\nkey = '/ssl/m.key'\nhost = 'm.example'\n\
         password_file = '{{ password_file }}'\n\
         [[certificates]]\ncertificate = ''\nkey = ''\n\
         [[watches]]\npath = '/etc/web.list'\non_change = 'restart'\n",
    );
    let plan = machine.plan();
    let service = &plan.services["web"];
    assert_eq!(service.certificates.len(), 1);
    assert_eq!(service.certificates[0].host.as_deref(), Some("m.example"));
    assert_eq!(service.watches[0].on_change, crate::OnChange::Restart);
    let remarks: Vec<String> = plan.remarks.iter().map(ToString::to_string).collect();
    assert!(
        remarks.contains(
            &"/ssl/m.key: warning: web.certificates: cannot be read: it is not there".to_owned()
        ),
        "{remarks:?}"
    );
    let (certificate, key) = made(&["m.example"], 90);
    machine.put(CERTIFICATE, certificate);
    machine.put(KEY, key).mode(KEY, 0o600).now(91 * DAY);
    let remarks: Vec<String> = machine
        .plan()
        .remarks
        .iter()
        .map(ToString::to_string)
        .collect();
    let expired =
        "/ssl/m.crt: warning: web.certificates: the certificate expired on 1970-04-01".to_owned();
    assert!(remarks.contains(&expired), "{remarks:?}");
}
