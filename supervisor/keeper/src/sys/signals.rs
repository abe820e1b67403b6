//! Sets and dispositions of signals, realtime ones too.

use nix::{errno::Errno, libc, sys::signal::SigSet};

/// A set of these.
pub(crate) fn set(signals: &[libc::c_int]) -> Result<SigSet, Errno> {
    let mut set = std::mem::MaybeUninit::uninit();
    // SAFETY: the set is initialised by sigemptyset before anything else looks at it, and all
    // members are valid once it is.
    unsafe {
        Errno::result(libc::sigemptyset(set.as_mut_ptr()))?;
        for signal in signals {
            Errno::result(libc::sigaddset(set.as_mut_ptr(), *signal))?;
        }
        Ok(SigSet::from_sigset_t_unchecked(set.assume_init()))
    }
}

/// Back to the default action: an inherited "ignore" would lose the signal, and with SIGCHLD every
/// exit status.
pub(crate) fn reset_disposition(signal: libc::c_int) -> Result<(), Errno> {
    // SAFETY: installs no handler, so no code of ours runs in signal context.
    let before = unsafe { libc::signal(signal, libc::SIG_DFL) };
    if before == libc::SIG_ERR {
        return Err(Errno::last());
    }
    Ok(())
}
