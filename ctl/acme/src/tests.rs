//! Certificates without an authority: placeholders, accounts, refused hosts, and one run at a time.

mod hostile;

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use super::{Order, account::Known, make_placeholder, store};

fn order(dir: &Path, hosts: &[&str]) -> Order {
    let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
    Order {
        hosts,
        certificate: dir.join("m.crt"),
        key: dir.join("m.key"),
        owner: None,
        group: None,
        key_type: "ecdsa256".to_owned(),
        wwwroot: dir.join("www"),
        account: dir.join("account.json"),
        directory: "https://acme.example/directory".to_owned(),
        ca_file: None,
        contact_emails: Vec::new(),
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_placeholder_is_made_where_nothing_is_and_counts_as_none() {
    let dir = tempfile::tempdir().unwrap();
    let order = order(dir.path(), &["m.example"]);
    assert_eq!(
        order.due(None, 0).unwrap_err(),
        format!("there is no {}", order.certificate.display())
    );
    assert!(make_placeholder("m.example", &order.certificate, &order.key).unwrap());
    assert_eq!((mode(&order.key), mode(&order.certificate)), (0o600, 0o644));
    let made = fs::read(&order.certificate).unwrap();
    assert!(!make_placeholder("m.example", &order.certificate, &order.key).unwrap());
    assert_eq!(fs::read(&order.certificate).unwrap(), made);
    let now = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
    assert_eq!(
        order.due(None, now).unwrap_err(),
        "the one that is there is self-signed"
    );
    fs::remove_file(&order.certificate).unwrap();
    assert!(
        !make_placeholder("m.example", &order.certificate, &order.key).unwrap(),
        "a key without certificate is somebody's"
    );
}

#[test]
fn hosts_that_no_authority_takes_are_refused_before_it_is_asked() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |hosts: &[&str], directory: &str| {
        let mut order = order(dir.path(), hosts);
        directory.clone_into(&mut order.directory);
        order.check().is_err()
    };
    let public = "https://acme-v02.api.letsencrypt.org/directory";
    let own = "https://ca.lan/directory";
    assert!(refused(&["*.m.example.com"], own));
    assert!(refused(&[], own));
    assert!(refused(&["chat"], public) && refused(&["chat.lan"], public));
    assert!(!refused(&["chat.lan"], own) && !refused(&["chat.example.com"], public));
}

#[test]
fn an_account_is_closed_to_others_and_a_damaged_one_is_not_quoted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("account.json");
    store::write(&path, b"{\"directory\": \"hush-hush\"", 0o600, None).unwrap();
    assert_eq!(mode(&path), 0o600);
    let error = super::account::read(&path).err().unwrap();
    assert!(
        error
            .message
            .contains("is damaged: it is not what is expected in line 1"),
        "{error}"
    );
    assert!(!error.message.contains("hush"), "{error}");
    let none: Option<Known> = super::account::read(&dir.path().join("none")).unwrap();
    assert!(none.is_none());
}

#[test]
fn one_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("account.json");
    let first = store::lock(&path).unwrap();
    assert!(store::lock(&path).is_err());
    drop(first);
    store::lock(&path).unwrap();
}

#[test]
fn who_may_not_is_told_who_may() {
    let denied = std::io::ErrorKind::PermissionDenied.into();
    let error = super::with_file("open", std::path::Path::new("/x"), &denied);
    assert_eq!(error.kind, client::error::Kind::NotAllowed);
    assert!(error.hints.concat().contains("sudo"), "{error}");
}
