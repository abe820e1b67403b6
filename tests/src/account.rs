//! The account that the test runs as.

use nix::unistd::{Uid, User};

/// How messages name the account whose request it was: `root`, `alice (uid 1000)`, `uid 1000`.
pub fn requester() -> String {
    let uid = Uid::effective();
    if uid.is_root() {
        return "root".to_owned();
    }
    match User::from_uid(uid) {
        Ok(Some(user)) => format!("{} (uid {uid})", user.name),
        _ => format!("uid {uid}"),
    }
}
