//! Data in `/proc` about the kernel, and about this process.

use std::fs;

/// This process's own program, to be opened or executed whatever is at its path by now.
pub const OWN_PROGRAM: &str = "/proc/self/exe";
/// Badness of this process for the OOM killer, to be read and written.
pub const OWN_OOM_SCORE: &str = "/proc/self/oom_score_adj";

/// Id of this boot, random.
pub fn boot_id() -> String {
    line_of("/proc/sys/kernel/random/boot_id")
}

/// The machine's name as the kernel has it; this does not wait.
pub fn host_name() -> String {
    line_of("/proc/sys/kernel/hostname")
}

/// `fs.suid_dumpable`: what the kernel makes of the memory of a process that has changed its user.
pub fn suid_dumpable() -> String {
    line_of("/proc/sys/fs/suid_dumpable")
}

/// The kernel's list of file locks, in lines.
pub fn locks() -> String {
    fs::read_to_string("/proc/locks").unwrap_or_default()
}

/// Capabilities that this process has and may pass on, one bit each.
pub fn own_capabilities() -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let set = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key));
        line.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
    };
    set("CapPrm:").unwrap_or(0) & set("CapBnd:").unwrap_or(0)
}

fn line_of(path: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_has_an_id_and_a_name() {
        assert_eq!(boot_id().len(), 36);
        assert!(!host_name().is_empty());
    }
}
