//! Accounting for lines: compares the counts in the ledgers with the lines in the log files.
//!
//! Lines of one lane (see [`super::line`]) come in order, life after life. A hole between two lines
//! is accounted for if a mark stands there: that lines may be missing, or how many. A keeper that
//! dies in the middle of a line leaves a cut line, which a mark that lines may be missing follows:
//! the cut line counts as missing, not as split.

use std::{
    collections::BTreeMap,
    fs,
    ops::Range,
    path::{Path, PathBuf},
};

use super::{line, promise::Promise, report::Findings};

/// Prefix of the supervisor's own lines.
const OURS: &str = "[mattervisor] ";
const MAY_BE_MISSING: &str = "lines may be missing here";
const COUNTED: &str = "could not be written and are lost";

/// Counts of lines, for one or several services.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Account {
    /// Lines that pipes took.
    pub(super) written: u64,
    /// Lines that are missing where a mark stands.
    pub(super) missing: u64,
    /// Marks that lines may be missing.
    pub(super) marks: u64,
    /// Lost lines that marks have counted.
    pub(super) counted: u64,
    lost: u64,
    doubled: u64,
    split: u64,
}

impl Account {
    pub(super) fn add(&mut self, other: Self) {
        self.written += other.written;
        self.missing += other.missing;
        self.marks += other.marks;
        self.counted += other.counted;
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.split += other.split;
    }
}

/// Reads all of a service's log and reports broken promises. Nobody may write meanwhile.
pub(super) fn account(root: &Path, log_dir: &Path, service: &str, found: &Findings) -> Account {
    let mut book = Book::default();
    for file in files(log_dir) {
        for line in text_of(&file).lines() {
            book.take(service, line, &file);
        }
    }
    book.close(&line::written(root, service));
    let Book {
        account, details, ..
    } = book;
    for (promise, count) in [
        (Promise::LinesKept, account.lost),
        (Promise::LinesOnce, account.doubled),
        (Promise::LinesWhole, account.split),
    ] {
        if count > 0 {
            let details = details
                .iter()
                .filter(|it| it.0 == promise)
                .map(|it| it.1.as_str());
            let details: Vec<&str> = details.take(3).collect();
            let detail = format!("{service}: {count}: {}", details.join("; "));
            found.broken(promise, count, detail);
        }
    }
    account
}

/// All files of a log, oldest first. A file that stands there both plain and compressed, since one
/// is just replacing the other, counts once.
fn files(log_dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(log_dir).into_iter().flatten().flatten();
    let named = entries.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let plain = name.strip_suffix(".zst").unwrap_or(&name);
        let counts = plain == "current" || plain.strip_suffix(".log").is_some();
        counts.then(|| (plain.to_owned(), entry.path()))
    });
    // The stamps of rotated files begin with a digit: `current` comes last.
    named.collect::<BTreeMap<_, _>>().into_values().collect()
}

fn text_of(file: &Path) -> String {
    let bytes = fs::read(file).unwrap_or_default();
    let bytes = if file.extension().is_some_and(|it| it == "zst") {
        zstd::decode_all(bytes.as_slice()).unwrap_or_default()
    } else {
        bytes
    };
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Where a life's lines stand in the log. A position counts all lines before it.
#[derive(Clone, Debug)]
struct Life {
    first: u64,
    last: u64,
    next: u64,
}

#[derive(Debug)]
enum Mark {
    MayBeMissing,
    Counted(u64),
}

#[derive(Debug, Default)]
struct Book {
    position: u64,
    marks: BTreeMap<u64, Mark>,
    lives: BTreeMap<(String, String), Life>,
    /// Holes: the line behind the hole, how many lines are missing, and between which positions.
    holes: Vec<(String, u64, Range<u64>)>,
    /// The last line, if it was not whole.
    cut: Option<String>,
    account: Account,
    details: Vec<(Promise, String)>,
}

impl Book {
    fn take(&mut self, service: &str, line: &str, file: &Path) {
        self.position += 1;
        let text = line.split_once(' ').map_or("", |(_, text)| text);
        let cut = self.cut.take();
        if let Some(said) = text.strip_prefix(OURS) {
            self.take_mark(said);
            if said.contains(MAY_BE_MISSING) {
                return;
            }
        } else if let Some(numbered) = line::parse(service, text) {
            self.take_numbered(numbered);
        } else {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            self.cut = Some(format!("{name}: {line:.120}"));
        }
        self.split(cut);
    }

    fn split(&mut self, line: Option<String>) {
        if let Some(detail) = line {
            self.account.split += 1;
            self.details.push((Promise::LinesWhole, detail));
        }
    }

    fn take_mark(&mut self, said: &str) {
        if said.contains(MAY_BE_MISSING) {
            self.account.marks += 1;
            self.marks.insert(self.position, Mark::MayBeMissing);
        } else if said.contains(COUNTED) {
            let count = said.split(' ').next().and_then(|it| it.parse().ok());
            let count = count.unwrap_or(0);
            self.account.counted += count;
            self.marks.insert(self.position, Mark::Counted(count));
        }
    }

    fn take_numbered(&mut self, line: line::Numbered) {
        let line::Numbered { lane, run, number } = line;
        let name = format!("{lane} {run} {number}");
        let position = self.position;
        let key = (lane, run);
        let before = self.before(&key);
        let life = self.lives.entry(key).or_insert(Life {
            first: position,
            last: before,
            next: 0,
        });
        if number < life.next {
            self.account.doubled += 1;
            self.details.push((Promise::LinesOnce, name));
            return;
        }
        if number > life.next {
            let hole = (name, number - life.next, life.last..position);
            self.holes.push(hole);
        }
        life.next = number + 1;
        life.last = position;
    }

    /// Position at which the earlier lives of the same lane ended.
    fn before(&self, key: &(String, String)) -> u64 {
        let earlier = self.lives.range(..key.clone());
        let earlier = earlier.filter(|((lane, _), _)| *lane == key.0);
        earlier.map(|(_, life)| life.last).max().unwrap_or(0)
    }

    /// Position at which the next life of the same lane began.
    fn after(&self, key: &(String, String)) -> u64 {
        let later = self.lives.range(key.clone()..);
        let mut later = later.filter(|((lane, run), _)| *lane == key.0 && *run != key.1);
        later.next().map_or(u64::MAX, |(_, life)| life.first)
    }

    /// Compares with the ledgers: the last lines of a life may be missing altogether.
    fn close(&mut self, written: &BTreeMap<(String, String), u64>) {
        let cut = self.cut.take();
        self.split(cut);
        for (key, count) in written {
            self.account.written += count;
            let life = self.lives.get(key);
            let next = life.map_or(0, |life| life.next);
            if *count > next {
                let from = life.map_or_else(|| self.before(key), |life| life.last);
                let name = format!("{} {} {next}…", key.0, key.1);
                let hole = (name, count - next, from..self.after(key));
                self.holes.push(hole);
            }
        }
        for (name, count, place) in std::mem::take(&mut self.holes) {
            if self.is_marked(count, place) {
                self.account.missing += count;
            } else {
                self.account.lost += count;
                let detail = format!("{count} before {name}");
                self.details.push((Promise::LinesKept, detail));
            }
        }
    }

    fn is_marked(&self, count: u64, place: Range<u64>) -> bool {
        let mut counted = 0;
        for (_, mark) in self.marks.range(place) {
            match mark {
                Mark::MayBeMissing => return true,
                Mark::Counted(lines) => counted += lines,
            }
        }
        counted >= count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soak::line::filling;

    fn numbered(run: &str, number: u64) -> String {
        format!("T soak a main {run} {number} {}.", filling(number))
    }

    fn mark(text: &str) -> String {
        format!("T {OURS}{text}")
    }

    fn book(lines: &[String], written: &[(&str, u64)]) -> Account {
        let mut book = Book::default();
        for line in lines {
            book.take("a", line, "current".as_ref());
        }
        let written = written.iter();
        let written = written.map(|(run, count)| (("main".to_owned(), (*run).to_owned()), *count));
        book.close(&written.collect());
        book.account
    }

    #[test]
    fn all_lines_once_are_all_right() {
        let lines = [numbered("1", 0), numbered("1", 1), numbered("2", 0)];
        let account = book(&lines, &[("1", 2), ("2", 1)]);
        assert_eq!(
            account,
            Account {
                written: 3,
                ..Account::default()
            }
        );
    }

    #[test]
    fn a_hole_is_lost_in_the_middle_at_the_end_and_of_a_whole_life() {
        let middle = book(&[numbered("1", 0), numbered("1", 2)], &[("1", 3)]);
        assert_eq!((middle.lost, middle.missing), (1, 0));
        let end = book(&[numbered("1", 0), numbered("2", 0)], &[("1", 4), ("2", 1)]);
        assert_eq!(end.lost, 3);
        let whole = book(&[numbered("1", 0)], &[("1", 1), ("2", 5)]);
        assert_eq!(whole.lost, 5);
    }

    #[test]
    fn a_mark_accounts_for_what_is_missing_where_it_stands() {
        let gap = mark("the keeper has died; lines may be missing here");
        let marked = [numbered("1", 0), gap.clone(), numbered("2", 1)];
        let account = book(&marked, &[("1", 9), ("2", 2)]);
        assert_eq!((account.lost, account.missing, account.marks), (0, 9, 1));
        let elsewhere = [gap, numbered("1", 0), numbered("1", 2)];
        assert_eq!(book(&elsewhere, &[("1", 3)]).lost, 1);
    }

    #[test]
    fn a_count_accounts_for_so_many() {
        let told = mark("2 lines (30 bytes) could not be written and are lost: No space left");
        let lines = [numbered("1", 0), told.clone(), numbered("1", 3)];
        assert_eq!(book(&lines, &[("1", 4)]).missing, 2);
        let lines = [numbered("1", 0), told, numbered("1", 4)];
        assert_eq!(book(&lines, &[("1", 5)]).lost, 3);
    }

    #[test]
    fn doubled_and_split_lines_are_seen() {
        let account = book(&[numbered("1", 0), numbered("1", 0)], &[("1", 1)]);
        assert_eq!((account.doubled, account.lost), (1, 0));
        let whole = numbered("1", 1);
        let cut = whole[..whole.len() - 3].to_owned();
        assert_eq!(book(std::slice::from_ref(&cut), &[]).split, 1);
        assert_eq!(book(&[cut, whole], &[]).split, 1);
    }

    #[test]
    fn a_line_in_the_middle_of_which_a_keeper_died_is_missing_where_a_mark_follows() {
        let whole = numbered("1", 1);
        let cut = whole[..whole.len() - 3].to_owned();
        let gap = mark("the keeper has died; lines may be missing here");
        let account = book(&[numbered("1", 0), cut, gap, numbered("1", 2)], &[("1", 3)]);
        assert_eq!((account.split, account.lost, account.missing), (0, 0, 1));
    }
}
