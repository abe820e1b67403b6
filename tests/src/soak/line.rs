//! The numbered lines that the services of a soak write, and the ledgers that count them.
//!
//! A line is `soak SERVICE LANE RUN NUMBER FILLING.`: the service, which of its processes (lane),
//! which life of that process (run), and the number of the line, from 0. The filling's length
//! follows from the number, so a line that was cut or mixed with another is recognised.
//!
//! A ledger holds the number of lines that the pipe has taken. A writer updates its ledger after
//! each line: a writer that is killed between the two has written one line more than the ledger
//! says, never fewer.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use nix::errno::Errno;

/// One line in so many is long.
const LONG_EVERY: u64 = 50;
/// Filling of a long line: the whole line stays under 4096 bytes, which a pipe does not mix with
/// other writes.
const LONG_FILLING: usize = 2000;

/// Writes the lines of one process into the log of its service.
#[derive(Debug)]
pub struct Writer {
    head: String,
    ledger: File,
    next: u64,
}

/// The writer and the number of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbered {
    /// Which of the service's processes wrote the line.
    pub lane: String,
    /// Which life of that process; names sort by begin.
    pub run: String,
    /// Number of the line, from 0.
    pub number: u64,
}

/// A name for the life of this process; names sort by time.
pub fn new_run() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now_us = now.map_or(0, |now| now.as_micros());
    format!("{now_us:016}-{}", std::process::id())
}

impl Writer {
    /// A writer that has written nothing yet, with an empty ledger.
    pub fn new(root: &Path, service: &str, lane: &str, run: &str) -> io::Result<Self> {
        let directory = ledgers(root, service);
        fs::create_dir_all(&directory)?;
        let ledger = File::create(directory.join(format!("{lane}.{run}")))?;
        Ok(Self {
            head: format!("soak {service} {lane} {run}"),
            ledger,
            next: 0,
        })
    }

    /// Writes one line to standard output, and then the ledger. A line that the pipe does not take
    /// is an error, and the ledger does not count it.
    pub fn write(&mut self) -> io::Result<()> {
        let number = self.next;
        let line = format!("{} {number} {}.\n", self.head, filling(number));
        let mut rest = line.as_bytes();
        while !rest.is_empty() {
            match nix::unistd::write(io::stdout(), rest) {
                Ok(count) => rest = &rest[count..],
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        self.next += 1;
        self.ledger.write_all_at(&self.next.to_le_bytes(), 0)
    }
}

pub(super) fn filling(number: u64) -> String {
    let length = if number % LONG_EVERY == LONG_EVERY - 1 {
        LONG_FILLING
    } else {
        usize::try_from(number * 37 % 97).unwrap_or(0)
    };
    "x".repeat(length)
}

/// Parses a line of this service's log; `None` if no writer of the service wrote the line, or if
/// the line is not whole.
pub(super) fn parse(service: &str, text: &str) -> Option<Numbered> {
    let mut words = text.strip_suffix('.')?.split(' ');
    let is_ours = words.next() == Some("soak") && words.next() == Some(service);
    let lane = words.next()?.to_owned();
    let run = words.next()?.to_owned();
    let number: u64 = words.next()?.parse().ok()?;
    let whole = words.next()? == filling(number) && words.next().is_none();
    (is_ours && whole).then_some(Numbered { lane, run, number })
}

/// How many lines each life of each lane has written.
pub(super) fn written(root: &Path, service: &str) -> BTreeMap<(String, String), u64> {
    let entries = fs::read_dir(ledgers(root, service)).into_iter().flatten();
    let count = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        let (lane, run) = name.split_once('.')?;
        let bytes = fs::read(entry.path()).ok()?;
        // The ledger is empty if its writer was killed before the first line.
        let count = bytes.try_into().map_or(0, u64::from_le_bytes);
        Some(((lane.to_owned(), run.to_owned()), count))
    };
    entries.flatten().filter_map(count).collect()
}

fn ledgers(root: &Path, service: &str) -> PathBuf {
    root.join("ledger").join(service)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: u64) -> String {
        format!("soak a main 1-2 {number} {}.", filling(number))
    }

    #[test]
    fn a_whole_line_says_whose_it_is() {
        for number in [0, 1, LONG_EVERY - 1] {
            let numbered = parse("a", &line(number)).unwrap();
            assert_eq!(
                (numbered.lane.as_str(), numbered.number),
                ("main", number),
                "{numbered:?}"
            );
        }
    }

    #[test]
    fn what_is_cut_mixed_or_another_services_is_none() {
        let whole = line(7);
        assert!(parse("b", &whole).is_none());
        for end in 0..whole.len() {
            assert!(parse("a", &whole[..end]).is_none(), "{end}");
        }
        assert!(parse("a", &format!("{whole}{whole}")).is_none());
        assert!(parse("a", &whole[1..]).is_none());
    }
}
