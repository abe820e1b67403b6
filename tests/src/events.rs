//! Follows the event stream, as `ctl events --follow` prints it.

use std::{
    cell::RefCell,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    time::{Duration, Instant},
};

use api::ServiceEvent;

use crate::processes;

/// A stream of events. The stream ends when the control process does.
pub struct Events {
    child: Child,
    lines: Receiver<String>,
}

/// Lines of a command that keeps running.
pub struct Lines {
    events: Events,
    seen: RefCell<Vec<String>>,
}

impl Lines {
    /// Count of the lines so far.
    pub fn len(&self) -> usize {
        let mut seen = self.seen.borrow_mut();
        seen.extend(self.events.lines.try_iter());
        seen.len()
    }

    /// Whether there is no line yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All lines so far.
    pub fn all(&self) -> Vec<String> {
        self.len();
        self.seen.borrow().clone()
    }
}

/// Result of waiting for the next event.
pub enum Next {
    /// The next event.
    Event(Box<ServiceEvent>),
    /// No event in time.
    Quiet,
    /// The stream has ended.
    End,
}

impl Events {
    pub(crate) fn follow(command: &mut Command) -> Self {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = processes::spawn(command);
        let (sender, lines) = channel();
        if let Some(stdout) = child.stdout.take() {
            std::thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        break;
                    }
                }
            });
        }
        Self { child, lines }
    }

    /// Collects the lines that a command prints, whatever they are.
    pub fn lines(command: &mut Command) -> Lines {
        let events = Self::follow(command);
        Lines {
            events,
            seen: RefCell::default(),
        }
    }

    /// The next event. A line that is no event fails the test.
    pub fn next_within(&mut self, limit: Duration) -> Next {
        match self.lines.recv_timeout(limit) {
            Ok(line) => match serde_json::from_str(&line) {
                Ok(event) => Next::Event(Box::new(event)),
                Err(error) => panic!("not an event: {error}: {line}"),
            },
            Err(RecvTimeoutError::Timeout) => Next::Quiet,
            Err(RecvTimeoutError::Disconnected) => Next::End,
        }
    }

    /// All events up to the wanted event; fails the test if that event does not come in time.
    #[track_caller]
    pub fn until(
        &mut self,
        what: &str,
        limit: Duration,
        wanted: impl Fn(&ServiceEvent) -> bool,
    ) -> Vec<ServiceEvent> {
        let end = Instant::now() + limit;
        let mut seen = Vec::new();
        loop {
            match self.next_within(end.saturating_duration_since(Instant::now())) {
                Next::Event(event) => {
                    let done = wanted(&event);
                    seen.push(*event);
                    if done {
                        return seen;
                    }
                }
                Next::Quiet => panic!("{what}: no such event within {limit:?}; seen: {seen:#?}"),
                Next::End => panic!("{what}: the event stream has ended; seen: {seen:#?}"),
            }
        }
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
