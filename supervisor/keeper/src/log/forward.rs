//! Lines that also go to syslog, the journal or the daemon's standard output.
//!
//! The log thread hands whole batches to a queue and never waits: each destination has a thread of
//! its own, started with the first service that wants the destination, which takes batches from the
//! queue and may block as long as it likes. Lines that the queue has no room for
//! ([`QUEUE_BYTES_MAX`]) and lines that the destination refuses are counted. The count is reported
//! in the service's own file, and in the stream once the stream takes lines again: at most once a
//! [`TELL_US`] while the destination works, once a [`TELL_DOWN_US`] while it does not.

use std::{
    collections::VecDeque,
    io,
    os::fd::OwnedFd,
    path::PathBuf,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use memchr::memchr_iter;
use nix::errno::Errno;

use super::{saved::SavedBatch, sink::Outlet};
use crate::{bytes::Bytes, message::Forward};

/// Most bytes that wait for one destination.
pub(super) const QUEUE_BYTES_MAX: usize = 4 << 20;
/// Time that destinations get at the end to take the lines that wait.
const LAST: Duration = Duration::from_secs(1);
/// Shortest time between two reports while the destination takes lines, in microseconds.
const TELL_US: i64 = 1_000_000;
/// Shortest time between two reports while the destination takes no lines, in microseconds.
const TELL_DOWN_US: i64 = 60_000_000;
/// Stack of a thread, in bytes: reading the time zone takes a good part of it, once.
const STACK_BYTES: usize = 2 << 20;
/// Usual sockets, and the variables that name others.
const SOCKETS: [(&str, &str); 2] = [
    ("MATTERVISOR_SYSLOG_SOCKET", "/dev/log"),
    ("MATTERVISOR_JOURNAL_SOCKET", "/run/systemd/journal/socket"),
];

/// Where the destinations are.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) syslog: PathBuf,
    pub(super) journal: PathBuf,
    /// None: the standard output of this process.
    pub(super) stdout: Option<OwnedFd>,
}

impl Places {
    /// The usual places, unless variables name others.
    pub(super) fn usual() -> Places {
        let [syslog, journal] = SOCKETS.map(|(name, usual)| {
            let set = std::env::var_os(name).filter(|path| !path.is_empty());
            PathBuf::from(set.unwrap_or_else(|| usual.into()))
        });
        Places {
            syslog,
            journal,
            stdout: None,
        }
    }
}

/// A destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Medium {
    Syslog,
    Journal,
    Stdout,
}

impl Medium {
    fn of(forward: Forward) -> Medium {
        match forward {
            Forward::Syslog => Self::Syslog,
            Forward::Journal => Self::Journal,
            Forward::StdoutText | Forward::StdoutJson => Self::Stdout,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Syslog => "syslog",
            Self::Journal => "the journal",
            Self::Stdout => "standard output",
        }
    }
}

/// The service that wrote the lines of a batch, and the count of its lost lines.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) service: String,
    pub(super) forward: Forward,
    /// Lines that the destination refused since the log thread last looked.
    lost: AtomicU64,
}

/// Stamped whole lines of one service.
#[derive(Debug)]
struct Batch {
    source: Arc<Source>,
    lines: Vec<u8>,
}

#[derive(Debug, Default)]
struct Queue {
    batches: VecDeque<Batch>,
    /// Bytes of the waiting batches and of the batch that is being sent.
    bytes: usize,
    /// What is being sent: the service's lines, and their number.
    sending: Option<(Arc<Source>, u64)>,
    /// Nothing is taken from the queue.
    paused: bool,
    closing: bool,
}

/// State that the log thread shares with the thread of a destination.
#[derive(Debug)]
struct Sink {
    medium: Medium,
    queue: Mutex<Queue>,
    /// Signalled when a batch joins the queue, or the queue is closing.
    filled: Condvar,
    emptied: Condvar,
    /// Whether the last batch was refused.
    down: AtomicBool,
    /// Error of the last refused batch; 0: the destination was too slow.
    errno: AtomicI32,
}

impl Sink {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues the lines. False: the queue has no room.
    fn push(&self, source: &Arc<Source>, lines: &[u8]) -> bool {
        let mut queue = self.queue();
        if queue.bytes + lines.len() > QUEUE_BYTES_MAX {
            return false;
        }
        queue.bytes += lines.len();
        queue.batches.push_back(Batch {
            source: Arc::clone(source),
            lines: lines.to_vec(),
        });
        self.filled.notify_one();
        true
    }

    /// The thread of a destination: sends until the queue is closed and empty.
    fn work(&self, mut outlet: Outlet) {
        let mut queue = self.queue();
        loop {
            let next = if queue.paused {
                None
            } else {
                queue.batches.pop_front()
            };
            let Some(batch) = next else {
                if queue.batches.is_empty() {
                    queue.batches = VecDeque::new();
                    self.emptied.notify_all();
                    if queue.closing {
                        return;
                    }
                }
                let waited = self.filled.wait(queue);
                queue = waited.unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let lines = memchr_iter(b'\n', &batch.lines).count() as u64;
            queue.sending = Some((Arc::clone(&batch.source), lines));
            drop(queue);
            let (lost, error) = outlet.send(&batch.source, &batch.lines);
            let errno = error.and_then(|error| error.raw_os_error());
            self.errno.store(errno.unwrap_or(0), Ordering::Relaxed);
            batch.source.lost.fetch_add(lost, Ordering::Relaxed);
            self.down.store(lost > 0, Ordering::Relaxed);
            queue = self.queue();
            queue.sending = None;
            queue.bytes -= batch.lines.len();
        }
    }

    fn why(&self) -> String {
        match self.errno.load(Ordering::Relaxed) {
            0 => "it takes them too slowly".to_owned(),
            errno => Errno::from_raw(errno).desc().to_lowercase(),
        }
    }
}

/// All destinations in use.
#[derive(Debug)]
pub(super) struct Forwarding {
    places: Places,
    sinks: Vec<Arc<Sink>>,
}

impl Forwarding {
    pub(super) fn new(places: Places) -> Forwarding {
        Forwarding {
            places,
            sinks: Vec::new(),
        }
    }

    /// The route of a service's lines. Starts the destination's thread if there is none yet; this
    /// fails when memory, descriptors or processes are short.
    pub(super) fn route(&mut self, service: &str, forward: Forward) -> io::Result<Box<Route>> {
        let medium = Medium::of(forward);
        let known = self.sinks.iter().find(|sink| sink.medium == medium);
        let sink = if let Some(sink) = known {
            Arc::clone(sink)
        } else {
            let sink = start(medium, Outlet::new(medium, &self.places)?)?;
            self.sinks.push(Arc::clone(&sink));
            sink
        };
        let source = Arc::new(Source {
            service: service.to_owned(),
            forward,
            lost: AtomicU64::new(0),
        });
        Ok(Box::new(Route {
            sink,
            source,
            untold: [0; 2],
            told_us: 0,
        }))
    }

    /// Waits up to [`LAST`] for queued lines, and then takes none from the queues until
    /// [`Self::go_on`]. Returns those that wait, and how many of which service are being sent: no
    /// one can tell whether these arrive.
    pub(super) fn pause(&self) -> (Vec<SavedBatch>, Vec<(String, u64)>) {
        self.settle();
        let (mut batches, mut sending) = (Vec::new(), Vec::new());
        for sink in &self.sinks {
            let mut queue = sink.queue();
            queue.paused = true;
            let of = |source: &Source| (source.service.clone(), source.forward);
            batches.extend(queue.batches.iter().map(|batch| {
                let (service, forward) = of(&batch.source);
                let lines = Bytes(batch.lines.clone());
                SavedBatch {
                    service,
                    forward,
                    lines,
                }
            }));
            let sent = queue.sending.as_ref();
            sending.extend(sent.map(|(source, lines)| (source.service.clone(), *lines)));
        }
        (batches, sending)
    }

    /// Ends the pause.
    pub(super) fn go_on(&self) {
        for sink in &self.sinks {
            sink.queue().paused = false;
            sink.filled.notify_one();
        }
    }

    /// Waits up to [`LAST`] for queued lines; a destination that takes nothing is left behind.
    pub(super) fn close(&self) {
        for sink in &self.sinks {
            sink.queue().closing = true;
            sink.filled.notify_one();
        }
        self.settle();
    }

    fn settle(&self) {
        let until = Instant::now() + LAST;
        for sink in &self.sinks {
            let left = until.saturating_duration_since(Instant::now());
            let waited = sink
                .emptied
                .wait_timeout_while(sink.queue(), left, |queue| queue.bytes > 0);
            drop(waited);
        }
    }
}

fn start(medium: Medium, outlet: Outlet) -> io::Result<Arc<Sink>> {
    let sink = Arc::new(Sink {
        medium,
        queue: Mutex::default(),
        filled: Condvar::new(),
        emptied: Condvar::new(),
        down: AtomicBool::new(false),
        errno: AtomicI32::new(0),
    });
    let works = Arc::clone(&sink);
    std::thread::Builder::new()
        .name("forward".to_owned())
        .stack_size(STACK_BYTES)
        .spawn(move || {
            // The keeper's main thread takes all signals.
            let _ = nix::sys::signal::SigSet::all().thread_block();
            works.work(outlet);
        })?;
    Ok(sink)
}

/// The route of one service's lines to their destination.
#[derive(Debug)]
pub(super) struct Route {
    sink: Arc<Sink>,
    source: Arc<Source>,
    /// Lost lines that no report mentions yet: in the file, in the stream.
    untold: [u64; 2],
    told_us: i64,
}

/// Reports of lost lines that are due, for the file and for the stream.
#[derive(Debug, Default)]
pub(super) struct Telling {
    pub(super) file: Option<String>,
    pub(super) stream: Option<String>,
}

impl Route {
    pub(super) fn forward(&self) -> Forward {
        self.source.forward
    }

    /// Lines that were not forwarded and that no report mentions yet.
    pub(super) fn untold(&self) -> [u64; 2] {
        let lost = self.source.lost.load(Ordering::Relaxed);
        self.untold.map(|count| count + lost)
    }

    /// Counts lines that another log thread could not forward.
    pub(super) fn has_lost(&mut self, lines: [u64; 2]) {
        for (count, more) in self.untold.iter_mut().zip(lines) {
            *count += more;
        }
    }

    /// Queues stamped whole lines, or counts them as lost. True: a report may be due.
    pub(super) fn send(&mut self, lines: &[u8]) -> bool {
        let mut lost = self.source.lost.swap(0, Ordering::Relaxed);
        let taken = self.sink.push(&self.source, lines);
        if !taken {
            lost += memchr_iter(b'\n', lines).count() as u64;
        }
        self.untold = self.untold.map(|count| count + lost);
        self.untold != [0; 2]
    }

    /// The reports that are due now.
    pub(super) fn telling(&mut self, now_us: i64) -> Telling {
        let down = self.sink.down.load(Ordering::Relaxed) || self.is_full();
        let pause = if down { TELL_DOWN_US } else { TELL_US };
        if self.untold == [0; 2] || (now_us - self.told_us).abs() < pause {
            return Telling::default();
        }
        self.told_us = now_us;
        self.tell(!down)
    }

    /// The last reports, at the end of the service or of this route.
    pub(super) fn last_telling(&mut self) -> Telling {
        let lost = self.source.lost.swap(0, Ordering::Relaxed);
        self.untold = self.untold.map(|count| count + lost);
        self.tell(!self.is_full())
    }

    fn tell(&mut self, stream: bool) -> Telling {
        let say = |count: &mut u64| {
            let lines = std::mem::take(count);
            let (to, why) = (self.sink.medium.name(), self.sink.why());
            (lines > 0).then(|| format!("{lines} lines were not forwarded to {to}: {why}"))
        };
        let [in_file, in_stream] = &mut self.untold;
        Telling {
            file: say(in_file),
            stream: if stream { say(in_stream) } else { None },
        }
    }

    fn is_full(&self) -> bool {
        self.sink.queue().bytes > QUEUE_BYTES_MAX / 2
    }

    /// Sends one line of the supervisor itself; its loss is not reported.
    pub(super) fn send_own(&self, line: &[u8]) {
        self.sink.push(&self.source, line);
    }
}
