//! Users and groups of services: looked up here, and made where they are missing.
//!
//! Owner: jobs on the blocking pool, since a look-up may ask a name server. What has to be made,
//! and what stands against it, is worked out in [`missing`]; the tools that make it are runs of
//! the keeper's (`control/reconfigure/steps.rs`).

mod missing;
#[cfg(test)]
mod tests;

use keeper::message::Ids;
use nix::unistd::{Gid, Group, Uid, User};
use plan::Service;

pub(crate) use missing::{Accounts, MakeCommand, look};

/// Ids that a service runs with; none: the supervisor's own.
pub(crate) fn ids(service: &Service) -> Result<Option<Ids>, String> {
    if !Uid::effective().is_root() || (service.user.is_none() && service.group.is_none()) {
        return Ok(None);
    }
    let user = match &service.user {
        Some(name) => Some(user(name)?),
        None => None,
    };
    if let Some(user) = user.as_ref().filter(|user| user.uid.is_root()) {
        return Err(format!(
            "the account '{}' is root by another name; name an account of its own",
            user.name
        ));
    }
    let gid = match (&service.group, &user) {
        (Some(name), _) => group(name)?,
        (None, Some(user)) => user.gid,
        (None, None) => Gid::effective(),
    };
    let groups = match (&service.groups, &user) {
        (Some(names), _) => names
            .iter()
            .map(|name| group(name))
            .collect::<Result<Vec<_>, _>>()?,
        (None, Some(user)) => supplementary(user, gid)?,
        (None, None) => Vec::new(),
    };
    Ok(Some(Ids {
        uid: user.map_or_else(Uid::effective, |user| user.uid).as_raw(),
        gid: gid.as_raw(),
        groups: groups.into_iter().map(Gid::as_raw).collect(),
    }))
}

fn supplementary(user: &User, gid: Gid) -> Result<Vec<Gid>, String> {
    let name = std::ffi::CString::new(user.name.as_str()).map_err(|error| error.to_string())?;
    nix::unistd::getgrouplist(&name, gid)
        .map_err(|error| format!("cannot look up the groups of '{}': {error}", user.name))
}

/// A user by name or number.
pub(crate) fn user(name: &str) -> Result<User, String> {
    let found = match name.parse::<u32>() {
        Ok(uid) => User::from_uid(Uid::from_raw(uid)),
        Err(_) => User::from_name(name),
    };
    match found {
        Ok(Some(user)) => Ok(user),
        Ok(None) => Err(format!(
            "there is no user '{name}'; create it, or set manage_accounts.enable = true"
        )),
        Err(error) => Err(format!("cannot look up user '{name}': {error}")),
    }
}

/// A group by name or number.
pub(crate) fn group(name: &str) -> Result<Gid, String> {
    if let Ok(gid) = name.parse::<u32>() {
        return Ok(Gid::from_raw(gid));
    }
    match Group::from_name(name) {
        Ok(Some(group)) => Ok(group.gid),
        Ok(None) => Err(format!(
            "there is no group '{name}'; create it, or set manage_accounts.enable = true"
        )),
        Err(error) => Err(format!("cannot look up group '{name}': {error}")),
    }
}

/// Group ids of the names that exist; the others are told in the log.
pub(crate) fn group_ids(names: &[String]) -> Vec<u32> {
    let known = names.iter().filter_map(|name| match group(name) {
        Ok(gid) => Some(gid.as_raw()),
        Err(error) => {
            tracing::warn!("control socket: {error}");
            None
        }
    });
    known.collect()
}

/// The user database of this machine, as far as making accounts needs it. Tests have one of their
/// own.
pub(crate) trait Database {
    /// Uid and primary gid.
    fn user(&self, name: &str) -> nix::Result<Option<(u32, u32)>>;
    /// Whose a uid is.
    fn user_of(&self, uid: u32) -> nix::Result<Option<String>>;
    /// Gid.
    fn group(&self, name: &str) -> nix::Result<Option<u32>>;
    /// Whose a gid is.
    fn group_of(&self, gid: u32) -> nix::Result<Option<String>>;
}

/// What the C library says: `/etc/passwd`, LDAP and whatever else `nsswitch.conf` names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct System;

impl Database for System {
    fn user(&self, name: &str) -> nix::Result<Option<(u32, u32)>> {
        let found = User::from_name(name)?;
        Ok(found.map(|user| (user.uid.as_raw(), user.gid.as_raw())))
    }

    fn user_of(&self, uid: u32) -> nix::Result<Option<String>> {
        Ok(User::from_uid(Uid::from_raw(uid))?.map(|user| user.name))
    }

    fn group(&self, name: &str) -> nix::Result<Option<u32>> {
        Ok(Group::from_name(name)?.map(|group| group.gid.as_raw()))
    }

    fn group_of(&self, gid: u32) -> nix::Result<Option<String>> {
        Ok(Group::from_gid(Gid::from_raw(gid))?.map(|group| group.name))
    }
}
