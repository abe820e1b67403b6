//! The keys that are heard on a notify socket. Other keys are dropped, so that the values kept of a
//! run, and sent to each new control process, are bounded.

/// A longer datagram is cut, as systemd does.
pub(super) const DATAGRAM_BYTES_MAX: usize = 4096;
use crate::{left::LEFT_MAX, message::FRAME_BYTES_MAX};

/// Digits of the largest number of microseconds.
const NUMBER_BYTES_MAX: usize = 20;
/// Longest progress of a job: one line of JSON.
const PROGRESS_BYTES_MAX: usize = 512;
/// As long as a datagram allows.
const STATUS_BYTES_MAX: usize = DATAGRAM_BYTES_MAX - "STATUS=".len();

/// Keys, each with the bytes of the longest value that is taken.
const HEARD: [(&str, usize); 8] = [
    ("READY", 1),
    ("RELOADING", 1),
    ("STATUS", STATUS_BYTES_MAX),
    ("MAINPID", NUMBER_BYTES_MAX),
    ("EXTEND_TIMEOUT_USEC", NUMBER_BYTES_MAX),
    ("WATCHDOG", "trigger".len()),
    ("WATCHDOG_USEC", NUMBER_BYTES_MAX),
    ("X_MATTERVISOR_PROGRESS", PROGRESS_BYTES_MAX),
];

/// A control character takes so many bytes in a frame.
const ESCAPED_BYTES: usize = 6;
/// A process that would not go takes no more in a frame.
const LEFT_BYTES_MAX: usize = 200;
/// Bytes of a frame with a run that do not come from the run.
const OVERHEAD_BYTES_MAX: usize = (64 << 10) + LEFT_MAX * LEFT_BYTES_MAX;

const _: () = assert!(kept_bytes_max() * ESCAPED_BYTES + OVERHEAD_BYTES_MAX <= FRAME_BYTES_MAX);

/// Most bytes of notify values that are kept of one run.
const fn kept_bytes_max() -> usize {
    let (mut bytes, mut at) = (0, 0);
    while at < HEARD.len() {
        bytes += HEARD[at].0.len() + HEARD[at].1;
        at += 1;
    }
    bytes
}

/// Lines of `KEY=value` that mean something; others are skipped.
pub(super) fn lines(datagram: &[u8]) -> impl Iterator<Item = (&str, &str)> {
    let lines = datagram.split(|byte| *byte == b'\n');
    let lines = lines.filter_map(|line| std::str::from_utf8(line).ok()?.split_once('='));
    lines.filter(|(key, value)| {
        let heard = HEARD.iter().find(|(heard, _)| heard == key);
        heard.is_some_and(|(_, bytes_max)| value.len() <= *bytes_max)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_apart_and_rubbish_is_skipped() {
        let datagram = b"READY=1\nSTATUS=a=b\nrubbish\n=x\n\xff=1\nX=1\nREADY=12\nSTATUS=\n";
        let got: Vec<_> = lines(datagram).collect();
        assert_eq!(got, [("READY", "1"), ("STATUS", "a=b"), ("STATUS", "")]);
    }

    #[test]
    fn the_longest_number_is_taken() {
        let number = u64::MAX.to_string();
        let datagram = format!("EXTEND_TIMEOUT_USEC={number}\nWATCHDOG_USEC={number}0");
        let got: Vec<_> = lines(datagram.as_bytes()).collect();
        assert_eq!(got, [("EXTEND_TIMEOUT_USEC", number.as_str())]);
    }
}
