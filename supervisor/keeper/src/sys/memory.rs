//! Memory that the allocator keeps for later.

/// Gives all of it back that is free. Worth a call after a burst, for it looks at the whole heap:
/// what a boot leaves is free in pieces, which the C library by itself gives back only at the end.
pub(crate) fn release() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes an integer, and the locks of the allocator like any other of its calls.
    unsafe {
        nix::libc::malloc_trim(0);
    }
}
