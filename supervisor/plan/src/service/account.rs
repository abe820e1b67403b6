//! The account that a service runs as.

use crate::{
    read::{fields::Fields, form},
    service::reader::Reader,
};

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

/// The id that an account is written as. A sign or a blank makes it none.
fn number(name: &str) -> Option<u32> {
    let digits = name.bytes().all(|byte| byte.is_ascii_digit());
    name.parse().ok().filter(|_| digits)
}

/// The account that a service runs as.
pub(crate) fn user(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>) -> Option<String> {
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
pub(crate) fn groups(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>) -> Option<Vec<String>> {
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
