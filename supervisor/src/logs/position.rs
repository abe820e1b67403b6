//! The position of a line, as an opaque word: clients send the last one back to continue behind it.
//!
//! A position names a file by its inode, for names change, and holds a sum of the line itself, for
//! inodes are reused; a file that was compressed meanwhile is found by the line's stamp and has the
//! line at the same offset.

use std::collections::BTreeMap;

use super::filter::Moment;

/// Bytes of a line that are summed.
const SUM_BYTES: usize = 128;

/// The place of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) inode: u64,
    /// Offset of the line's first byte.
    pub(super) offset: u64,
    pub(super) sum: u32,
    /// Its stamp, or the one before it; microseconds since 1970, 0 for none.
    pub(super) us: i64,
}

impl Position {
    /// The place of the line with this stamp.
    pub(super) fn new(inode: u64, offset: u64, line: &[u8], stamp: &[u8]) -> Position {
        let at = std::str::from_utf8(stamp).ok().and_then(Moment::parse);
        Position {
            inode,
            offset,
            sum: sum(line),
            us: at.map_or(0, |at| at.us),
        }
    }

    /// The position as one word, for a client to send back.
    pub(super) fn text(self, service: &str, file: Option<&str>) -> String {
        let Position {
            inode,
            offset,
            sum,
            us,
        } = self;
        let mut text = format!("{service}~{inode:x}.{offset:x}.{sum:x}.{us:x}");
        if let Some(file) = file {
            text.push('~');
            for c in file.chars() {
                match c {
                    '%' => text.push_str("%25"),
                    ',' => text.push_str("%2C"),
                    '~' => text.push_str("%7E"),
                    c => text.push(c),
                }
            }
        }
        text
    }
}

/// FNV-1a of the line's first bytes.
pub(super) fn sum(line: &[u8]) -> u32 {
    line.iter().take(SUM_BYTES).fold(0x811c_9dc5, |sum, byte| {
        (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

/// The lines behind which to go on, by service and file.
#[derive(Clone, Debug, Default)]
pub(crate) struct After(BTreeMap<(String, Option<String>), Position>);

impl After {
    /// Reads cursors, separated by commas. The error is the first word that is none.
    pub(crate) fn parse(list: &str) -> Result<After, String> {
        let words = list.split(',').filter(|word| !word.is_empty());
        let all = words.map(|word| cursor(word).ok_or_else(|| word.to_owned()));
        all.collect::<Result<_, _>>().map(After)
    }

    /// The place of the last line of a log, or of a file of that service.
    pub(super) fn of(&self, service: &str, file: Option<&str>) -> Option<Position> {
        self.0
            .get(&(service.to_owned(), file.map(str::to_owned)))
            .copied()
    }

    /// The places in files of that service.
    pub(super) fn in_files<'a>(
        &'a self,
        service: &'a str,
    ) -> impl Iterator<Item = (&'a str, Position)> {
        self.0.iter().filter_map(move |((of, file), place)| {
            Some((file.as_deref().filter(|_| of == service)?, *place))
        })
    }
}

fn cursor(word: &str) -> Option<((String, Option<String>), Position)> {
    let mut parts = word.split('~');
    let (service, place, file) = (parts.next()?, parts.next()?, parts.next());
    if service.is_empty() || parts.next().is_some() {
        return None;
    }
    let mut numbers = place.split('.');
    let mut next = || {
        numbers
            .next()
            .and_then(|it| u64::from_str_radix(it, 16).ok())
    };
    let position = Position {
        inode: next()?,
        offset: next()?,
        sum: u32::try_from(next()?).ok()?,
        us: i64::try_from(next()?).ok()?,
    };
    if numbers.next().is_some() {
        return None;
    }
    let plain = |file: &str| {
        file.replace("%7E", "~")
            .replace("%2C", ",")
            .replace("%25", "%")
    };
    Some(((service.to_owned(), file.map(plain)), position))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_come_back_as_they_went() {
        let stamp = b"2026-11-22T10:00:00.000001Z";
        let place = Position::new(42, 1 << 40, b"a line", stamp);
        assert_eq!(place.us, 1_795_341_600_000_001);
        for file in [None, Some("/var/log/a,b~c%2C d.log")] {
            let word = place.text("web@1", file);
            assert!(!word.contains(','), "{word}");
            let after = After::parse(&format!("{word},x~1.2.3.4")).unwrap();
            assert_eq!(after.of("web@1", file), Some(place));
            assert_eq!(after.of("web", file), None);
        }
    }

    #[test]
    fn what_is_no_cursor_is_named() {
        assert_eq!(After::parse("").unwrap().in_files("a").count(), 0);
        for word in [
            "a",
            "~1.2.3.4",
            "a~1.2.3",
            "a~1.2.3.4.5",
            "a~1.2.3.x",
            "a~1.2.3.4~f~g",
            "a~1.2.fffffffff.4",
        ] {
            assert_eq!(After::parse(word).unwrap_err(), word);
        }
    }
}
