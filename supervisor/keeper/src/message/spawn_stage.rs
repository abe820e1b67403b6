//! At which step the start of a run failed. The control process decides by it; people read its
//! name.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Declares the stages once: variant and name, on the wire and for people.
macro_rules! stages {
    ($($(#[doc = $doc:literal])* $variant:ident = $name:literal,)+) => {
        /// At which step the start of a run failed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[repr(u8)]
        pub enum SpawnStage {
            $($(#[doc = $doc])* #[serde(rename = $name)] $variant,)+
        }

        impl SpawnStage {
            /// In the order of their numbers: a child leaves only a number.
            pub(crate) const ALL: &[Self] = &[$(Self::$variant),+];

            /// Its name for people: the system call, or the part of a [`super::Spawn`].
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

stages! {
    /// The daemon is ending: it starts nothing.
    Shutdown = "shutdown",
    /// The number of the run is not larger than all before.
    RunNumber = "run-number",
    /// No [`super::Request::Open`] has named the service.
    Unopened = "unopened",
    /// Something is left of an earlier run of the service.
    Unswept = "unswept",
    /// Something is left of a run of the service that an earlier keeper had started.
    Leftovers = "leftovers",
    /// A string has a NUL byte, or there is no program.
    Arguments = "arguments",
    /// No pipe for what it writes.
    Pipe = "pipe",
    /// No pipe for its readiness, or a number that it cannot have.
    ReadyFd = "ready-fd",
    /// No notify socket.
    Notify = "notify",
    /// No link to the keeper: of a control process.
    Socketpair = "socketpair",
    /// No process.
    Fork = "fork",
    /// No session of its own.
    Session = "setsid",
    /// Its descriptors.
    Descriptors = "descriptors",
    /// The record of the run, by which a later keeper finds what is left.
    Record = "record",
    /// Its `oom_score_adj`.
    OomScore = "oom-score",
    /// A resource limit.
    Rlimit = "rlimits",
    /// Its nice value.
    Nice = "nice",
    /// Its I/O priority.
    IoPriority = "io-priority",
    /// The CPUs that it may run on.
    CpuAffinity = "cpu-affinity",
    /// Its supplementary groups.
    Groups = "setgroups",
    /// Its group.
    Gid = "setgid",
    /// Its user.
    Uid = "setuid",
    /// Its ids are not those that were asked for.
    Verify = "verify-ids",
    /// Its capabilities.
    Capabilities = "capabilities",
    /// `PR_SET_NO_NEW_PRIVS`.
    NoNewPrivs = "no-new-privs",
    /// Its signal mask and actions.
    Signals = "signals",
    /// Its working directory.
    Chdir = "chdir",
    /// Its standard input.
    Stdin = "stdin",
    /// Its program.
    Exec = "exec",
}

impl fmt::Display for SpawnStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::SpawnStage;

    #[test]
    fn a_stage_is_found_again_by_its_number() {
        for stage in SpawnStage::ALL {
            assert_eq!(SpawnStage::ALL[*stage as usize], *stage);
        }
    }
}
