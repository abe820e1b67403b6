//! Users and groups of services: looked up here, and created where they are missing.
//!
//! Owner: jobs on the blocking pool, since a look-up may ask a name server. [`missing`] finds the
//! accounts that have to be created and the obstacles to that; the commands that create them are
//! runs of the keeper (`control/reconfigure/pipeline/accounts.rs`).

mod missing;
#[cfg(test)]
mod tests;

use std::ffi::CString;

use keeper::message::Ids;
use nix::unistd::{self, Gid, Uid};
use plan::Service;

use crate::unready::Unready;

pub(crate) use missing::{Accounts, MakeCommand, look};

/// A user, by an account or by its number alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    /// None: the number has no account.
    pub(crate) name: Option<String>,
    pub(crate) uid: u32,
    /// Primary group; none: the number has no account.
    gid: Option<u32>,
}

impl User {
    /// Its primary group.
    ///
    /// # Errors
    /// The uid has no account, and so no primary group.
    pub(crate) fn gid(&self) -> Result<u32, Unready> {
        self.gid.ok_or_else(|| {
            let uid = self.uid;
            let why = format!("uid {uid} has no account, and so no group: give `group` too");
            Unready::lasting(why)
        })
    }
}

/// Ids that a service runs with; none: the supervisor's own.
///
/// # Errors
/// There is no such account (lasting), or no name server answers (may pass).
pub(crate) fn ids(service: &Service) -> Result<Option<Ids>, Unready> {
    if !Uid::effective().is_root() || (service.user.is_none() && service.group.is_none()) {
        return Ok(None);
    }
    let user = service.user.as_deref().map(user).transpose()?;
    if let Some(User { name, uid: 0, .. }) = &user {
        return Err(Unready::lasting(format!(
            "the account '{}' is root by another name; name an account of its own",
            name.as_deref().unwrap_or("0")
        )));
    }
    let gid = match (&service.group, &user) {
        (Some(name), _) => group(name)?,
        (None, Some(user)) => user.gid()?,
        (None, None) => Gid::effective().as_raw(),
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
        uid: user.map_or_else(|| Uid::effective().as_raw(), |user| user.uid),
        gid,
        groups,
    }))
}

/// A number without an account is in no group but the one that is given.
#[expect(clippy::disallowed_methods, reason = "on a job's thread")]
fn supplementary(user: &User, gid: u32) -> Result<Vec<u32>, Unready> {
    let Some(name) = &user.name else {
        return Ok(Vec::new());
    };
    let plain = CString::new(name.as_str());
    let plain = plain.map_err(|error| Unready::lasting(error.to_string()))?;
    let found = nix::unistd::getgrouplist(&plain, Gid::from_raw(gid));
    let failed = |it| Unready::passing(format!("cannot look up the groups of '{name}': {it}"));
    let found = found.map_err(failed)?;
    Ok(found.into_iter().map(Gid::as_raw).collect())
}

/// A user by name or number.
#[expect(clippy::disallowed_methods, reason = "on a job's thread")]
pub(crate) fn user(name: &str) -> Result<User, Unready> {
    let number = name.parse::<u32>().ok();
    let found = match number {
        Some(uid) => unistd::User::from_uid(Uid::from_raw(uid)),
        None => unistd::User::from_name(name),
    };
    told_user(name, number, found)
}

fn told_user(
    name: &str,
    number: Option<u32>,
    found: nix::Result<Option<unistd::User>>,
) -> Result<User, Unready> {
    match (found, number) {
        (Ok(Some(user)), _) => Ok(User {
            name: Some(user.name),
            uid: user.uid.as_raw(),
            gid: Some(user.gid.as_raw()),
        }),
        (Ok(None), Some(uid)) => Ok(User {
            name: None,
            uid,
            gid: None,
        }),
        (Ok(None), None) => Err(Unready::lasting(format!(
            "there is no user '{name}'; create it, or set manage_accounts.enable = true"
        ))),
        (Err(error), _) => {
            let why = format!("cannot look up user '{name}': {error}");
            Err(Unready::passing(why))
        }
    }
}

/// A group by name or number.
#[expect(clippy::disallowed_methods, reason = "on a job's thread")]
pub(crate) fn group(name: &str) -> Result<u32, Unready> {
    if let Ok(gid) = name.parse::<u32>() {
        return Ok(gid);
    }
    told_group(name, unistd::Group::from_name(name))
}

fn told_group(name: &str, found: nix::Result<Option<unistd::Group>>) -> Result<u32, Unready> {
    match found {
        Ok(Some(group)) => Ok(group.gid.as_raw()),
        Ok(None) => Err(Unready::lasting(format!(
            "there is no group '{name}'; create it, or set manage_accounts.enable = true"
        ))),
        Err(error) => {
            let why = format!("cannot look up group '{name}': {error}");
            Err(Unready::passing(why))
        }
    }
}

/// Group ids of the names that exist; the others are told in the log.
pub(crate) fn group_ids(names: &[String]) -> Vec<u32> {
    let known = names.iter().filter_map(|name| match group(name) {
        Ok(gid) => Some(gid),
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
    /// Name of the user with this uid.
    fn user_of(&self, uid: u32) -> nix::Result<Option<String>>;
    /// Gid.
    fn group(&self, name: &str) -> nix::Result<Option<u32>>;
    /// Name of the group with this gid.
    fn group_of(&self, gid: u32) -> nix::Result<Option<String>>;
}

/// Accounts as the C library reports them: from `/etc/passwd`, LDAP and the other sources in
/// `nsswitch.conf`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct System;

#[expect(clippy::disallowed_methods, reason = "on a job's thread")]
impl Database for System {
    fn user(&self, name: &str) -> nix::Result<Option<(u32, u32)>> {
        let found = unistd::User::from_name(name)?;
        Ok(found.map(|user| (user.uid.as_raw(), user.gid.as_raw())))
    }

    fn user_of(&self, uid: u32) -> nix::Result<Option<String>> {
        Ok(unistd::User::from_uid(Uid::from_raw(uid))?.map(|user| user.name))
    }

    fn group(&self, name: &str) -> nix::Result<Option<u32>> {
        Ok(unistd::Group::from_name(name)?.map(|group| group.gid.as_raw()))
    }

    fn group_of(&self, gid: u32) -> nix::Result<Option<String>> {
        Ok(unistd::Group::from_gid(Gid::from_raw(gid))?.map(|group| group.name))
    }
}
