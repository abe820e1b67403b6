//! The account that a service runs as.

use api::PlanImpact;

use crate::{
    read::{fields::Fields, form},
    service::{
        key::{Key, field},
        reader::Reader,
    },
};

/// The greatest id of an account or a group; the one after it means none.
const ID_MAX: i64 = u32::MAX as i64 - 1;

/// A number of an account or a group is compared with its name.
pub(crate) const KEYS: &[Key] = &[
    Key {
        name: "user",
        doc: "account it runs as, as it is at each start; default: the supervisor's own. Made where it is missing. A number needs no account, but then `group`",
        read: |reader, fields, service| {
            service.user = user(reader, fields);
        },
        describe: |service, out| out.put("user", &service.user),
        compare: |old, new, out| {
            let differs = old.user != new.user || old.uid != new.uid;
            out.changed(PlanImpact::Restart, "user", differs);
        },
        ..Key::IDLE
    },
    Key {
        name: "group",
        doc: "its group; default: the account's",
        read: |reader, fields, service| {
            service.group = account(reader, fields, "group");
        },
        describe: |service, out| out.put("group", &service.group),
        compare: |old, new, out| {
            let differs = old.group != new.group || old.gid != new.gid;
            out.changed(PlanImpact::Restart, "group", differs);
        },
        ..Key::IDLE
    },
    field!(
        groups,
        Restart,
        "further groups; default: those of the account",
        groups
    ),
    field!(
        uid,
        "number for an account that is made",
        |reader, fields, key| reader.int_key(fields, key, 0..=ID_MAX)
    ),
    field!(
        gid,
        "number for a group that is made",
        |reader, fields, key| reader.int_key(fields, key, 0..=ID_MAX)
    ),
    field!(
        home,
        InPlace,
        "home directory for an account that is made",
        |reader, fields, key| reader.path_key(fields, key, true)
    ),
];

/// A user or group, by name or, in a service file, by its number. An empty one would silently be
/// the supervisor's own, often root.
pub(crate) fn account(
    reader: &mut Reader<'_, '_>,
    fields: &mut Fields<'_>,
    key: &'static str,
) -> Option<String> {
    let node = fields.node(key)?;
    let name = reader.text(node, &fields.key(key))?;
    if number(&name).is_none()
        && let Err(why) = form::account(&name)
    {
        reader.blame(node, &fields.key(key), why);
        return None;
    }
    Some(name)
}

/// The id, if the account is written as a number; a sign or a blank makes it no number.
fn number(name: &str) -> Option<u32> {
    let digits = name.bytes().all(|byte| byte.is_ascii_digit());
    name.parse().ok().filter(|_| digits)
}

/// The account that a service runs as.
fn user(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>) -> Option<String> {
    let name = account(reader, fields, "user")?;
    if name != "root" && number(&name) != Some(0) {
        return Some(name);
    }
    if let Some(node) = fields.node("user") {
        let message = "a service that is given root as its account is given the whole machine";
        reader.blame(node, "user", message.to_owned()).hint(
            "name an account of its own; a service that must be root has no `user` in its service file",
        );
    }
    None
}

/// The groups that a service is in besides its own.
fn groups(
    reader: &mut Reader<'_, '_>,
    fields: &mut Fields<'_>,
    key: &'static str,
) -> Option<Vec<String>> {
    let names = reader.list_key(fields, key)?;
    for name in &names {
        if number(name).is_none()
            && let (Err(why), Some(node)) = (form::account(name), fields.node(key))
        {
            reader.blame(node, key, why);
        }
    }
    Some(names)
}
