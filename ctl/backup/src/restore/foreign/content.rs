//! Detects the type of a file by its content, never by its name.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use flate2::bufread::MultiGzDecoder;

use super::fault::Fault;
use crate::Error;

/// Bytes needed to detect the type.
const HEAD_BYTES: u64 = 1024;
const BUFFER_BYTES: usize = 256 << 10;

/// The type of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// SQL.
    Plain,
    /// A text that may be SQL.
    Text,
    /// `pg_dump -Fc`, of an archive of this minor version of format 1.
    Custom(u8),
    /// A tar archive of files.
    Tar,
    /// A dump in tar form.
    TarDump,
    /// A file compressed with zstd: as a rule one of our backups.
    Zstd,
    /// A file compressed by any other program.
    Compressed,
    /// An empty file.
    Empty,
    /// Anything else.
    Other,
}

impl Content {
    /// Words for the type, and advice.
    pub(super) fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Plain => (
                "a dump of a database, as SQL",
                "ctl restore --sql FILE restores it",
            ),
            Self::Custom(_) => (
                "a dump of a database, in the form of pg_dump -Fc",
                "ctl restore --sql FILE restores it",
            ),
            Self::Tar => (
                "a tar archive",
                "ctl restore --files FILE restores data and config.json from it",
            ),
            Self::TarDump => (
                "a dump of a database, in the form of pg_dump -Ft",
                "pg_restore --file=DUMP.sql FILE makes one of it that ctl restore --sql takes",
            ),
            Self::Zstd => (
                "compressed by zstd",
                "ctl restore FILE restores a backup of Mattervisor's; anything else: zstd -d FILE first",
            ),
            Self::Compressed => (
                "compressed by xz or bzip2",
                "decompress it first (xz -d, bzip2 -d)",
            ),
            Self::Empty => ("empty", "see how it was made, and take another one"),
            Self::Text | Self::Other => (
                "neither a dump of a database nor a tar archive",
                "ctl restore --sql takes what pg_dump writes, plain, with gzip or -Fc; --files a tar archive, plain or with gzip",
            ),
        }
    }

    /// Whether the type can be restored, though it is not one of our backups.
    pub(super) fn has_a_way(self) -> bool {
        matches!(
            self,
            Self::Plain | Self::Custom(_) | Self::Tar | Self::TarDump
        )
    }

    fn of(head: &[u8]) -> Self {
        match head {
            [] => Self::Empty,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            [0xfd, b'7', b'z', b'X', b'Z', ..] | [b'B', b'Z', b'h', ..] => Self::Compressed,
            [b'P', b'G', b'D', b'M', b'P', 1, minor, ..] => Self::Custom(*minor),
            _ if head.get(257..262) == Some(b"ustar") => {
                if head.starts_with(b"toc.dat\0") {
                    Self::TarDump
                } else {
                    Self::Tar
                }
            }
            _ if head.contains(&0) => Self::Other,
            _ => {
                let begins = head.trim_ascii_start();
                let sql = [&b"--"[..], b"\\restrict ", b"SET "];
                if sql.iter().any(|it| begins.starts_with(it)) {
                    Self::Plain
                } else {
                    Self::Text
                }
            }
        }
    }
}

/// A file of another program, which can be read from its beginning several times.
pub(super) struct Foreign {
    pub(super) path: PathBuf,
    pub(super) content: Content,
    pub(super) length: u64,
    file: File,
    gzip: bool,
}

impl Foreign {
    /// Opens the file, and detects its type.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let file = safe_path::open(path).map_err(Error::with("open", path))?;
        let mut foreign = Self {
            path: path.to_owned(),
            content: Content::Other,
            length: file.metadata()?.len(),
            file,
            gzip: false,
        };
        let mut head = foreign.head(HEAD_BYTES)?;
        if head.starts_with(&[0x1f, 0x8b]) {
            foreign.gzip = true;
            head = foreign.head(HEAD_BYTES)?;
        }
        foreign.content = Content::of(&head);
        Ok(foreign)
    }

    /// The first bytes of the content, decompressed.
    pub(super) fn head(&self, bytes: u64) -> Result<Vec<u8>, Error> {
        let mut head = Vec::new();
        let (reader, _) = self.read()?;
        let read = reader.take(bytes).read_to_end(&mut head);
        read.map_err(|error| self.error(error))?;
        Ok(head)
    }

    /// A reader of the content, and a counter of the bytes read from the file.
    pub(super) fn read(&self) -> Result<(Box<dyn BufRead + Send>, At), Error> {
        let mut file = self.file.try_clone()?;
        file.seek(SeekFrom::Start(0))?;
        let at = At::default();
        let counted = Counted {
            file,
            at: at.clone(),
        };
        let buffered = BufReader::with_capacity(BUFFER_BYTES, counted);
        let reader: Box<dyn BufRead + Send> = if self.gzip {
            let decoder = MultiGzDecoder::new(buffered);
            Box::new(BufReader::with_capacity(BUFFER_BYTES, decoder))
        } else {
            Box::new(buffered)
        };
        Ok((reader, at))
    }

    /// Converts a read error: errors of gzip have no `errno`.
    pub(super) fn error(&self, error: io::Error) -> Error {
        if self.gzip && error.raw_os_error().is_none() {
            let (path, error) = (self.path.clone(), error.to_string());
            return Fault::Gzip { path, error }.into();
        }
        Error::with("read", &self.path)(error)
    }

    /// Whether the error is gzip's: such an error has no `errno`.
    pub(super) fn is_gzip(&self, error: &io::Error) -> bool {
        use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
        self.gzip && matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof)
    }

    /// The error for a file that the option does not accept.
    pub(super) fn misplaced(&self) -> Error {
        let (what, hint) = self.content.words();
        let path = self.path.clone();
        Fault::Form { path, what, hint }.into()
    }
}

/// A shared counter of the bytes read from a file.
#[derive(Clone, Default)]
pub(super) struct At(std::sync::Arc<std::sync::atomic::AtomicU64>);

impl At {
    pub(super) fn get(&self) -> u64 {
        self.0.load(std::sync::atomic::Ordering::Relaxed)
    }
}

struct Counted {
    file: File,
    at: At,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.at
            .0
            .fetch_add(read as u64, std::sync::atomic::Ordering::Relaxed);
        Ok(read)
    }
}
