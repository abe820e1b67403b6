//! Which release this is: its version, and the directories of its archive that the program needs.
//!
//! Version and names of migrations stand in the program's own bytes, as in a released server, so
//! that a reader of the file finds them there. An older release is a copy of the program in which
//! these bytes are overwritten; see `mattervisor_tests::unpack_mattermost_as`.

use std::path::PathBuf;

/// The release whose habits the stand-in copies, unless the bytes were overwritten. Blanks fill the
/// rest.
static RELEASE: [u8; 32] = *b"standin-release 11.6.0          ";
/// Directories of the archive without which the server does not start.
const NEEDED: [&str; 2] = ["i18n", "templates"];

/// The version of this release.
pub(crate) fn version() -> &'static str {
    // No constant: the bytes in the program's file count.
    let bytes: &'static [u8] = std::hint::black_box(&RELEASE);
    let text = str::from_utf8(bytes).unwrap_or_default();
    text.split_ascii_whitespace().nth(1).unwrap_or_default()
}

/// Whether this release numbers its migrations. Up to 6.3, the table of systems holds a version of
/// the schema instead.
pub(crate) fn has_numbered_migrations() -> bool {
    let mut numbers = version().split('.').map_while(|it| it.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(6), Some(4))
}

/// Directories in which the server looks for a relative path: near the working directory, then near
/// the program.
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

/// Checks that the archive is there; the error is the message with which the server ends.
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
