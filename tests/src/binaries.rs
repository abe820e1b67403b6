//! Where the programs under test are.

use std::path::PathBuf;

/// A binary of this workspace: in `MATTERVISOR_BIN_DIR`, else beside the running test.
///
/// Panics where it is missing: a test that cannot find its subject has failed.
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
    if let Some(directory) = std::env::var_os("MATTERVISOR_BIN_DIR") {
        return directory.into();
    }
    // TARGET/debug/deps/main-HASH
    let test = std::env::current_exe().expect("a process knows its program");
    let above = test.parent().and_then(|deps| deps.parent());
    above
        .expect("a test lies in TARGET/PROFILE/deps")
        .to_owned()
}
