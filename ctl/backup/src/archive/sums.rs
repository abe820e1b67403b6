//! The lines of `SHA256SUMS`, as coreutils' `sha256sum` writes and reads them.

use std::fmt::Write as _;

/// One line: the sum in hexadecimal, two blanks, the name. Names with a backslash or a line end are
/// escaped, and the line then begins with a backslash.
pub(super) fn line(sum: &[u8; 32], name: &[u8]) -> Vec<u8> {
    let escaped = name.iter().any(|byte| b"\\\n\r".contains(byte));
    let mut line = Vec::with_capacity(name.len() + 68);
    if escaped {
        line.push(b'\\');
    }
    line.extend_from_slice(hex(sum).as_bytes());
    line.extend_from_slice(b"  ");
    for byte in name {
        match byte {
            b'\\' => line.extend_from_slice(b"\\\\"),
            b'\n' => line.extend_from_slice(b"\\n"),
            b'\r' => line.extend_from_slice(b"\\r"),
            byte => line.push(*byte),
        }
    }
    line.push(b'\n');
    line
}

/// Bytes in hexadecimal, lower case.
pub(crate) fn hex(sum: &[u8]) -> String {
    sum.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}
