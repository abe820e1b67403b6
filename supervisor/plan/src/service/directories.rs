//! `[[directories]]`: made where they are missing, with their owners and modes.

use serde_json::json;

use crate::{
    model::{Directory, Service},
    read::fields::Fields,
    service::{
        account::account,
        described::{Described, mode},
        key::{Key, KeyTable, compare},
        reader::Reader,
        tables::{owner, path, tables},
    },
};

pub(crate) const KEYS: &[Key] = &[Key {
    name: "directories",
    doc: "made where they are missing, also at each start",
    read: |reader, fields, service| service.directories = directories(reader, fields),
    describe,
    compare: compare!(directories, InPlace),
    tables: &[KeyTable {
        header: "[[directories]]",
        intro: "",
        keys: &[
            ("path, mode", "default mode `\"0755\"`"),
            (
                "user, group",
                "default: the service's; a directory that is there changes hands when the service starts",
            ),
            (
                "recursive",
                "with its owner changes that of all in it that was the former owner's, as with systemd's `StateDirectory=`; files with several hard links, devices and other file systems stay",
            ),
        ],
    }],
    ..Key::IDLE
}];

fn describe(service: &Service, out: &mut Described) {
    for directory in &service.directories {
        let mut value = json!({ "mode": mode(directory.mode) });
        owner(
            &mut value,
            directory.user.as_ref(),
            directory.group.as_ref(),
        );
        if directory.recursive {
            value["recursive"] = json!(true);
        }
        out.put(
            format!("directories.\"{}\"", directory.path.display()),
            value,
        );
    }
}

fn directories(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>) -> Vec<Directory> {
    let mut out = Vec::new();
    for mut fields in tables(reader, fields, "directories") {
        let path = path(reader, &mut fields);
        let mode = reader.mode_key(&mut fields, "mode").unwrap_or(0o755);
        let user = account(reader, &mut fields, "user");
        let group = account(reader, &mut fields, "group");
        let recursive = reader.bool_key(&mut fields, "recursive").unwrap_or(false);
        reader.finish(fields);
        if let Some(path) = path {
            out.push(Directory {
                path,
                mode,
                user,
                group,
                recursive,
            });
        }
    }
    out
}
