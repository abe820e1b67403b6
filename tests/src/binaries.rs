//! Finds the programs under test.

use std::{path::PathBuf, sync::OnceLock};

/// The directory that was given to [`use_binaries_in`].
static CHOSEN: OnceLock<PathBuf> = OnceLock::new();

/// Takes binaries from this directory, for the life of this process. Only the first call counts.
pub fn use_binaries_in(directory: PathBuf) {
    let _ = CHOSEN.set(directory);
}

/// A binary of this workspace: from the directory of [`use_binaries_in`] or `MATTERVISOR_BIN_DIR`,
/// else from beside the running test or program.
///
/// Panics if the binary is missing: a test that cannot find its subject has failed.
pub fn binary(name: &str) -> PathBuf {
    let path = directory().join(name);
    assert!(
        path.is_file(),
        "{} is missing: build the binaries first, with `cargo build` or `./dev test`",
        path.display()
    );
    path
}

fn directory() -> PathBuf {
    if let Some(directory) = CHOSEN.get() {
        return directory.clone();
    }
    if let Some(directory) = std::env::var_os("MATTERVISOR_BIN_DIR") {
        return directory.into();
    }
    let program = std::env::current_exe().expect("a process knows its program");
    let directory = program.parent().expect("a program lies in a directory");
    // Tests lie in TARGET/PROFILE/deps, programs in TARGET/PROFILE.
    let above = directory.parent().filter(|_| directory.ends_with("deps"));
    above.unwrap_or(directory).to_owned()
}
