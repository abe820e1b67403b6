//! Reads pipes: decides which pipes are read in each turn and which the epoll reports, and hands
//! the bytes on.

use nix::{
    errno::Errno,
    sys::epoll::{EpollEvent, EpollFlags},
};

use super::{LARGE_BYTES, PAUSE, PAUSE_LARGE, READ_BYTES, STREAK, STREAMS_MAX, Turn, Worker};

impl Worker {
    /// Reads a pipe in its turn. Returns the number of bytes read.
    pub(super) fn visit(&mut self, token: u64, seen: &mut Turn) -> usize {
        let bytes = self.read_once(token);
        let Some(log) = self.logs.get_mut(&token) else {
            return 0;
        };
        let pause = if log.pipe_bytes >= LARGE_BYTES {
            PAUSE_LARGE
        } else {
            PAUSE
        };
        seen.pause = seen.pause.min(pause);
        seen.most = seen.most.max(bytes);
        seen.full |= bytes >= READ_BYTES.min(log.pipe_bytes) / 2;
        if bytes == 0 {
            return 0;
        }
        let (last, count) = log.streak;
        let count = if last + 1 == self.turn { count + 1 } else { 1 };
        log.streak = (self.turn, count);
        if count >= STREAK
            && !log.streams
            && self.streams.len() < STREAMS_MAX
            && let Some(pipe) = &log.pipe
            && self.epoll.delete(pipe).is_ok()
        {
            log.streams = true;
            self.streams.push(token);
        }
        bytes
    }

    /// Puts a pipe that was read every turn and is now empty back into the epoll.
    pub(super) fn watch_again(&mut self, token: u64) {
        if let Some(log) = self.logs.get_mut(&token) {
            log.streams = false;
            log.streak = (0, 0);
            if let Some(pipe) = &log.pipe {
                // Fails only when memory is short, or at a limit of the system that allows
                // millions.
                let event = EpollEvent::new(EpollFlags::EPOLLIN, token);
                let _ = self.epoll.add(pipe, event);
            }
        }
    }

    /// Reads a pipe once and writes the lines. Returns the number of bytes read.
    fn read_once(&mut self, token: u64) -> usize {
        let Some(log) = self.logs.get_mut(&token) else {
            return 0;
        };
        let Some(pipe) = &log.pipe else {
            return 0;
        };
        let outcome = log.pipe_reader.read(pipe, &mut self.buffer, &mut self.ends);
        let mut data = &self.buffer[..outcome.unwrap_or(0)];
        let mut done = 0;
        for (end, mark) in self.ends.drain(..) {
            let (last, next) = data.split_at(end - done);
            (data, done) = (next, end);
            if !last.is_empty() {
                self.out.feed(&mut log.target, last, &self.clock);
            }
            self.out.finish(&mut log.target, &self.clock);
            if let Some(mark) = mark {
                self.out.mark(&mut log.target, &mark, &self.clock);
            }
        }
        match outcome {
            Ok(0) => self.hang_up(token),
            Ok(bytes) => {
                if !data.is_empty() {
                    self.out.feed(&mut log.target, data, &self.clock);
                }
                log.report(token, &self.shared, &mut self.untold, &self.clock);
                return bytes;
            }
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(_) => self.hang_up(token),
        }
        0
    }

    /// Closes a pipe whose writers are all gone.
    pub(super) fn hang_up(&mut self, token: u64) {
        if let Some(log) = self.logs.get_mut(&token)
            && let Some(pipe) = log.pipe.take()
        {
            // The control process may hold duplicates, so a close alone would leave the pipe in the
            // epoll.
            let _ = self.epoll.delete(&pipe);
            self.out.finish(&mut log.target, &self.clock);
        }
    }

    /// Writes what is in the pipe now. Bounded: a writer that keeps writing does not keep the
    /// thread here.
    pub(super) fn drain(&mut self, token: u64) {
        self.clock.refresh();
        let mut left = self.logs.get(&token).map_or(0, |log| log.pipe_bytes);
        while left > 0 {
            match self.read_once(token) {
                0 => break,
                bytes => left = left.saturating_sub(bytes),
            }
        }
    }
}
