//! Everything before the loop: limits, signals, lock, groups, leftovers, socket.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fs::{self, File},
    io,
    os::fd::{AsRawFd, OwnedFd},
    path::PathBuf,
};

use nix::{
    errno::Errno,
    libc::rlimit,
    sys::{
        prctl,
        resource::{Resource, getrlimit, setrlimit},
    },
};

use super::Keeper;
use crate::{
    Config,
    catch_up::CatchUp,
    cgroup::Cgroups,
    clock::now_ms,
    compressor::Compressor,
    control::Control,
    fact_queue::FactQueue,
    init::Init,
    kit::{Kit, Life},
    leftovers::Leftovers,
    listener::Listener,
    lock::{LockError, Locks},
    log::{self, LogThread},
    original::Original,
    places::Places,
    poller::{Poller, Source},
    record::Records,
    reexec::Reexec,
    removals::Removals,
    runs::{Directories, Runs},
    shutdown::Shutdown,
    signals::Signals,
    stderr_log::warning,
    strays::Strays,
    sys::{fd_setup::FDS_RESERVED, file::duplicate_above, inherited, spawn::ChildStack},
    timers::Timers,
};

/// `oom_score_adj` of the keeper, where allowed: the process that holds all runs is killed last.
const OOM_SCORE_ADJ: &str = "-900";
/// Core limit of the keeper. Unlike 0, a limit of 1 also keeps the kernel from piping a core to a
/// program.
const NO_CORE: u64 = 1;

/// Why the keeper did not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// Asked to stop before it had begun.
    #[error("asked to stop")]
    Interrupted,
    /// Another supervisor runs on this state.
    #[error(transparent)]
    Lock(LockError),
    /// Something failed that the keeper cannot work without.
    #[error("could not {0}: {1}")]
    Io(&'static str, io::Error),
}

impl From<LockError> for StartError {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Interrupted(_) => Self::Interrupted,
            other => Self::Lock(other),
        }
    }
}

fn doing<E: Into<io::Error>>(what: &'static str) -> impl FnOnce(E) -> StartError {
    move |error| StartError::Io(what, error.into())
}

/// Carries out all steps before the loop.
pub(crate) fn start(config: Config) -> Result<Keeper, StartError> {
    let started_ms = now_ms();
    inherited::close_all();
    let null = reserve_low().map_err(doing("open /dev/null"))?;
    // An open file, since a package may replace the path while we run.
    let binary = File::open(proc::OWN_PROGRAM).map_err(doing("open the program's own binary"))?;
    let signals = Signals::take().map_err(doing("take signals"))?;
    let stop_asked = Signals::stop_asked().map_err(doing("take signals"))?;
    let init = Init::from_environment();
    let locks = Locks::take(&config.run_dir, &config.state_dir, &stop_asked, &init)?;
    let original = raise_limits();
    hide_memory().map_err(doing("hide the keeper's memory"))?;
    prctl::set_child_subreaper(true).map_err(doing("become the parent of orphans"))?;
    let files =
        Records::open(&config.run_dir).map_err(doing("make the directory of run records"))?;
    let cgroups = Cgroups::set_up(&config.state_hash);
    let boot_id = proc::boot_id();
    let leftovers = Leftovers::stop(&files, cgroups.as_ref(), &boot_id, &init, &locks)
        .map_err(|keeper| locks.held_by(keeper))?;
    let listener =
        Listener::bind(&config.control_socket).map_err(doing("listen on the control socket"))?;
    let made = make().map_err(|(step, error)| StartError::Io(step, error))?;
    let directories = Directories::new(&config.run_dir, &config.state_hash);
    let runs = Runs::with(leftovers, directories);
    let kit = Kit {
        config,
        boot_id,
        life: Life::Lasting,
        poller: made.poller,
        timers: Timers::default(),
        removals: made.removals,
        facts: FactQueue::default(),
        log: made.log,
        init,
        original,
        null,
        child_stack: made.child_stack,
        files,
        cgroups,
        own_children: BTreeSet::new(),
    };
    let mut keeper = Keeper {
        started_ms,
        kit,
        runs,
        control: Control::new(binary, own_path(), made.stdout, made.stderr),
        places: Places::new(locks, listener),
        compressor: Compressor::from_environment(),
        strays: Strays::default(),
        catch_up: CatchUp::default(),
        shutdown: Shutdown::default(),
        signals,
        inbox: VecDeque::new(),
        records: BTreeMap::new(),
        reexec: Reexec::default(),
        ended_child: None,
        reap_more: false,
        release_later: false,
    };
    watch_own(&mut keeper);
    Ok(keeper)
}

/// What each image of the keeper makes for itself.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
    pub(super) log: log::Handle,
    pub(super) child_stack: ChildStack,
    pub(super) poller: Poller,
    pub(super) removals: Removals,
}

/// Makes it, once the low descriptor numbers are occupied and signals have been taken.
pub(super) fn make() -> Result<Made, (&'static str, io::Error)> {
    fn doing<E: Into<io::Error>>(
        step: &'static str,
    ) -> impl FnOnce(E) -> (&'static str, io::Error) {
        move |error| (step, error.into())
    }
    let stdout = duplicate_above(io::stdout(), FDS_RESERVED);
    let stderr = duplicate_above(io::stderr(), FDS_RESERVED);
    Ok(Made {
        stdout: stdout.map_err(doing("keep standard output"))?,
        stderr: stderr.map_err(doing("keep standard error"))?,
        log: LogThread::start().map_err(doing("start the log thread"))?,
        child_stack: ChildStack::new().map_err(doing("get memory for children's stacks"))?,
        poller: Poller::new().map_err(doing("make an epoll"))?,
        removals: Removals::new(),
    })
}

/// Watches the descriptors that exist from the start.
pub(super) fn watch_own(keeper: &mut Keeper) {
    let Keeper {
        kit,
        signals,
        places,
        ..
    } = keeper;
    kit.poller.watch(&*signals, Source::Signals);
    kit.poller.watch(kit.log.rotations(), Source::Rotated);
    kit.poller.watch(kit.log.troubles(), Source::LogTroubles);
    if let Some(events) = kit.removals.events() {
        kit.poller.watch(events, Source::Removal);
    }
    places.watch(kit);
}

/// Root's keeper spawns children on its own memory, which holds the environments of all services: a
/// child that has changed its user must not be read by others of that user. Without root there is
/// nothing to hide, for every service has the keeper's own user, and a process whose memory is
/// hidden cannot write its files in /proc then.
pub(super) fn hide_memory() -> Result<(), Errno> {
    if !nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    prctl::set_dumpable(false)?;
    if proc::suid_dumpable() == "1" {
        warning!(
            "fs.suid_dumpable is 1: for a moment before its exec a service's process can be read by others of \
             its user, and with it what all services are told; set it to 0 with sysctl"
        );
    }
    Ok(())
}

/// Occupies the low descriptor numbers for good: children move their own descriptors there. Standard
/// input, for whose end another process may wait, is closed.
pub(super) fn reserve_low() -> io::Result<File> {
    loop {
        let null = File::options().read(true).write(true).open("/dev/null")?;
        if null.as_raw_fd() >= FDS_RESERVED {
            nix::unistd::dup2_stdin(&null)?;
            return Ok(null);
        }
        std::mem::forget(null);
    }
}

/// Path of the program at its start; a package may replace the file meanwhile.
fn own_path() -> PathBuf {
    proc::own_program().map(|it| it.path).unwrap_or_default()
}

/// Raises the limit of open files, lowers `oom_score_adj`, and forbids a core, which would hold the
/// secrets of all services. Children get the original values.
fn raise_limits() -> Original {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((1024, 4096));
    if soft < hard
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        warning!("could not raise the limit of open files to {hard}: {error}");
    }
    let core = getrlimit(Resource::RLIMIT_CORE).unwrap_or((0, 0));
    if let Err(error) = setrlimit(Resource::RLIMIT_CORE, NO_CORE.min(core.1), core.1) {
        warning!("could not forbid cores of the supervisor itself: {error}");
    }
    let before = fs::read_to_string(proc::OWN_OOM_SCORE).unwrap_or_default();
    let lowered = fs::write(proc::OWN_OOM_SCORE, OOM_SCORE_ADJ).is_ok();
    let nofile = rlimit {
        rlim_cur: soft,
        rlim_max: hard,
    };
    let core = rlimit {
        rlim_cur: core.0,
        rlim_max: core.1,
    };
    Original::new(nofile, core, lowered.then(|| before.trim().to_owned()))
}
