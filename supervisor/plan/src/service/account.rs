//! The account that a service runs as.

use api::PlanImpact;

use crate::{
    read::{fields::Fields, form},
    service::{
        key::{Key, compare},
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
        describe: |service, out| out.opt("user", service.user.as_ref()),
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
        describe: |service, out| out.opt("group", service.group.as_ref()),
        compare: |old, new, out| {
            let differs = old.group != new.group || old.gid != new.gid;
            out.changed(PlanImpact::Restart, "group", differs);
        },
        ..Key::IDLE
    },
    Key {
        name: "groups",
        doc: "further groups; default: those of the account",
        read: |reader, fields, service| {
            service.groups = groups(reader, fields);
        },
        describe: |service, out| out.opt("groups", service.groups.as_ref()),
        compare: compare!(groups, Restart),
        ..Key::IDLE
    },
    Key {
        name: "uid",
        doc: "number for an account that is made",
        read: |reader, fields, service| {
            let found = reader.int_key(fields, "uid", 0..=ID_MAX);
            service.uid = found.and_then(|n| u32::try_from(n).ok());
        },
        describe: |service, out| out.opt("uid", service.uid),
        ..Key::IDLE
    },
    Key {
        name: "gid",
        doc: "number for a group that is made",
        read: |reader, fields, service| {
            let found = reader.int_key(fields, "gid", 0..=ID_MAX);
            service.gid = found.and_then(|n| u32::try_from(n).ok());
        },
        describe: |service, out| out.opt("gid", service.gid),
        ..Key::IDLE
    },
    Key {
        name: "home",
        doc: "home directory for an account that is made",
        read: |reader, fields, service| {
            service.home = reader.path_key(fields, "home", true);
        },
        describe: |service, out| out.opt("home", service.home.as_ref()),
        compare: compare!(home, InPlace),
        ..Key::IDLE
    },
];

/// A user or group, by name or, in a service file, by its number. An empty one would silently be the
/// supervisor's own, often root.
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
fn groups(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>) -> Option<Vec<String>> {
    let names = reader.list_key(fields, "groups")?;
    for name in &names {
        if number(name).is_none()
            && let (Err(why), Some(node)) = (form::account(name), fields.node("groups"))
        {
            reader.blame(node, "groups", why);
        }
    }
    Some(names)
}
