//! Explains why the control socket is closed to this user, and who can change that. The supervisor
//! cannot be asked, so this module looks at the socket file, the directories above it and the
//! accounts of the machine.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use nix::{
    fcntl::{AT_FDCWD, AtFlags},
    unistd::{AccessFlags, faccessat, getegid, geteuid, getgroups},
};
use rustix::fs::lgetxattr;

use crate::{
    accounts::Accounts,
    error::{Error, Kind},
};

/// Permission bit by which the owning group may connect.
const GROUP_MAY: u32 = 0o020;

/// The calling user.
struct Caller {
    uid: u32,
    gids: Vec<u32>,
}

/// The owner and the groups that may connect to the socket.
struct OpenTo {
    uid: u32,
    gids: Vec<u32>,
}

/// Explains why this user may not connect.
pub(crate) fn explain(socket: &Path) -> Error {
    if let Some(directory) = closed_directory(socket) {
        let (directory, socket) = (directory.display(), socket.display());
        return Error::new(
            Kind::NotAllowed,
            format!("not allowed to connect to {socket}: you may not enter {directory}"),
        )
        .hint("use sudo, or have an administrator let you enter that directory");
    }
    let Some(open) = look_at(socket) else {
        let socket = socket.display();
        let message = format!("not allowed to connect to {socket}");
        return Error::new(Kind::NotAllowed, message).hint("use sudo");
    };
    let mut gids: Vec<u32> = getgroups()
        .unwrap_or_default()
        .into_iter()
        .map(nix::unistd::Gid::as_raw)
        .collect();
    let own = getegid().as_raw();
    if !gids.contains(&own) {
        gids.insert(0, own);
    }
    let caller = Caller {
        uid: geteuid().as_raw(),
        gids,
    };
    let accounts = Accounts::read();
    closed_to(socket, &caller, &open, &accounts)
}

/// The topmost directory above the socket that this user may not enter.
fn closed_directory(socket: &Path) -> Option<&Path> {
    let directories = socket.parent()?.ancestors();
    directories
        .filter(|it| !it.as_os_str().is_empty())
        .filter(|it| {
            let flags = AtFlags::AT_EACCESS;
            faccessat(AT_FDCWD, *it, AccessFlags::X_OK, flags) == Err(nix::errno::Errno::EACCES)
        })
        .last()
}

fn look_at(socket: &Path) -> Option<OpenTo> {
    let file = fs::symlink_metadata(socket).ok()?;
    let mut list = [0; api::ACL_BYTES_MAX];
    let gids = match lgetxattr(socket, api::ACL_ATTRIBUTE, &mut list[..]) {
        Ok(length) => api::groups_of_acl(&list[..length], file.gid())?,
        // Without an access control list, the mode says who may connect.
        Err(_) if file.mode() & GROUP_MAY != 0 => vec![file.gid()],
        Err(_) => Vec::new(),
    };
    Some(OpenTo {
        uid: file.uid(),
        gids,
    })
}

fn closed_to(socket: &Path, caller: &Caller, open: &OpenTo, accounts: &Accounts) -> Error {
    let socket = socket.display();
    let error = |message: String| Error::new(Kind::NotAllowed, message);
    let uid = caller.uid;
    if uid == open.uid || caller.gids.iter().any(|gid| open.gids.contains(gid)) {
        return error(format!(
            "not allowed to connect to {socket}, though its permissions let you"
        ))
        .hint("look for what forbids it: AppArmor, SELinux");
    }
    let names =
        |gids: &[u32]| -> Vec<String> { gids.iter().map(|&gid| accounts.group(gid)).collect() };
    let own = names(&caller.gids).join(", ");
    let owner = accounts
        .user(open.uid)
        .map_or_else(|| format!("uid {}", open.uid), str::to_owned);
    let who = format!("you (uid {uid}, groups {own}) may not use this supervisor");
    if open.gids.is_empty() {
        return error(format!(
            "{who}: the socket {socket} is open to {owner} alone"
        ))
        .hint("use sudo; or open it to a group, with control.admin_group in the site file");
    }
    let groups = names(&open.gids);
    let plural = text::form(groups.len(), "group", "groups");
    let list = text::list(&groups);
    let error = error(format!(
        "{who}: the socket {socket} is open to {owner} and the {plural} {list}"
    ));
    let user = accounts.user(uid).unwrap_or("USER");
    let joined = open.gids.iter().find(|&&gid| accounts.is_member(user, gid));
    if let Some(&gid) = joined {
        let group = accounts.group(gid);
        return error.hint(format!(
            "{user} is in the group {group} by now, but was not when this session began: log in again"
        ));
    }
    let group = match open.gids[..] {
        [gid] => accounts
            .group_name(gid)
            .map_or_else(|| gid.to_string(), str::to_owned),
        _ => "GROUP".to_owned(),
    };
    error.hint(format!(
        "use sudo, or have an administrator run: usermod -aG {group} {user}, and log in again"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts() -> Accounts {
        Accounts::of(
            "root:x:0:0::/:/bin/sh\nalice:x:1000:1000::/:/bin/sh\n\
                     bob:x:1001:1001::/:/bin/sh\n",
            "alice:x:1000:\nadmins:x:10:bob,carol\nviewers:x:20:\n",
        )
    }

    fn told(uid: u32, gids: &[u32], open: &[u32]) -> (String, String) {
        let caller = Caller {
            uid,
            gids: gids.to_vec(),
        };
        let open = OpenTo {
            uid: 0,
            gids: open.to_vec(),
        };
        let error = closed_to(Path::new("/s"), &caller, &open, &accounts());
        assert_eq!(error.kind.exit_code(), 6);
        (error.message, error.hints.join("\n"))
    }

    #[test]
    fn the_missing_group_is_named_and_how_to_get_into_it() {
        let (message, hint) = told(1000, &[1000, 77], &[10]);
        assert_eq!(
            message,
            "you (uid 1000, groups alice, gid 77) may not use this supervisor: \
             the socket /s is open to root and the group admins"
        );
        assert_eq!(
            hint,
            "use sudo, or have an administrator run: usermod -aG admins alice, and log in again"
        );
        let (message, hint) = told(1000, &[1000], &[10, 20]);
        assert!(
            message.ends_with("and the groups admins and viewers"),
            "{message}"
        );
        assert!(hint.contains("usermod -aG GROUP alice"), "{hint}");
    }

    #[test]
    fn a_session_older_than_the_membership_has_to_begin_anew() {
        let (_, hint) = told(1001, &[1001], &[20, 10]);
        assert!(hint.contains("bob is in the group admins by now"), "{hint}");
        assert!(hint.contains("log in again"), "{hint}");
    }

    #[test]
    fn a_socket_without_groups_and_one_that_is_open_are_told_apart() {
        let (message, hint) = told(1000, &[1000], &[]);
        assert!(message.ends_with("is open to root alone"), "{message}");
        assert!(hint.contains("control.admin_group"), "{hint}");
        let (message, hint) = told(1000, &[10], &[10]);
        assert!(
            message.contains("though its permissions let you"),
            "{message}"
        );
        assert!(hint.contains("SELinux"), "{hint}");
    }

    #[test]
    fn the_groups_come_from_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("s");
        std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o660);
        fs::set_permissions(&socket, permissions).unwrap();
        let gid = fs::metadata(&socket).unwrap().gid();
        assert_eq!(look_at(&socket).unwrap().gids, [gid]);
        let list = api::acl_for(false, &[4_000_001, 4_000_002]);
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(&socket, api::ACL_ATTRIBUTE, &list, flags).unwrap();
        assert_eq!(look_at(&socket).unwrap().gids, [4_000_001, 4_000_002]);
    }
}
