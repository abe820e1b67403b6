//! What the kernel tells in `/proc` and in the files of cgroups, read in this crate alone.
//!
//! Purpose: keeper, control process and `ctl` agree on what a process is (pid and start time), what
//! belongs to a service (cgroup, parents, sessions, pipes) and what it uses. Each file of `/proc`
//! has one parser here; `tests/one_reader.rs` finds every other use of `/proc` in the sources.
//!
//! Theory: a read of `/proc` is a snapshot of one process, and a pid may be used again between two
//! reads. So nothing is kept: whoever acts on a process compares its [`Stat::start`] first. A file
//! that cannot be read (the process has ended, or is not ours to see) is `None` or an error, never
//! a panic.
//!
//! Limits: reads block on the kernel; `environ` and `cmdline` of a process whose memory is locked
//! may block until that goes on, so only [`variables`] and [`has_variable`] read the former, and
//! not of a process in state `D`. Nobody calls this crate on the control thread, except for
//! [`boot_id`] and [`host_name`], which the kernel answers from memory.
//!
//! Why not the crate `procfs`: [`parse_stat`] runs in a child between clone and exec, where nothing
//! may allocate, and `procfs` allocates; it would bring five more crates for the rest. `rustix`
//! parses nothing of `/proc`. ARCHITECTURE.md has the figures.

mod cgroup;
mod descriptors;
mod family;
mod kernel;
mod mounts;
mod process;
mod stat;

pub use cgroup::{Mount, cgroup, cpu_time, members};
pub use descriptors::{
    Target, fd_path, has_open, has_open_deleted, holds_pipe, open_descriptors, output_pipe,
    output_pipes, own_program, path_of, program, program_path, sockets,
};
pub use family::{Family, all};
pub use kernel::{
    OWN_OOM_SCORE, OWN_PROGRAM, boot_id, host_name, locks, own_capabilities, suid_dumpable,
};
pub use mounts::mount_points;
pub use process::{
    Memory, exists, has_own_network, has_variable, memory, name, owner, tcp_tables, variables,
};
pub use stat::{STAT_BYTES, Stat, parse_stat, stat, ticks, wait_status};
