//! Capabilities: the keeper maps names to numbers, the child makes raw system calls.

use nix::{errno::Errno, libc, unistd::geteuid};

/// Names by number, as in linux/capability.h.
const NAMES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];
const SETPCAP: u32 = 8;
const VERSION_3: u32 = 0x2008_0522;
const AMBIENT: libc::c_int = 47;
const AMBIENT_RAISE: libc::c_ulong = 2;
const AMBIENT_CLEAR_ALL: libc::c_ulong = 4;

/// The capabilities by these names as a bit set; `None` for a name that no kernel knows.
pub(crate) fn parse(names: &[String]) -> Option<u64> {
    names.iter().try_fold(0, |set, name| {
        let number = NAMES.iter().position(|known| known == name)?;
        Some(set | 1 << number)
    })
}

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Capabilities that a run is to have.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wish {
    /// These alone, also over a change of user.
    pub(crate) only: Option<u64>,
    /// These alone can ever be gained by exec.
    pub(crate) bounding: Option<u64>,
    /// These are kept over the change of user.
    pub(crate) ambient: u64,
}

impl Wish {
    /// What survives a change of user.
    pub(crate) fn kept(&self) -> u64 {
        self.only.unwrap_or(0) | self.ambient
    }
}

/// Shrinks the bounding set to what was asked for. To be called before the change of user, which
/// takes the right to do so away. Allocates nothing: runs between clone and exec.
///
/// A keeper without the right to shrink it leaves it where nothing is lost by that: with
/// `no_new_privs` an exec can gain nothing from it, and without root the keeper gives no rights at
/// all.
pub(super) fn bound(wish: &Wish, no_new_privs: bool) -> Result<(), Errno> {
    let Some(bounding) = wish.bounding else {
        return Ok(());
    };
    let may = get()?[0].effective & (1 << SETPCAP) != 0;
    if may || !no_new_privs && geteuid().is_root() {
        drop_bounding(bounding)?;
    }
    Ok(())
}

/// Lets nothing survive the exec but what was asked for. `changed`: the user is not root any more.
/// Allocates nothing: runs between clone and exec.
pub(super) fn apply(wish: &Wish, changed: bool) -> Result<(), Errno> {
    let keep = wish.kept();
    if wish.only.is_none() && keep == 0 {
        return Ok(());
    }
    let mut sets = get()?;
    // Permitted survived the change of user; the bounding set needs it effective.
    for set in &mut sets {
        set.effective = set.permitted;
    }
    set(&sets)?;
    // A process that may not shrink its bounding set has nothing in it to fear from a plain exec.
    if wish.only.is_some() && wish.bounding.is_none() && sets[0].effective & (1 << SETPCAP) != 0 {
        drop_bounding(keep)?;
    }
    let [low, high] = [keep & u64::from(u32::MAX), keep >> 32];
    for (set, keep) in sets.iter_mut().zip([low, high]) {
        let keep = u32::try_from(keep).unwrap_or(u32::MAX);
        if wish.only.is_some() || changed {
            set.effective = keep;
            set.permitted = keep;
            set.inheritable = keep;
        } else {
            set.inheritable |= keep;
        }
    }
    set(&sets)?;
    prctl(AMBIENT, AMBIENT_CLEAR_ALL, 0)?;
    for number in bits(keep) {
        prctl(AMBIENT, AMBIENT_RAISE, number)?;
    }
    Ok(())
}

fn bits(set: u64) -> impl Iterator<Item = libc::c_ulong> {
    (0..64).filter(move |number| set & 1 << number != 0)
}

fn drop_bounding(keep: u64) -> Result<(), Errno> {
    let zero: libc::c_ulong = 0;
    for number in (0..64).filter(|number: &libc::c_ulong| keep & 1 << number == 0) {
        // SAFETY: integers only.
        match unsafe { libc::prctl(libc::PR_CAPBSET_READ, number, zero, zero, zero) } {
            0 => {}
            1 => prctl(libc::PR_CAPBSET_DROP, number, 0)?,
            // Past the last one that this kernel has.
            _ => break,
        }
    }
    Ok(())
}

fn prctl(option: libc::c_int, a: libc::c_ulong, b: libc::c_ulong) -> Result<(), Errno> {
    let zero: libc::c_ulong = 0;
    // SAFETY: these options take integers only.
    Errno::result(unsafe { libc::prctl(option, a, b, zero, zero) }).map(drop)
}

fn get() -> Result<[Data; 2], Errno> {
    let mut header = Header {
        version: VERSION_3,
        pid: 0,
    };
    let mut data = [Data::default(); 2];
    // SAFETY: version 3 reads one header and writes two data elements; both are valid.
    let done = unsafe { libc::syscall(libc::SYS_capget, &raw mut header, data.as_mut_ptr()) };
    Errno::result(done).map(|_| data)
}

fn set(data: &[Data; 2]) -> Result<(), Errno> {
    let mut header = Header {
        version: VERSION_3,
        pid: 0,
    };
    // SAFETY: version 3 reads one header and two data elements; both are valid.
    let done = unsafe { libc::syscall(libc::SYS_capset, &raw mut header, data.as_ptr()) };
    Errno::result(done).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_numbered_as_in_the_kernel() {
        assert_eq!(parse(&["net_bind_service".into()]), Some(1 << 10));
        assert_eq!(
            parse(&["chown".into(), "checkpoint_restore".into()]),
            Some(1 | 1 << 40)
        );
    }

    #[test]
    fn an_unknown_name_is_refused() {
        assert_eq!(parse(&["CAP_CHOWN".into()]), None);
    }
}
