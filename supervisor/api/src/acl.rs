//! Access control list of the control socket: the supervisor writes the list, and a client that may
//! not connect reads it to say who may.
//!
//! The bytes are those of the attribute `system.posix_acl_access` (`acl_ea_header` and
//! `acl_ea_entry` of Linux): a version, then for each entry a tag, permissions and an id, all in
//! little-endian order.

/// Extended attribute of a file that holds its access control list.
pub const ACL_ATTRIBUTE: &str = "system.posix_acl_access";

/// Longest list that is read, in bytes.
pub const ACL_BYTES_MAX: usize = 4 + 256 * ENTRY_BYTES;

const VERSION: u32 = 2;
const ENTRY_BYTES: usize = 8;
/// Connecting to a socket needs write permission.
const READ_WRITE: u16 = 6;
const WRITE: u16 = 2;
/// Id of an entry whose tag needs no id.
const NO_ID: u32 = u32::MAX;

const OWNING_USER: u16 = 0x01;
const OWNING_GROUP: u16 = 0x04;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;
const OTHERS: u16 = 0x20;

/// A list that lets the owner, the owning group if `owning_group`, and `groups` connect, and nobody
/// else. Without `groups` the list equals mode 0660 or 0600, and the kernel stores that mode
/// instead.
pub fn acl_for(owning_group: bool, groups: &[u32]) -> Vec<u8> {
    let if_so = |yes: bool| if yes { READ_WRITE } else { 0 };
    let mut bytes = VERSION.to_le_bytes().to_vec();
    let mut add = |tag: u16, permissions: u16, id: u32| {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(permissions.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    };
    add(OWNING_USER, READ_WRITE, NO_ID);
    add(OWNING_GROUP, if_so(owning_group), NO_ID);
    for &gid in groups {
        add(GROUP, READ_WRITE, gid);
    }
    if !groups.is_empty() {
        add(MASK, READ_WRITE, NO_ID);
    }
    add(OTHERS, 0, NO_ID);
    bytes
}

/// The groups that the list lets connect; `owning_group` is the file's group. None if `bytes` are
/// not a list.
pub fn groups_of_acl(bytes: &[u8], owning_group: u32) -> Option<Vec<u32>> {
    let (version, entries) = bytes.split_first_chunk()?;
    if u32::from_le_bytes(*version) != VERSION || entries.len() % ENTRY_BYTES != 0 {
        return None;
    }
    let mut groups = Vec::new();
    for entry in entries.chunks_exact(ENTRY_BYTES) {
        let (tag, rest) = entry.split_first_chunk()?;
        let (permissions, id) = rest.split_first_chunk()?;
        let may = u16::from_le_bytes(*permissions) & WRITE != 0;
        match u16::from_le_bytes(*tag) {
            OWNING_GROUP if may => groups.push(owning_group),
            GROUP if may => groups.push(u32::from_le_bytes(*id.first_chunk()?)),
            _ => {}
        }
    }
    Some(groups)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for (owning, groups, expected) in [
            (false, &[][..], &[][..]),
            (true, &[], &[7]),
            (false, &[20], &[20]),
            (true, &[20, 30], &[7, 20, 30]),
        ] {
            let bytes = acl_for(owning, groups);
            assert_eq!(groups_of_acl(&bytes, 7).as_deref(), Some(expected));
        }
    }

    #[test]
    fn what_is_no_list_is_not_read() {
        let list = acl_for(true, &[20]);
        for bytes in [&[][..], &[2, 0, 0], &list[..list.len() - 1], &[9; 12]] {
            assert_eq!(groups_of_acl(bytes, 7), None);
        }
    }
}
