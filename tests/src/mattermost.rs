//! Unpacks releases of the stand-in for Mattermost.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use crate::{binaries::binary, ctl::install};

/// Mark before the stand-in's version in its program, and the length of both in bytes.
const MARK: &str = "standin-release ";
const MARKED: usize = 32;

/// Unpacks the newest release into a directory: the programs, and the directories that they need
/// beside them.
pub fn unpack_mattermost(directory: &Path) {
    unpack(directory, &binary("mattermost"));
}

/// Unpacks another release: with this version, and without the migrations after number `newest`.
pub fn unpack_mattermost_as(directory: &Path, version: &str, newest: usize) {
    let mut bytes = fs::read(binary("mattermost")).expect("the program can be read");
    let marked = format!("{MARK}{version:<width$}", width = MARKED - MARK.len());
    let place = find(&bytes, MARK).expect("it has a version");
    bytes[place..place + MARKED].copy_from_slice(marked.as_bytes());
    let mut number = newest + 1;
    while let Some(place) = find(&bytes, &format!("postgres/{number:06}_")) {
        // Neither the stand-in nor another reader of the file finds this migration any more.
        let name = bytes[place..].iter_mut().skip_while(|byte| **byte != b'/');
        let name = name.skip(1).take_while(|byte| **byte != b'.');
        name.for_each(|byte| *byte = b'-');
        number += 1;
    }
    assert!(number > newest + 1, "it has migrations after {newest}");
    let changed = tempfile::NamedTempFile::new().expect("a file can be made");
    fs::write(&changed, bytes).expect("it can be written");
    unpack(directory, changed.path());
}

fn unpack(directory: &Path, program: &Path) {
    for name in ["bin", "i18n", "templates"] {
        fs::create_dir_all(directory.join(name)).expect("a directory can be made");
    }
    // Copied, since the service's account may not be able to enter the build directory.
    for (name, program) in [("mattermost", program), ("mmctl", &binary("mmctl"))] {
        let place = directory.join("bin").join(name);
        install(program, &place);
        fs::set_permissions(place, fs::Permissions::from_mode(0o755)).expect("it is ours");
    }
}

fn find(bytes: &[u8], text: &str) -> Option<usize> {
    let text = text.as_bytes();
    bytes.windows(text.len()).position(|it| it == text)
}
