//! Users and groups from /etc/passwd and /etc/group. No name server is asked, so a user or group
//! that only a name server knows has no name here.

use std::{fs::File, io::Read, path::PathBuf};

/// Most bytes read of a file.
const BYTES_MAX: u64 = 4 << 20;

/// Users and groups of this machine.
pub struct Accounts {
    passwd: String,
    group: String,
}

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The user's name.
    pub name: String,
    /// The user's number.
    pub uid: u32,
    /// The number of the user's primary group.
    pub gid: u32,
    /// The user's home directory.
    pub home: PathBuf,
}

impl Accounts {
    /// Reads the present files.
    pub fn read() -> Self {
        Self {
            passwd: read("/etc/passwd"),
            group: read("/etc/group"),
        }
    }

    /// Parses the content of both files.
    #[cfg(any(test, feature = "testing"))]
    pub fn of(passwd: &str, group: &str) -> Self {
        Self {
            passwd: passwd.to_owned(),
            group: group.to_owned(),
        }
    }

    /// The account with this name or number.
    pub fn account(&self, wanted: &str) -> Option<Account> {
        let mut found = lines(&self.passwd).filter(|fields| fields.len() >= 6);
        let found = found.find(|fields| fields[0] == wanted || fields[2] == wanted)?;
        Some(Account {
            name: found[0].to_owned(),
            uid: found[2].parse().ok()?,
            gid: found[3].parse().ok()?,
            home: PathBuf::from(found[5]),
        })
    }

    /// The name of a user.
    pub fn user(&self, uid: u32) -> Option<&str> {
        lines(&self.passwd)
            .find(|fields| fields.get(2).and_then(|it| it.parse().ok()) == Some(uid))
            .map(|fields| fields[0])
    }

    /// The name of a group; `gid N` for a group without a name.
    pub fn group(&self, gid: u32) -> String {
        self.group_name(gid)
            .map_or_else(|| format!("gid {gid}"), str::to_owned)
    }

    /// The name of a group.
    pub fn group_name(&self, gid: u32) -> Option<&str> {
        self.group_line(gid).map(|fields| fields[0])
    }

    /// Whether the files make this user a member of the group; the user's session may not know yet.
    pub fn is_member(&self, user: &str, gid: u32) -> bool {
        let first = lines(&self.passwd).find(|fields| fields[0] == user);
        let primary = first.and_then(|fields| fields.get(3).and_then(|it| it.parse().ok()));
        let members = self
            .group_line(gid)
            .and_then(|fields| fields.get(3).copied());
        primary == Some(gid) || members.is_some_and(|it| it.split(',').any(|name| name == user))
    }

    fn group_line(&self, gid: u32) -> Option<Vec<&str>> {
        lines(&self.group).find(|fields| fields.get(2).and_then(|it| it.parse().ok()) == Some(gid))
    }
}

fn read(path: &str) -> String {
    let mut text = Vec::new();
    if let Ok(file) = File::open(path) {
        // A file that cannot be read only costs names.
        let _ = file.take(BYTES_MAX).read_to_end(&mut text);
    }
    String::from_utf8_lossy(&text).into_owned()
}

fn lines(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines().map(|line| line.split(':').collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_has_a_name_and_a_number() {
        let accounts = Accounts::of(
            "root:x:0:0::/root:/bin/sh\nmm:x:990:991::/srv/mm:/bin/false\nbad:x\n",
            "",
        );
        let wanted = Account {
            name: "mm".into(),
            uid: 990,
            gid: 991,
            home: "/srv/mm".into(),
        };
        assert_eq!(accounts.account("mm"), Some(wanted.clone()));
        assert_eq!(accounts.account("990"), Some(wanted));
        assert_eq!(accounts.account("bad"), None);
    }
}
