//! What happened to files while they were read, told exactly.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Names of one kind that are told.
const NAMED_MAX: usize = 100;

/// One kind of thing that happened to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Trouble {
    /// The file could not be read: it is missing in the backup, or its end is.
    Unreadable,
    /// A further name of a file of another account's, made by who may not have been allowed to read it.
    Lent,
    /// Below more directories than are gone into.
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
    /// Something that was there is not in the backup.
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

    /// What to say of so many.
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
    /// So many of them.
    pub count: u64,
    /// The first ones, with what the system said, if anything.
    pub names: Vec<String>,
}

impl Troubles {
    /// Counts one more; `why` is the error of the system.
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

    /// Each kind that happened.
    pub fn iter(&self) -> impl Iterator<Item = (Trouble, &Told)> {
        self.0.iter().map(|(trouble, told)| (*trouble, told))
    }

    /// Files that are not in the backup, or not wholly, though they were there.
    pub fn lost(&self) -> u64 {
        let losses = self.0.iter().filter(|(trouble, _)| trouble.is_loss());
        losses.map(|(_, told)| told.count).sum()
    }
}
