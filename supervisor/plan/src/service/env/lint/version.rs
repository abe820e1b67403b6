//! Versions of a program, and between which of them a change came.

use std::fmt;

/// A change came after one version and not later than with another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) before: Version,
    pub(super) after: Version,
}

impl Bounds {
    /// `A..B`, or `B` alone for a change that came with B.
    pub(super) fn read(text: &str) -> Option<Self> {
        let (before, after) = text.split_once("..").unwrap_or((text, text));
        Some(Self {
            before: Version::parse(before)?,
            after: Version::parse(after)?,
        })
    }
}

/// The first two or three numbers of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(pub(super) u32, pub(super) u32, pub(super) Option<u32>);

impl Version {
    /// Reads `11.6`, `v11.6.0` or `11.6.0-rc1`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let mut numbers = text
            .strip_prefix('v')
            .unwrap_or(text)
            .split('.')
            .map(|part| {
                let digits = part
                    .find(|c: char| !c.is_ascii_digit())
                    .unwrap_or(part.len());
                part[..digits].parse::<u32>().ok()
            });
        Some(Self(
            numbers.next()??,
            numbers.next()??,
            numbers.next().flatten(),
        ))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(major, minor, patch) = self;
        write!(f, "{major}.{minor}")?;
        patch.map_or(Ok(()), |patch| write!(f, ".{patch}"))
    }
}
