//! Watchdog of one spawn: frees the keeper's main thread from a child that does not reach its exec.
//!
//! The kernel holds the main thread while it spawns a child (`CLONE_VFORK`). Two things can make
//! that long: a file server that does not answer to the exec, and a process of the service's own
//! account that stops the child between its change of user and its exec. A child that waits for a
//! disk is left alone for a long time; a stopped one is continued, and killed if that does not
//! help.
//!
//! Owner: `sys::spawn::ChildStack`, which starts one thread for it. The thread sleeps on a timer
//! that runs only during a spawn: a spawn sets that timer twice and wakes nobody unless it is a
//! slow one.
//!
//! Limits: [`STOPPED_MAX`] for a stopped child, [`SPAWN_MAX`] for any.

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    libc,
    sys::{
        signal::SigSet,
        time::{TimeSpec, TimeValLike},
        timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
    },
};

use crate::sys::pidfd;

/// Time between two looks at a slow spawn; an ordinary spawn takes a fraction of it.
const LOOK_MS: i64 = 5;
/// A child that is still stopped so long after it was first seen stopped is killed.
const STOPPED_MAX: Duration = Duration::from_millis(200);
/// Longest time from clone to exec; a slower child hangs, and must not hold the keeper for ever.
const SPAWN_MAX: Duration = Duration::from_secs(10);
/// Stack of the thread, in bytes; the thread needs a fraction of it.
const STACK_BYTES: usize = 64 << 10;

/// Watches one spawn at a time.
#[derive(Debug)]
pub(crate) struct SpawnWatchdog {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    timer: TimerFd,
    /// Pid of the child, which the kernel writes here; 0: none yet.
    pid: AtomicI32,
    spawning: Mutex<Option<Spawning>>,
}

/// A spawn in progress. Its child cannot have been reaped, for the spawn holds the thread that
/// reaps.
#[derive(Debug)]
struct Spawning {
    since: Instant,
    /// When its child was first seen stopped.
    stopped: Option<Instant>,
    killed: bool,
}

impl SpawnWatchdog {
    /// Starts the thread. Fails when descriptors or memory are short.
    pub(crate) fn start() -> io::Result<Self> {
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC)?;
        let shared = Arc::new(Shared {
            timer,
            pid: AtomicI32::new(0),
            spawning: Mutex::new(None),
        });
        let theirs = Arc::clone(&shared);
        thread::Builder::new()
            .name("spawn".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || theirs.run())?;
        Ok(Self { shared })
    }

    /// Where the kernel writes the child's pid (`CLONE_CHILD_SETTID`).
    pub(crate) fn pid(&self) -> &AtomicI32 {
        &self.shared.pid
    }

    /// Begins to watch a spawn. Without a timer the spawn goes unwatched.
    pub(crate) fn begin(&self) {
        self.shared.pid.store(0, Ordering::Release);
        *self.shared.spawning() = Some(Spawning {
            since: Instant::now(),
            stopped: None,
            killed: false,
        });
        let look = Expiration::Interval(TimeSpec::milliseconds(LOOK_MS));
        let _ = self.shared.timer.set(look, TimerSetTimeFlags::empty());
    }

    /// The spawn is over. `ETIMEDOUT`: its child was killed for its slowness.
    pub(crate) fn end(&self) -> Result<(), Errno> {
        let _ = self.shared.timer.unset();
        let spawning = self.shared.spawning().take();
        match spawning {
            Some(spawning) if spawning.killed => Err(Errno::ETIMEDOUT),
            _ => Ok(()),
        }
    }
}

impl Shared {
    fn spawning(&self) -> MutexGuard<'_, Option<Spawning>> {
        self.spawning.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        // The keeper's main thread takes all signals.
        let _ = SigSet::all().thread_block();
        // Fails only on a mistake in the arguments.
        while self.timer.wait().is_ok() {
            if let Some(spawning) = self.spawning().as_mut() {
                spawning.look(self.pid.load(Ordering::Acquire));
            }
        }
    }
}

impl Spawning {
    fn look(&mut self, pid: i32) {
        if pid == 0 {
            return;
        }
        let stopped = proc::stat(pid).is_some_and(|stat| stat.state == b'T');
        if stopped {
            let since = *self.stopped.get_or_insert_with(Instant::now);
            self.killed |= since.elapsed() >= STOPPED_MAX;
        }
        self.killed |= self.since.elapsed() >= SPAWN_MAX;
        if self.killed {
            let _ = pidfd::kill(pid, libc::SIGKILL);
        } else if stopped {
            let _ = pidfd::kill(pid, libc::SIGCONT);
        }
    }
}
