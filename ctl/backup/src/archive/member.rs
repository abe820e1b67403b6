//! The tar headers of one member: ustar, with a pax record for each value that does not fit.

use super::sparse::{self, Segment};

/// Size of a tar block, in bytes.
pub(super) const BLOCK: u64 = 512;
/// Longest name or link target that fits into the header itself.
const NAME_BYTES: usize = 100;
/// Longest name of an account or a group.
const OWNER_BYTES: usize = 32;

/// The owner of a member.
#[derive(Clone, Debug, Default)]
pub struct Owner {
    /// Numbers of user and group.
    pub ids: (u64, u64),
    /// Names of user and group; empty if the numbers have no names.
    pub names: (String, String),
}

/// The kind of a member.
#[derive(Clone, Copy, Debug)]
pub enum Kind<'a> {
    /// A file of so many bytes.
    File(u64),
    /// A file of so many bytes with holes; the segments hold its data.
    Sparse(u64, &'a [Segment]),
    /// A directory.
    Directory,
    /// A symbolic link with this target.
    Symlink(&'a [u8]),
    /// A hard link to this earlier member.
    HardLink(&'a [u8]),
}

/// A member, without its content.
#[derive(Clone, Debug)]
pub struct Member<'a> {
    /// Name of the member in the archive: relative, any bytes but NUL.
    pub name: &'a [u8],
    /// Kind of the member.
    pub kind: Kind<'a>,
    /// Permission bits.
    pub mode: u32,
    /// Owner of the member.
    pub owner: &'a Owner,
    /// Modification time: seconds since 1970, and nanoseconds.
    pub changed: (i64, u32),
}

impl Member<'_> {
    /// Bytes of content that follow the headers.
    pub(super) fn stored(&self) -> u64 {
        match self.kind {
            Kind::File(length) => length,
            Kind::Sparse(_, segments) => segments.iter().map(|segment| segment.length).sum(),
            Kind::Directory | Kind::Symlink(_) | Kind::HardLink(_) => 0,
        }
    }

    /// All header blocks that precede the content.
    pub(super) fn headers(&self) -> Vec<u8> {
        let (mut header, target) = match self.kind {
            Kind::Sparse(..) => (tar::Header::new_gnu(), None),
            Kind::File(_) | Kind::Directory => (tar::Header::new_ustar(), None),
            Kind::Symlink(target) | Kind::HardLink(target) => {
                (tar::Header::new_ustar(), Some(target))
            }
        };
        header.set_entry_type(match self.kind {
            Kind::File(_) => tar::EntryType::Regular,
            Kind::Sparse(..) => tar::EntryType::GNUSparse,
            Kind::Directory => tar::EntryType::Directory,
            Kind::Symlink(_) => tar::EntryType::Symlink,
            Kind::HardLink(_) => tar::EntryType::Link,
        });
        let mut records = Vec::new();
        let old = header.as_old_mut();
        put(&mut old.name, self.name, "path", &mut records);
        if let Some(target) = target {
            put(&mut old.linkname, target, "linkpath", &mut records);
        }
        header.set_mode(self.mode & 0o7777);
        header.set_uid(self.owner.ids.0);
        header.set_gid(self.owner.ids.1);
        self.put_owner(&mut header, &mut records);
        self.put_time(&mut header, &mut records);
        let stored = self.stored();
        header.set_size(stored);
        if stored >= 1 << 33 {
            record(&mut records, "size", stored.to_string().as_bytes());
        }
        let more = match self.kind {
            Kind::Sparse(length, segments) => sparse::describe(&mut header, segments, length),
            _ => Vec::new(),
        };
        header.set_cksum();
        let mut blocks = extended(&records);
        blocks.extend_from_slice(header.as_bytes());
        blocks.extend_from_slice(&more);
        blocks
    }

    fn put_owner(&self, header: &mut tar::Header, records: &mut Vec<u8>) {
        let (user, group) = &self.owner.names;
        let mut fields = [[0; OWNER_BYTES]; 2];
        // The last byte of these fields is always NUL.
        put(
            &mut fields[0][..OWNER_BYTES - 1],
            user.as_bytes(),
            "uname",
            records,
        );
        put(
            &mut fields[1][..OWNER_BYTES - 1],
            group.as_bytes(),
            "gname",
            records,
        );
        if let Some(gnu) = header.as_gnu_mut() {
            (gnu.uname, gnu.gname) = (fields[0], fields[1]);
        } else if let Some(ustar) = header.as_ustar_mut() {
            (ustar.uname, ustar.gname) = (fields[0], fields[1]);
        }
    }

    fn put_time(&self, header: &mut tar::Header, records: &mut Vec<u8>) {
        let (seconds, nanoseconds) = self.changed;
        let whole = u64::try_from(seconds).ok().filter(|it| *it < 1 << 33);
        header.set_mtime(whole.unwrap_or(0));
        if nanoseconds == 0 && whole.is_some() {
            return;
        }
        // pax writes a negative time as one decimal number: -1.25 is a second and a quarter before
        // 1970.
        let time = if seconds < 0 && nanoseconds > 0 {
            let left = 1_000_000_000 - nanoseconds;
            let sign = if seconds == -1 { "-" } else { "" };
            format!("{sign}{}.{left:09}", seconds + 1)
        } else {
            format!("{seconds}.{nanoseconds:09}")
        };
        record(records, "mtime", time.as_bytes());
    }
}

/// Writes a value into a header field; a value that does not fit also becomes a pax record.
fn put(field: &mut [u8], value: &[u8], key: &str, records: &mut Vec<u8>) {
    let fits = value.len().min(field.len()).min(NAME_BYTES);
    field[..fits].copy_from_slice(&value[..fits]);
    if fits < value.len() {
        record(records, key, value);
    }
}

/// Appends a pax record: length of the whole record, key and value.
fn record(records: &mut Vec<u8>, key: &str, value: &[u8]) {
    // The length counts " key=value\
    // " and its own digits.
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length.to_string().len() + rest != length {
        length += 1;
    }
    records.extend_from_slice(format!("{length} {key}=").as_bytes());
    records.extend_from_slice(value);
    records.push(b'\n');
}

/// The pax member with the records for the next member; empty if there are no records.
fn extended(records: &[u8]) -> Vec<u8> {
    if records.is_empty() {
        return Vec::new();
    }
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::XHeader);
    header.as_old_mut().name[..9].copy_from_slice(b"PaxHeader");
    header.set_mode(0o600);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(records.len() as u64);
    header.set_cksum();
    let mut blocks = header.as_bytes().to_vec();
    blocks.extend_from_slice(records);
    blocks.resize(blocks.len().next_multiple_of(512), 0);
    blocks
}
