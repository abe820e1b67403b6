//! Finds a moment in a plain log file whose lines are in order, by halves.

use memchr::memchr_iter;

use super::{filter::Moment, segment::Segment, stamp::Style};

/// What is left of a file when a search by halves turns to reading.
const WINDOW_BYTES: u64 = 32 << 10;
/// A stamp is looked for in so many bytes.
const LOOK_BYTES: u64 = 1 << 20;
/// A file is read in pieces of this size.
const PIECE_BYTES: usize = 16 << 10;

/// Where the first line begins that is not before this moment, in a file whose lines are in order.
/// Where no stamp says so: at the beginning if `early`, else at the end; a file without any stamp
/// counts as written when it was last changed.
pub(super) fn bound(
    segment: &mut Segment,
    moment: &Moment,
    style: Style,
    length: u64,
    early: bool,
) -> u64 {
    let wanted = moment.text.as_bytes();
    let (mut low, mut high) = (0, length);
    while high - low > WINDOW_BYTES {
        let middle = low + (high - low) / 2;
        let first = stamped(
            segment,
            middle,
            middle > 0,
            high.min(middle + LOOK_BYTES),
            style,
            |_| true,
        );
        match first {
            Some((at, stamp)) if stamp.as_slice() < wanted => low = at,
            _ => high = middle,
        }
    }
    let to = high + LOOK_BYTES;
    let mut any = low > 0;
    let found = stamped(segment, low, false, to, style, |stamp| {
        any = true;
        stamp >= wanted
    });
    match found {
        Some((at, _)) => at,
        None if any && to >= length => length,
        None if !early => length,
        None if !any => {
            let changed = segment.metadata().and_then(|meta| meta.modified()).ok();
            let changed = changed.and_then(|it| jiff::Timestamp::try_from(it).ok());
            let before = changed.is_some_and(|it| it.as_microsecond() < moment.us);
            if before { length } else { 0 }
        }
        None => low,
    }
}

/// The first line with a stamp that is wanted: its offset and the stamp. `partial`: it begins in
/// the middle of a line.
fn stamped(
    segment: &mut Segment,
    from: u64,
    mut partial: bool,
    to: u64,
    style: Style,
    mut wanted: impl FnMut(&[u8]) -> bool,
) -> Option<(u64, Vec<u8>)> {
    let mut offset = from;
    let mut buffer: Vec<u8> = Vec::new();
    let mut stamp = Vec::new();
    while offset < to {
        let had = buffer.len();
        buffer.resize(had + PIECE_BYTES, 0);
        let bytes = segment.read_at(&mut buffer[had..], offset);
        buffer.truncate(had + bytes);
        if bytes == 0 {
            return None;
        }
        let base = offset - had as u64;
        offset += bytes as u64;
        let mut begin = 0;
        for end in memchr_iter(b'\n', &buffer) {
            if !std::mem::take(&mut partial) {
                stamp.clear();
                style.stamp_into(&buffer[begin..end], &mut stamp);
                if !stamp.is_empty() && wanted(&stamp) {
                    return Some((base + begin as u64, stamp));
                }
            }
            begin = end + 1;
        }
        buffer.drain(..begin);
    }
    None
}
