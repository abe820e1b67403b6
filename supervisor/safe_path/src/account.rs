//! Working in an account's own directory with that account's rights, and no more.

use nix::unistd::{Gid, Uid, setfsgid, setfsuid};

/// An account of the machine, by numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

/// While this lives, the thread's file-system ids are an account's: the kernel lets it do to files
/// what the account may do, and has dropped root's rights over files from the effective set. Other
/// threads keep theirs. Supplementary groups stay root's.
#[must_use]
pub(crate) struct Acting {
    before: Account,
}

impl Acting {
    pub(crate) fn start(account: Account) -> Self {
        // The group first: only root may choose it.
        let gid = setfsgid(Gid::from_raw(account.gid));
        let uid = setfsuid(Uid::from_raw(account.uid));
        let before = Account {
            uid: uid.as_raw(),
            gid: gid.as_raw(),
        };
        Self { before }
    }
}

impl Drop for Acting {
    fn drop(&mut self) {
        setfsuid(Uid::from_raw(self.before.uid));
        setfsgid(Gid::from_raw(self.before.gid));
    }
}
