//! Drives the real binaries and real services from outside.
//!
//! A test makes a [`Site`], writes service files into it, starts it, and asks it through `ctl`.
//! When a site is dropped, also by a panic, everything that it has started is gone. The binaries
//! are built beforehand (`./dev test` does that); a missing binary fails the test with how to build
//! it.

mod account;
mod ask;
mod binaries;
mod control_groups;
mod ctl;
mod events;
mod files;
mod init;
mod machine;
mod mattermost;
mod netns;
pub mod openssl;
mod packages;
mod podman;
mod ports;
mod postfix;
mod processes;
mod programs;
mod pty;
mod site;
pub mod soak;
mod socket;
mod status;
mod tracer;
mod tree;
mod wait;

pub use account::requester;
pub use api::{LastExit, ServiceEvent, ServiceStatus, StatusReply};
pub use binaries::{binary, use_binaries_in};
pub use ctl::{Ctl, Running, install, run, run_for};
pub use events::Events;
pub use files::{Stamp, child_command, lines, stamps};
pub use machine::Machine;
pub use mattermost::{unpack_mattermost, unpack_mattermost_as};
pub use netns::{Namespace, Network};
pub use packages::{Packages, packages};
pub use podman::{Container, Podman};
pub use ports::{free_port, http_get, http_post};
pub use postfix::{ACCOUNT, Postfix};
pub use processes::{alive, children, command_line, kill, processes_of, status_field};
pub use programs::{Missing, nginx, postgres, program};
pub use pty::Pty;
pub use site::Site;
pub use skip::{must_run_all, need, note, skip};
pub use socket::Reply;
pub use status::{StatusExt, WITHOUT_ROOT};
pub use tracer::Tracer;
pub use tree::{debian_tree, debian_tree_of};
pub use wait::{LIMIT, eventually, within};
