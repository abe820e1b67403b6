//! Reads a tar archive that another program has made, member after member.
//!
//! Invariant: an archive counts as whole only if its content ends with the two blocks of zeros that
//! mark the end of every tar archive; a shorter one is refused as cut off.

use std::{
    cell::Cell,
    io::{self, Read},
};

use client::render::shown;

use super::{
    error::Error,
    read::{CHUNK_BYTES, Entry, EntryKind, head, only_zeros},
};

/// Size of a tar block, in bytes.
const BLOCK: u64 = 512;
/// Length of the two blocks of zeros that end an archive.
const END: u64 = 2 * BLOCK;
/// Limit for all headers before one member: a long name, a long target, pax records.
const HEADERS_BYTES_MAX: u64 = 4 << 20;
/// Prefix of the pax keys that describe holes.
const PAX_SPARSE: &[u8] = b"GNU.sparse.";

/// Why another program's tar archive is refused.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The archive ends within a member, or without the marks of its end.
    Cut(String),
    /// The archive holds a sparse file in a form that the reader does not support.
    Sparse(String),
    /// Some part of the file is not valid tar, or the file cannot be read.
    Read(io::Error),
}

/// Calls back for each member in turn, and stops at the first error of the callback.
///
/// # Errors
/// The archive's fault, converted by `wrong`, or the callback's error. After an error, members may
/// have been shown already, and not all of them.
pub(crate) fn each_foreign<E: From<Error>>(
    from: impl Read,
    wrong: impl Fn(Fault) -> E,
    mut show: impl FnMut(&mut Entry<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let counts = Counts::default();
    let mut archive = tar::Archive::new(Bounded {
        inner: from,
        counts: &counts,
    });
    let read = |error| wrong(Fault::Read(error));
    let mut end = 0;
    let mut last = "its first member".to_owned();
    let mut entries = archive.entries().map_err(read)?;
    loop {
        counts.left.set(HEADERS_BYTES_MAX);
        let Some(raw) = entries.next() else { break };
        let mut raw = raw.map_err(read)?;
        counts.left.set(u64::MAX);
        last = shown(&String::from_utf8_lossy(&raw.path_bytes())).into_owned();
        if let Some(extensions) = raw.pax_extensions().map_err(read)? {
            let mut keys = extensions.flatten().map(|it| it.key_bytes().to_vec());
            if keys.any(|key| key.starts_with(PAX_SPARSE)) {
                return Err(wrong(Fault::Sparse(last)));
            }
        }
        let mut entry = head(&mut raw)?;
        show(&mut entry)?;
        let mut buffer = vec![0; CHUNK_BYTES];
        while entry.read(&mut buffer).map_err(read)? > 0 {}
        if entry.kind == EntryKind::File && entry.seen() != entry.length {
            return Err(wrong(Fault::Cut(format!("a part of {last}"))));
        }
        end = counts.bytes.get().next_multiple_of(BLOCK);
    }
    counts.left.set(u64::MAX);
    let mut rest = archive.into_inner();
    let only_zeros = only_zeros(&mut rest).map_err(read)?;
    let total = counts.bytes.get();
    if total < end + END || counts.zeros.get() < END {
        return Err(wrong(Fault::Cut(format!("what follows {last}"))));
    }
    if !only_zeros {
        return Err(Error::Form("something follows its last member".to_owned()).into());
    }
    Ok(())
}

#[derive(Default)]
struct Counts {
    /// Bytes read so far.
    bytes: Cell<u64>,
    /// Length of the run of zeros at the end of those bytes.
    zeros: Cell<u64>,
    /// Bytes that may still be read before the limit.
    left: Cell<u64>,
}

struct Bounded<'c, R> {
    inner: R,
    counts: &'c Counts,
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let counts = self.counts;
        let left = counts.left.get().checked_sub(read as u64);
        counts
            .left
            .set(left.ok_or_else(|| io::Error::other("a member's headers are too long"))?);
        counts.bytes.set(counts.bytes.get() + read as u64);
        let zeros = buffer[..read].iter().rev().take_while(|it| **it == 0);
        let zeros = zeros.count();
        let before = if zeros == read { counts.zeros.get() } else { 0 };
        counts.zeros.set(before + zeros as u64);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(content: &[u8]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for name in ["a", "b"] {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o600);
            let done = builder.append_data(&mut header, name, content);
            done.expect("it is memory");
        }
        builder.into_inner().expect("it is memory")
    }

    fn read(bytes: &[u8]) -> Result<usize, String> {
        let mut members = 0;
        let wrong = |fault: Fault| Error::Form(format!("{fault:?}"));
        let read = each_foreign::<Error>(bytes, wrong, |_| {
            members += 1;
            Ok(())
        });
        read.map(|()| members).map_err(|error| error.to_string())
    }

    /// Zeros at the end of a file's content do not pass for the end of the archive.
    #[test]
    fn an_archive_is_whole_or_refused_wherever_it_is_cut() {
        for content in [&b"text"[..], &[0; 2048], &[]] {
            let whole = archive(content);
            assert_eq!(read(&whole), Ok(2));
            for length in 0..whole.len() {
                assert!(
                    read(&whole[..length]).is_err(),
                    "{length} of {}",
                    whole.len()
                );
            }
            let padded = [&whole[..], &[0; 8192]].concat();
            assert_eq!(read(&padded), Ok(2));
            assert!(read(&[&whole[..], b"more"].concat()).is_err());
        }
    }

    /// Without a limit, the reader would hold a name of any length in memory.
    #[test]
    fn a_name_without_end_is_refused() {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::GNULongName);
        header.set_size(1 << 40);
        header.set_cksum();
        let endless = header.as_bytes().chain(io::repeat(b'x'));
        let wrong = |fault: Fault| Error::Form(format!("{fault:?}"));
        let said = each_foreign::<Error>(endless, wrong, |_| Ok(())).expect_err("it has no end");
        assert!(said.to_string().contains("too long"), "{said}");
    }
}
