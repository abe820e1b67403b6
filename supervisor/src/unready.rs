//! Why a need of a run cannot be met, and whether another try can help.

use std::{fmt, io};

use nix::errno::Errno;

/// Errors of the system that can pass by themselves: it, or the disk, has no room or is busy.
const TRANSIENT: [Errno; 10] = [
    Errno::EAGAIN,
    Errno::EMFILE,
    Errno::ENFILE,
    Errno::ENOMEM,
    Errno::ETXTBSY,
    Errno::ENOSPC,
    Errno::EDQUOT,
    Errno::EROFS,
    Errno::EBUSY,
    // A newborn that was killed because it did not get to its exec in time.
    Errno::ETIMEDOUT,
];

/// Why a run cannot be spawned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unready {
    /// The reason, in words.
    pub(crate) reason: String,
    /// Hint for the administrator; may be empty.
    pub(crate) hint: String,
    /// The reason may pass by itself: another try is worth it.
    pub(crate) transient: bool,
}

impl Unready {
    /// A reason that may pass if it is transient.
    pub(crate) const fn new(reason: String, transient: bool) -> Self {
        Self {
            reason,
            hint: String::new(),
            transient,
        }
    }

    /// A reason that lasts until somebody mends it.
    pub(crate) const fn lasting(reason: String) -> Self {
        Self::new(reason, false)
    }

    /// A reason that may pass.
    pub(crate) const fn passing(reason: String) -> Self {
        Self::new(reason, true)
    }

    /// With what to do about the reason; an empty hint is none.
    pub(crate) fn hinted(self, hint: &str) -> Self {
        let hint = hint.to_owned();
        Self { hint, ..self }
    }
}

impl fmt::Display for Unready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)?;
        match self.hint.as_str() {
            "" => Ok(()),
            hint => write!(f, "; {hint}"),
        }
    }
}

impl std::error::Error for Unready {}

/// Another try is worth it.
pub(crate) fn can_pass(error: Errno) -> bool {
    TRANSIENT.contains(&error)
}

/// As [`can_pass`], of an error that may wrap another.
pub(crate) fn io_can_pass(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|it| it.downcast_ref::<Unready>());
    match (inner, error.raw_os_error()) {
        (Some(unready), _) => unready.transient,
        (None, Some(errno)) => can_pass(Errno::from_raw(errno)),
        (None, None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_pass_is_told_from_what_stays() {
        let of = |errno: Errno| io_can_pass(&io::Error::from(errno));
        assert!(of(Errno::EMFILE) && of(Errno::ENOSPC) && of(Errno::EROFS));
        assert!(!of(Errno::ENOENT) && !of(Errno::EACCES));
        let wrapped = |it: Unready| io_can_pass(&io::Error::other(it));
        assert!(wrapped(Unready::passing("nobody answers".to_owned())));
        assert!(!wrapped(Unready::lasting("there is none".to_owned())));
        assert!(!io_can_pass(&io::Error::other("anything else")));
    }
}
