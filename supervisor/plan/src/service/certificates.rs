//! `[[certificates]]` and `[[watches]]` of a service.

use crate::{
    model::{Certificate, OnChange, WatchedFile},
    read::{document::Node, fields::Fields},
    service::{
        key::{Key, KeyTable, compare},
        reader::Reader,
        tables::tables,
    },
};

pub(crate) const KEYS: &[Key] = &[
    Key {
        name: "certificates",
        doc: "certificates that it serves: checked before use, watched for renewal",
        read: |reader, fields, service| service.certificates = certificates(reader, fields),
        compare: compare!(certificates, InPlace),
        tables: &[KeyTable {
            header: "[[certificates]]",
            intro: "",
            keys: &[
                ("certificate, key", "PEM files"),
                ("host", "name that it must cover"),
                ("password_file", "the key's passphrase"),
                (
                    "renewed_by",
                    "service that makes and renews it: it may be missing at first",
                ),
                ("hint", "what to say, besides, when there is no certificate"),
            ],
        }],
        ..Key::IDLE
    },
    Key {
        name: "watches",
        doc: "files that are changed outside",
        read: |reader, fields, service| service.watches = watches(reader, fields),
        compare: compare!(watches, InPlace),
        tables: &[KeyTable {
            header: "[[watches]]",
            intro: "",
            keys: &[
                ("path", "a file that something else writes"),
                ("on_change", "`restart`, `reload` or `nothing`"),
            ],
        }],
        ..Key::IDLE
    },
];

/// The certificates of a service.
fn certificates(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>) -> Vec<Certificate> {
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
        reader.finish(fields);
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
fn watches(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>) -> Vec<WatchedFile> {
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
        reader.finish(fields);
        if let Some(path) = path {
            out.push(WatchedFile { path, on_change });
        }
    }
    out
}
