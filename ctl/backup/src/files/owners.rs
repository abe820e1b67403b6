//! The names of accounts and groups, each looked up once.

use std::collections::HashMap;

use nix::unistd::{Gid, Group, Uid, User};

use crate::archive::Owner;

#[derive(Default)]
pub(super) struct Owners {
    users: HashMap<u32, String>,
    groups: HashMap<u32, String>,
}

impl Owners {
    pub(super) fn of(&mut self, uid: u32, gid: u32) -> Owner {
        let user = self.users.entry(uid).or_insert_with(|| {
            let found = User::from_uid(Uid::from_raw(uid)).ok().flatten();
            found.map_or_else(String::new, |user| user.name)
        });
        let group = self.groups.entry(gid).or_insert_with(|| {
            let found = Group::from_gid(Gid::from_raw(gid)).ok().flatten();
            found.map_or_else(String::new, |group| group.name)
        });
        Owner {
            ids: (uid.into(), gid.into()),
            names: (user.clone(), group.clone()),
        }
    }
}
