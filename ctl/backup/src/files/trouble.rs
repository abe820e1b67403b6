//! Troubles of files that are read into a backup: exact numbers, and the first names of each kind.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Most names that are kept for each kind.
const NAMED_MAX: usize = 100;

/// One kind of thing that happened to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Trouble {
    /// The file could not be read: it is missing in the backup, or its end is.
    Unreadable,
    /// A hard link to a file of another account; the maker of the link may not have been allowed to
    /// read the file.
    Lent,
    /// The entry lies below more directories than the limit allows.
    TooDeep,
    /// The file claims a length that no file can have.
    TooLong,
    /// The file grew while it was read: the part that was added is missing.
    Grew,
    /// The file was truncated while it was read: zeros stand for the part that was cut off.
    Shrank,
    /// The file was written while it was read: its parts may be of different times.
    Changed,
    /// The file was listed, and gone when it was to be read.
    Vanished,
    /// A socket, a fifo or a device, which have no content.
    Special,
    /// A symbolic link that leads out of the tree: what it leads to is not in the backup.
    LeadsOut,
    /// Another file system, which was read too.
    Mount,
    /// The top is a symbolic link, which was followed.
    Followed,
}

impl Trouble {
    /// Whether something that existed is missing from the backup.
    pub fn is_loss(self) -> bool {
        match self {
            Self::Unreadable | Self::Lent | Self::TooDeep | Self::TooLong => true,
            Self::Grew
            | Self::Shrank
            | Self::Changed
            | Self::Vanished
            | Self::Special
            | Self::LeadsOut
            | Self::Mount
            | Self::Followed => false,
        }
    }

    /// The message for this many troubles of the kind.
    pub fn words(self) -> &'static str {
        match self {
            Self::Unreadable => "could not be read",
            Self::Lent => "a further name of another account's file, left out",
            Self::TooDeep => "below too many directories, left out",
            Self::TooLong => "longer than 1 TiB, left out",
            Self::Grew => "grew while it was read",
            Self::Shrank => "shrank while it was read",
            Self::Changed => "was written to while it was read",
            Self::Vanished => "vanished before it was read",
            Self::Special => "a socket, fifo or device, skipped",
            Self::LeadsOut => "a link that leads out of the tree: what it leads to is not saved",
            Self::Mount => "another file system, saved too",
            Self::Followed => "a link at the top, followed",
        }
    }
}

/// Number of troubles of each kind, with the first names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Troubles(BTreeMap<Trouble, Told>);

/// The troubles of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Number of troubles.
    pub count: u64,
    /// The first names, each with the system's error if any.
    pub names: Vec<String>,
}

impl Troubles {
    /// Counts one more trouble; `why` is the system's error.
    pub fn add(&mut self, trouble: Trouble, name: &[u8], why: Option<&std::io::Error>) {
        let told = self.0.entry(trouble).or_default();
        told.count += 1;
        if told.names.len() < NAMED_MAX {
            let name = String::from_utf8_lossy(name);
            told.names.push(match why {
                Some(why) => format!("{name}: {why}"),
                None => name.into_owned(),
            });
        }
    }

    /// Each kind that happened, with its troubles.
    pub fn iter(&self) -> impl Iterator<Item = (Trouble, &Told)> {
        self.0.iter().map(|(trouble, told)| (*trouble, told))
    }

    /// Number of files that existed and are missing from the backup, at least in part.
    pub fn lost(&self) -> u64 {
        let losses = self.0.iter().filter(|(trouble, _)| trouble.is_loss());
        losses.map(|(_, told)| told.count).sum()
    }
}
