//! Returns unused memory to the kernel.

use std::ffi::{c_int, c_void};

use nix::libc;

/// Gives all of it back that can be had again. Worth a call after a burst: what a boot leaves in
/// the heap is free in pieces, which the C library by itself gives back only at the end; and most
/// of the program's code has then been run for the last time in days.
pub(crate) fn release() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes an integer, and the locks of the allocator like any other of its calls.
    unsafe {
        libc::malloc_trim(0);
    }
    // SAFETY: the callback has the signature that is asked for, and needs no data.
    unsafe {
        libc::dl_iterate_phdr(Some(forget_code), std::ptr::null_mut());
    }
}

/// Unmaps the pages of the program's code and constants. They stay in the page cache, and what is
/// run again comes back by a minor fault for 16 pages.
unsafe extern "C" fn forget_code(
    object: *mut libc::dl_phdr_info,
    _size: libc::size_t,
    _data: *mut c_void,
) -> c_int {
    // SAFETY: the C library passes a valid object with as many headers as it says. Segments that
    // are not writable are pages of the file and nothing else: dropped, they are read again.
    unsafe {
        let object = &*object;
        for index in 0..usize::from(object.dlpi_phnum) {
            let header = &*object.dlpi_phdr.add(index);
            if header.p_type != libc::PT_LOAD || header.p_flags & libc::PF_W != 0 {
                continue;
            }
            let begin = object.dlpi_addr + header.p_vaddr;
            let end = begin + header.p_memsz;
            let page = PAGE_BYTES_MAX;
            // Whole pages alone, whatever their size: what shares one with data stays.
            let (begin, end) = (begin.next_multiple_of(page), end / page * page);
            if begin < end {
                let (Ok(begin), Ok(bytes)) = (usize::try_from(begin), usize::try_from(end - begin))
                else {
                    continue;
                };
                let begin = std::ptr::with_exposed_provenance_mut(begin);
                libc::madvise(begin, bytes, libc::MADV_DONTNEED);
            }
        }
    }
    // The first object is the program itself; others share the pages of the C library anyway.
    1
}

/// No architecture that this is built for has larger pages.
const PAGE_BYTES_MAX: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use std::fs;

    /// KiB of this program's code that are in this process's memory.
    fn code_kib() -> u64 {
        let name = fs::read_link("/proc/self/exe").unwrap();
        let maps = fs::read_to_string("/proc/self/smaps").unwrap();
        let mut own = false;
        let mut sum = 0;
        for line in maps.lines() {
            if line.contains(" r-xp ") {
                own = line.ends_with(name.to_str().unwrap());
            } else if let Some(rest) = line.strip_prefix("Rss:").filter(|_| own) {
                sum += rest.trim().trim_end_matches(" kB").parse::<u64>().unwrap();
                own = false;
            }
        }
        sum
    }

    #[test]
    fn code_that_has_been_run_is_let_go_and_can_be_run_again() {
        let before = code_kib();
        super::release();
        let after = code_kib();
        assert!(after < before, "{before} KiB before, {after} after");
    }
}
