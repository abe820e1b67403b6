//! The daemon's standard error, whatever stands behind the descriptor: a full disk, a pipe that
//! nobody reads, a socket whose peer has gone, a terminal that has been closed. No caller waits for
//! the write.
//!
//! Lines go through a queue (64 KiB) to a thread, which is started with the first line and may
//! block as long as the descriptor does. Lines that the queue has no room for and lines that are
//! refused are dropped and counted; the count is reported where the lines are missing, once lines
//! go out again. The process that started the daemon shares the open file description, so its flags
//! stay as they are.
//!
//! Each line is one write: lines of several processes do not mix as long as they fit into a pipe's
//! atomic write (4096 bytes). The rest of a line that was cut short is written before the next
//! line. At the end of a process the waiting lines get half a second to go out; a killed process
//! loses its waiting lines.

use std::{
    collections::VecDeque,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::SigSet,
};

use crate::{
    journal::{self, Severity},
    stderr_log,
};

/// Most bytes that wait to be written; one line alone may be longer.
const QUEUE_BYTES_MAX: usize = 64 << 10;
/// Time that waiting lines get at the end of a process.
const LAST: Duration = Duration::from_millis(500);
/// Stack of the thread, in bytes; only touched pages count.
const STACK_BYTES: usize = 128 << 10;

static OWN: LazyLock<Arc<Outlet>> = LazyLock::new(|| Arc::new(Outlet::default()));

/// Writes one line, which ends in a newline, as soon as standard error takes it.
pub fn write(line: &[u8]) {
    OWN.push(line);
}

/// Waits until all has been written, but no longer than half a second. For the end of a process.
pub fn flush() {
    OWN.flush(LAST);
}

/// Reports a panic as a log line, with its place, from here on.
pub fn say_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        let what = panic.payload();
        let text = what.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| what.downcast_ref::<&str>().copied());
        stderr_log::error!(
            "panics at {}: {}",
            place.unwrap_or_default(),
            text.unwrap_or("without a word")
        );
        flush();
    }));
}

/// A writer for a library that writes each message as a whole, with one severity.
#[derive(Clone, Copy, Debug)]
pub struct Message(pub Severity);

impl io::Write for Message {
    fn write(&mut self, message: &[u8]) -> io::Result<usize> {
        if journal::is_stderr() {
            let text = String::from_utf8_lossy(message);
            write(journal::with_priority(self.0, &text).as_bytes());
        } else {
            write(message);
        }
        Ok(message.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
struct Entry {
    line: Vec<u8>,
    /// Lines dropped before this line because the queue was full.
    lost_before: u64,
}

#[derive(Debug, Default)]
struct Queue {
    lines: VecDeque<Entry>,
    /// Bytes of the waiting lines and of the line that is being written.
    bytes: usize,
    /// Lines dropped since the last queued line.
    lost: u64,
    has_thread: bool,
    is_writing: bool,
}

/// Destination of lines. Shared by the threads that log and the thread that writes.
#[derive(Debug, Default)]
struct Outlet {
    /// None: the process's own standard error.
    to: Option<OwnedFd>,
    queue: Mutex<Queue>,
    filled: Condvar,
    emptied: Condvar,
}

impl Outlet {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(self: &Arc<Self>, line: &[u8]) {
        let mut queue = self.queue();
        let fits = queue.bytes == 0 || queue.bytes + line.len() <= QUEUE_BYTES_MAX;
        // Without a thread the line is lost; the next line tries to start the thread again.
        if !fits || !queue.has_thread && self.start().is_err() {
            queue.lost += 1;
            return;
        }
        queue.has_thread = true;
        queue.bytes += line.len();
        let lost_before = std::mem::take(&mut queue.lost);
        queue.lines.push_back(Entry {
            line: line.to_vec(),
            lost_before,
        });
        self.filled.notify_one();
    }

    fn start(self: &Arc<Self>) -> io::Result<()> {
        let outlet = Arc::clone(self);
        let thread = std::thread::Builder::new().name("stderr".to_owned());
        let thread = thread.stack_size(STACK_BYTES).spawn(move || {
            // Other threads take signals, and a terminal must not stop this process for writing in
            // the background.
            let _ = SigSet::all().thread_block();
            outlet.work();
        });
        thread.map(drop)
    }

    /// The thread: writes queued lines for ever.
    fn work(&self) {
        let own = io::stderr();
        let mut writer = Writer {
            to: self.to.as_ref().map_or(own.as_fd(), AsFd::as_fd),
            rest: Vec::new(),
            lost: 0,
        };
        let mut queue = self.queue();
        loop {
            let next = queue.lines.pop_front();
            if next.is_none() && queue.lost == 0 {
                queue.lines = VecDeque::new();
                self.emptied.notify_all();
                let waited = self.filled.wait(queue);
                queue = waited.unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let entry = next.unwrap_or_else(|| Entry {
                line: Vec::new(),
                lost_before: std::mem::take(&mut queue.lost),
            });
            queue.is_writing = true;
            drop(queue);
            writer.take(&entry);
            queue = self.queue();
            queue.is_writing = false;
            queue.bytes -= entry.line.len();
        }
    }

    fn flush(&self, limit: Duration) {
        let queue = self.queue();
        if queue.has_thread {
            let waits =
                |queue: &mut Queue| queue.is_writing || !queue.lines.is_empty() || queue.lost > 0;
            drop(self.emptied.wait_timeout_while(queue, limit, waits));
        }
    }
}

/// State of the thread between two lines.
#[derive(Debug)]
struct Writer<'a> {
    to: BorrowedFd<'a>,
    /// Unwritten rest of the last line.
    rest: Vec<u8>,
    /// Lost lines that have not been reported yet.
    lost: u64,
}

impl Writer<'_> {
    fn take(&mut self, entry: &Entry) {
        self.lost += entry.lost_before;
        if self.lost > 0 {
            let text = format!(
                "{} lines were lost here: standard error took nothing",
                self.lost
            );
            if self
                .send(&stderr_log::formatted(Severity::Warning, &text))
                .is_ok()
            {
                self.lost = 0;
            }
        }
        if entry.line.is_empty() {
            return;
        }
        if self.lost > 0 || self.send(&entry.line).is_err() {
            self.lost += 1;
        }
    }

    /// Writes a line, or at least its beginning: the rest comes before the next.
    fn send(&mut self, line: &[u8]) -> Result<(), Errno> {
        let rest = std::mem::take(&mut self.rest);
        let (written, refused) = write_all(self.to, &rest);
        rest[written..].clone_into(&mut self.rest);
        if let Some(error) = refused {
            return Err(error);
        }
        match write_all(self.to, line) {
            (0, Some(error)) => Err(error),
            (written, _) => {
                line[written..].clone_into(&mut self.rest);
                Ok(())
            }
        }
    }
}

/// Number of bytes written, and the error if some were not.
fn write_all(to: BorrowedFd<'_>, bytes: &[u8]) -> (usize, Option<Errno>) {
    let mut written = 0;
    while written < bytes.len() {
        match nix::unistd::write(to, &bytes[written..]) {
            Ok(0) => return (written, Some(Errno::EIO)),
            Ok(count) => written += count,
            Err(Errno::EINTR) => {}
            // A process that shares the description has set it to non-blocking; this thread waits
            // instead.
            Err(Errno::EAGAIN) => {
                let mut polled = [PollFd::new(to, PollFlags::POLLOUT)];
                let _ = poll(&mut polled, PollTimeout::NONE);
            }
            Err(error) => return (written, Some(error)),
        }
    }
    (written, None)
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        io::{BufRead, BufReader, Read},
        os::fd::AsRawFd,
    };

    use nix::{
        fcntl::{FcntlArg, OFlag, fcntl},
        unistd::pipe2,
    };

    use super::*;

    const LINE: &[u8] = b"a line of an ordinary length, as the daemon says them\n";

    fn outlet(to: OwnedFd) -> Arc<Outlet> {
        Arc::new(Outlet {
            to: Some(to),
            ..Outlet::default()
        })
    }

    fn pipe() -> (File, OwnedFd) {
        let (read, write) = pipe2(OFlag::O_CLOEXEC).unwrap();
        (File::from(read), write)
    }

    /// A pipe that holds as much as it can.
    fn full_pipe() -> (File, OwnedFd) {
        let (read, write) = pipe();
        fcntl(&write, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
        while nix::unistd::write(&write, &[b'.'; 4096]).is_ok() {}
        fcntl(&write, FcntlArg::F_SETFL(OFlag::empty())).unwrap();
        (read, write)
    }

    /// Lines that come out of a pipe, until one that is wanted.
    fn lines_until(read: File, wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let mut lines = Vec::new();
        for line in BufReader::new(read).lines() {
            lines.push(line.unwrap());
            if wanted(&lines[lines.len() - 1]) {
                break;
            }
        }
        lines
    }

    #[test]
    fn lines_come_out_whole_and_in_order() {
        let (mut read, write) = pipe();
        let outlet = outlet(write);
        for number in 0..3 {
            outlet.push(format!("{number}\n").as_bytes());
        }
        let mut text = [0; 6];
        read.read_exact(&mut text).unwrap();
        assert_eq!(&text, b"0\n1\n2\n");
    }

    #[test]
    fn nobody_waits_for_a_reader_and_what_was_lost_is_told_where_it_is_missing() {
        let (read, write) = full_pipe();
        let outlet = outlet(write);
        let fit = QUEUE_BYTES_MAX / LINE.len();
        for _ in 0..fit + 7 {
            outlet.push(LINE);
        }
        assert_eq!(outlet.queue().lost, 7);
        // The reader is back. Nobody says anything more, and still it is told.
        let lines = lines_until(read, |line| line.contains("were lost here"));
        let whole = std::str::from_utf8(LINE).unwrap().trim();
        let whole = lines.iter().filter(|line| line.ends_with(whole));
        assert_eq!(whole.count(), fit);
        assert!(lines[lines.len() - 1].contains(": 7 lines were lost here"));
    }

    #[test]
    fn a_line_that_is_refused_is_counted_and_told_later() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let (read, write) = pipe();
        let mut writer = Writer {
            to: full.as_fd(),
            rest: Vec::new(),
            lost: 0,
        };
        let entry = Entry {
            line: LINE.to_vec(),
            lost_before: 0,
        };
        writer.take(&entry);
        writer.take(&entry);
        assert_eq!(writer.lost, 2);
        writer.to = write.as_fd();
        writer.take(&entry);
        assert_eq!(writer.lost, 0);
        drop(write);
        let lines = lines_until(read, |_| false);
        assert!(lines[0].contains(": 2 lines were lost here"), "{lines:?}");
        assert_eq!(lines.len(), 2);
    }

    #[test]
    fn what_a_line_lacks_is_written_before_the_next() {
        let (read, write) = pipe();
        let mut writer = Writer {
            to: write.as_fd(),
            rest: b" and the rest\n".to_vec(),
            lost: 0,
        };
        nix::unistd::write(&write, b"a beginning").unwrap();
        let entry = Entry {
            line: LINE.to_vec(),
            lost_before: 0,
        };
        writer.take(&entry);
        drop(write);
        let lines = lines_until(read, |_| false);
        assert_eq!(lines[0], "a beginning and the rest");
        assert_eq!(lines.len(), 2);
    }

    #[test]
    fn a_description_that_does_not_wait_loses_nothing() {
        let (read, write) = full_pipe();
        fcntl(&write, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
        let number = write.as_raw_fd();
        let outlet = outlet(write);
        outlet.push(LINE);
        let whole = std::str::from_utf8(LINE).unwrap().trim();
        let lines = lines_until(read, |line| line.ends_with(whole));
        assert_eq!(lines.len(), 1, "descriptor {number}");
    }

    #[test]
    fn the_end_of_a_process_waits_no_longer_than_it_may() {
        let (_read, write) = full_pipe();
        let outlet = outlet(write);
        outlet.push(LINE);
        let begun = std::time::Instant::now();
        outlet.flush(Duration::from_millis(20));
        assert!(begun.elapsed() >= Duration::from_millis(20));
        assert!(outlet.queue().is_writing);
    }
}
