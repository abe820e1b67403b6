//! The end of an archive: a skippable zstd frame with a SHA-256 of every byte before it.
//!
//! Invariant: a file without a trailer is cut off, because the writer appends it last.
//!
//! By hand: `head -c -48 FILE | sha256sum` against `tail -c 32 FILE | xxd -p -c 32`.

/// Length of the trailer.
pub const BYTES: usize = 48;
/// Header of a skippable frame of 40 bytes, and our label.
const HEAD: [u8; 16] = *b"\x5e\x2a\x4d\x18\x28\x00\x00\x00SHA-256\0";

/// The trailer for a file with this checksum.
pub fn of(sum: &[u8; 32]) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    bytes[..16].copy_from_slice(&HEAD);
    bytes[16..].copy_from_slice(sum);
    bytes
}

/// The checksum in a file's last bytes; `None` if they are not a trailer, so the file is cut off.
pub fn sum(bytes: &[u8; BYTES]) -> Option<[u8; 32]> {
    let (head, sum) = bytes.split_at(16);
    (head == HEAD).then(|| sum.try_into().ok()).flatten()
}
