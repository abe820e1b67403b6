//! Opens files and directories by paths that nobody but root and our own user can change.
//!
//! The supervisor is often root, and works in directories that services own or could come to own.
//! Whoever may write to a directory may put a link, a fifo or another's file where a path leads,
//! between any look at it and the next. So nothing here resolves a path in one call: each part is
//! opened below the one before, and what has been opened is looked at, not its name.
//!
//! | a directory on the way | what lies in it |
//! | --- | --- |
//! | of root or our own user, not open to everybody: **trusted** | links of root or our own user are followed; we work there as ourselves |
//! | anybody else's, or below such a one: **foreign** | no link is followed; nothing is changed, except [as the account](Dir::open_for) that it belongs to, by a thread whose file-system ids are that account's |
//!
//! A directory with the sticky bit (`/tmp`) counts as its owner's: what root has in it only root
//! can rename. Who may write by a group counts as the owner does, who chose the group.
//!
//! What the administrator names with `--root` is taken as it is, its parents included
//! ([`trust_root`]); the rules begin below.
//!
//! To another account a directory is given by [`Tree`] alone. A copy of one is read by [`Folder`].
//!
//! Files are regular ones of bounded size, opened without waiting: a fifo holds nobody up. In a
//! foreign directory they have one name and that directory's owner, so that no hard link lends us
//! another's file. A socket that is connected to is held to the same, but may be root's there.
//!
//! Limits: the owner of a directory is asked for when it is walked through, so a `chown` by root in
//! the same moment is not noticed. Files of the kernel (`/proc`, `/sys`) need none of this.

mod account;
mod dir;
mod file;
mod folder;
mod tree;
mod untrusted;
mod walk;

pub use account::Account;
pub use dir::Dir;
pub use file::{holding, open, open_guest, open_socket, read, read_guest, set_owner_and_mode};
pub use folder::{Folder, Found};
pub use tree::{At, Handover, LEFT_NAMED_MAX, Left, Tally, Tree, owner_of};
pub use untrusted::Untrusted;
pub use walk::{foreign_owner, metadata, stat, trust_root};

#[cfg(test)]
mod tests;
