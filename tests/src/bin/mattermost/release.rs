//! Which release this is: its version, and what of its archive it needs beside the program.
//!
//! Version and names of migrations stand in the program's own bytes, as they do in a released
//! server, so that whoever looks for them there finds them. An older release is a copy of the
//! program in which they are overwritten; see `mattervisor_tests::release`.

use std::path::PathBuf;

/// The release whose habits are copied, unless the bytes were overwritten. Blanks fill the rest.
static RELEASE: [u8; 32] = *b"standin-release 11.6.0          ";
/// Directories of the archive without which there is no server.
const NEEDED: [&str; 2] = ["i18n", "templates"];

/// What `version` says.
pub(crate) fn version() -> &'static str {
    // Not a constant: the bytes of the file count.
    let bytes: &'static [u8] = std::hint::black_box(&RELEASE);
    let text = str::from_utf8(bytes).unwrap_or_default();
    text.split_ascii_whitespace().nth(1).unwrap_or_default()
}

/// Up to 6.3 there were no numbered migrations, but a version of the schema in the table of
/// systems.
pub(crate) fn has_numbered_migrations() -> bool {
    let mut numbers = version().split('.').map_while(|it| it.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(6), Some(4))
}

/// Where the server looks for what has a relative path: near the working directory, then near the
/// program.
pub(crate) fn places() -> impl Iterator<Item = PathBuf> {
    let program = std::env::current_exe().ok();
    let near = [
        Some(PathBuf::from(".")),
        program.and_then(|path| path.parent().map(Into::into)),
    ];
    near.into_iter()
        .flatten()
        .flat_map(|base| [".", "..", "../..", "../../.."].map(|up| base.join(up)))
}

/// Whether the archive is there; the error is the one that the server ends with.
pub(crate) fn check_archive() -> Result<(), String> {
    let missing = NEEDED
        .into_iter()
        .find(|name| !places().any(|place| place.join(name).is_dir()));
    missing.map_or(Ok(()), |name| {
        Err(format!(
            "failed to initialize platform: unable to find the directory {name} of the release archive"
        ))
    })
}
