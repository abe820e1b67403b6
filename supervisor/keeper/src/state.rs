//! All that a keeper knows, for the program that becomes the keeper next: JSON with a version, in
//! sealed memory that no file system has.
//!
//! A state of this version is read, an older one is migrated, step by step, and any other is refused
//! by name ([`StateRefusal`]). What the state says is complete: the next program asks nobody.
//!
//! Limits: the versions that [`read`] names. What a newer program adds to a state of the same
//! version is ignored, so whoever adds something that may not be ignored raises [`VERSION`].

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fs::File,
    io::{self, Read, Seek, Write},
    os::fd::AsFd,
    path::PathBuf,
};

use nix::{
    fcntl::{FcntlArg, SealFlag, fcntl},
    sys::memfd::{MFdFlags, memfd_create},
};
use serde::{Deserialize, Serialize};

use crate::{
    compressor::SavedCompressor,
    control::SavedControl,
    fact_queue::FactQueue,
    inheritance::Number,
    log::SavedLogs,
    message::{Request, StateRefusal},
    original::SavedOriginal,
    places::SavedPlaces,
    runs::SavedRuns,
    strays::Strays,
    timers::Timers,
};

/// Version of the state that this program writes.
pub(crate) const VERSION: u32 = 1;
/// What a state says that it is.
const KIND: &str = "state of a mattervisor keeper";
/// Name of the memory, as `/proc` shows it.
const NAME: &str = "mattervisor-keeper-state";
/// A longer state is none.
const BYTES_MAX: u64 = 1 << 30;

/// Everything.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    /// Every descriptor that stays open over the exec.
    pub(crate) descriptors: BTreeSet<Number>,
    /// Version of the messages that the control process in charge speaks.
    pub(crate) messages: u32,
    /// Times that this process has executed another program.
    pub(crate) execs: u32,
    pub(crate) started_ms: u64,
    /// Names this state on the machine.
    pub(crate) hash: String,
    pub(crate) original: SavedOriginal,
    /// The daemon's cgroup.
    pub(crate) cgroup: Option<PathBuf>,
    pub(crate) places: SavedPlaces,
    pub(crate) control: SavedControl,
    pub(crate) runs: SavedRuns,
    pub(crate) logs: SavedLogs,
    pub(crate) facts: FactQueue,
    pub(crate) timers: Timers,
    pub(crate) compressor: SavedCompressor,
    pub(crate) strays: Strays,
    /// The question of the control process that waits.
    pub(crate) sync: Option<u64>,
    pub(crate) own_children: BTreeSet<i32>,
    pub(crate) inbox: VecDeque<Request>,
    pub(crate) records: BTreeMap<String, String>,
}

#[derive(Serialize)]
struct Written<'a> {
    kind: &'static str,
    version: u32,
    state: &'a State,
}

/// What is read first, whatever follows.
#[derive(Deserialize)]
struct Head {
    kind: String,
    version: u32,
}

#[derive(Deserialize)]
struct Body {
    state: State,
}

/// Writes a state to sealed memory.
pub(crate) fn write(state: &State) -> io::Result<File> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let mut memory = File::from(memfd_create(NAME, flags)?);
    let written = Written {
        kind: KIND,
        version: VERSION,
        state,
    };
    memory.write_all(&serde_json::to_vec(&written)?)?;
    let seals = SealFlag::F_SEAL_SHRINK
        | SealFlag::F_SEAL_GROW
        | SealFlag::F_SEAL_WRITE
        | SealFlag::F_SEAL_SEAL;
    fcntl(memory.as_fd(), FcntlArg::F_ADD_SEALS(seals))?;
    Ok(memory)
}

/// Reads what [`write()`] of this program or an earlier version has written.
pub(crate) fn read(memory: &mut File) -> Result<State, StateRefusal> {
    let mut bytes = Vec::new();
    let read = memory.rewind();
    let read = read.and_then(|()| memory.take(BYTES_MAX).read_to_end(&mut bytes));
    read.map_err(|error| StateRefusal::Unreadable {
        error: error.to_string(),
    })?;
    parse(&bytes)
}

fn parse(bytes: &[u8]) -> Result<State, StateRefusal> {
    let head: Head = serde_json::from_slice(bytes).map_err(|_| StateRefusal::Foreign)?;
    if head.kind != KIND {
        return Err(StateRefusal::Foreign);
    }
    match head.version {
        VERSION => body(bytes),
        found => Err(StateRefusal::OtherVersion {
            found,
            known: VERSION,
        }),
    }
}

fn body(bytes: &[u8]) -> Result<State, StateRefusal> {
    let body: Result<Body, _> = serde_json::from_slice(bytes);
    let body = body.map_err(|error| StateRefusal::Malformed {
        column: error.column(),
    })?;
    Ok(body.state)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> StateRefusal {
        parse(text.as_bytes()).unwrap_err()
    }

    #[test]
    fn what_is_not_of_this_version_is_refused_by_name() {
        let of = |version| format!(r#"{{"kind":"{KIND}","version":{version},"state":{{}}}}"#);
        for found in [0, VERSION + 1, u32::MAX] {
            let known = VERSION;
            let expected = StateRefusal::OtherVersion { found, known };
            assert_eq!(refusal(&of(found)), expected);
        }
        let malformed = refusal(&of(VERSION));
        assert!(matches!(malformed, StateRefusal::Malformed { .. }));
        for other in ["", "{", "[]", "{}", r#"{"kind":"plan","version":1}"#] {
            assert_eq!(refusal(other), StateRefusal::Foreign, "{other}");
        }
    }
}
