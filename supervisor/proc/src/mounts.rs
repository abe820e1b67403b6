//! `/proc/self/mountinfo`: what is mounted where.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Read},
    os::unix::ffi::OsStringExt,
    path::PathBuf,
};

/// More of the table is not read.
const BYTES_MAX: u64 = 16 << 20;

/// The table, in lines.
pub(crate) fn text() -> io::Result<String> {
    let mut text = String::new();
    let table = File::open("/proc/self/mountinfo")?;
    table.take(BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

/// All places where something is mounted, as this process sees them.
///
/// # Errors
/// `/proc` is not mounted.
pub fn mount_points() -> io::Result<Vec<PathBuf>> {
    let text = text()?;
    let points = text.lines().filter_map(|line| line.split(' ').nth(4));
    Ok(points.map(decode).collect())
}

/// The path that a field of the table means: `\040` is a blank.
pub(crate) fn decode(field: &str) -> PathBuf {
    let mut path = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((before, after)) = rest.split_once('\\') {
        path.extend_from_slice(before.as_bytes());
        let digits = after.get(..3);
        if let Some(byte) = digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            path.push(byte);
            rest = &after[3..];
        } else {
            path.push(b'\\');
            rest = after;
        }
    }
    path.extend_from_slice(rest.as_bytes());
    OsString::from_vec(path).into()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn escaped_bytes_of_a_mount_point_are_read() {
        assert_eq!(decode("/mnt/my\\040group"), Path::new("/mnt/my group"));
        assert_eq!(decode("/a\\134b\\"), Path::new("/a\\b\\"));
        assert_eq!(decode("/\\303\\244"), Path::new("/ä"));
    }

    #[test]
    fn proc_is_mounted() {
        assert!(mount_points().unwrap().contains(&"/proc".into()));
    }
}
