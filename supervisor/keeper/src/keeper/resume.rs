//! From the state that an earlier image of this process has left to the loop.
//!
//! Invariant: until everything has been made, nothing is read, written or closed that the earlier
//! image has given ([`crate::inheritance`]); an error leaves all of it as it was.

use std::{
    ffi::{CString, OsString},
    fs::File,
    io,
    os::fd::RawFd,
    process::ExitCode,
};

use nix::sys::prctl;

use super::{
    Keeper,
    start::{Made, hide_memory, make, reserve_low, watch_own},
};
use crate::{
    Config,
    catch_up::CatchUp,
    cgroup::Cgroups,
    compressor::Compressor,
    control::Control,
    inheritance::Inherited,
    init::Init,
    kit::{Kit, Life},
    message::{KeeperRefusal, Notice, ResumeFailure, VERSION},
    original::Original,
    places::Places,
    record::Records,
    reexec::{Reexec, WENT_BACK, exec},
    runs::{Directories, Runs},
    shutdown::Shutdown,
    signals::Signals,
    state::{self, State},
    stderr,
    stderr_log::{error, say},
    sys::{fd_setup::FDS_RESERVED, inherited},
    timers::Timer,
};

/// What the exec has given, besides the descriptors that the state names.
#[derive(Clone, Debug)]
pub struct Given {
    /// Descriptor of the state.
    pub state: RawFd,
    /// Descriptor of the program that this process executed before.
    pub earlier: RawFd,
    /// Why the program that was executed in between gave up, as JSON, if this is the earlier one
    /// again.
    pub went_back: Option<String>,
}

/// Deadlines that are set anew by whatever they are about.
const SET_ANEW: [Timer; 5] = [
    Timer::Liveness,
    Timer::Watchdog,
    Timer::Leftovers,
    Timer::Trial,
    Timer::Exec,
];

/// Goes on as the keeper. Where that fails, the earlier program does.
pub(crate) fn resume(config: Config, given: &Given) -> ExitCode {
    let opened = (open(given.state), open(given.earlier));
    let (Ok(mut memory), Ok(earlier)) = opened else {
        error!("was not given the state of a keeper: the keeper alone starts this");
        return ExitCode::FAILURE;
    };
    match resumed(config, &mut memory) {
        Ok((mut keeper, inherited)) => {
            inherited.commit();
            inherited::close(given.state);
            inherited::close(given.earlier);
            drop((memory, earlier));
            keeper.say_who_runs(given.went_back.as_deref());
            keeper.run()
        }
        Err(why) => go_back(&earlier, given, &why),
    }
}

fn open(number: RawFd) -> io::Result<File> {
    Ok(inherited::duplicate(number, FDS_RESERVED)?.into())
}

/// Executes the earlier program, with all that was given. Returns if even that fails: then the
/// control process ends every service in order.
fn go_back(earlier: &File, given: &Given, why: &ResumeFailure) -> ExitCode {
    error!("cannot go on with what the program before it has left: {why}");
    if given.went_back.is_some() {
        return ExitCode::FAILURE;
    }
    error!("executes the program before it again");
    let why = serde_json::to_string(why).unwrap_or_default();
    let more = [OsString::from(WENT_BACK), why.into()];
    stderr::flush();
    let Err(error) = exec(earlier, std::env::args_os().chain(more));
    error!("cannot execute the program before it: {error}");
    ExitCode::FAILURE
}

fn doing<E: Into<io::Error>>(step: &str) -> impl FnOnce(E) -> ResumeFailure {
    move |error| ResumeFailure::Step {
        step: step.to_owned(),
        error: error.into().to_string(),
    }
}

fn resumed(mut config: Config, memory: &mut File) -> Result<(Keeper, Inherited), ResumeFailure> {
    let state = state::read(memory).map_err(ResumeFailure::State)?;
    let null = reserve_low().map_err(doing("open /dev/null"))?;
    let signals = Signals::take().map_err(doing("take signals"))?;
    hide_memory().map_err(doing("hide the keeper's memory"))?;
    prctl::set_child_subreaper(true).map_err(doing("become the parent of orphans"))?;
    config.state_hash.clone_from(&state.hash);
    let made = make().map_err(|(step, error)| doing(step)(error))?;
    let files = Records::at(&config.run_dir);
    adopt(config, state, made, (null, signals, files)).map_err(doing("take up what was left"))
}

fn adopt(
    config: Config,
    state: State,
    made: Made,
    (null, signals, files): (File, Signals, Records),
) -> io::Result<(Keeper, Inherited)> {
    let mut inherited = Inherited::of(state.descriptors);
    let mut timers = state.timers;
    timers.drop_all_of(&SET_ANEW);
    made.log.resume(state.logs);
    let mut control = Control::resume(
        state.control,
        &mut inherited,
        &made.poller,
        (made.stdout, made.stderr),
    )?;
    if state.messages != VERSION {
        control.runs_from_now_on(File::open(proc::OWN_PROGRAM)?);
    }
    let _ = prctl::set_name(&name(&control));
    let kit = Kit {
        boot_id: proc::boot_id(),
        life: Life::Lasting,
        poller: made.poller,
        timers,
        removals: made.removals,
        facts: state.facts,
        log: made.log,
        init: Init::from_environment(),
        original: Original::resume(state.original),
        null,
        child_stack: made.child_stack,
        files,
        cgroups: state.cgroup.and_then(Cgroups::resume),
        own_children: state.own_children,
        config,
    };
    let directories = Directories::new(&kit.config.run_dir, &kit.config.state_hash);
    let mut catch_up = CatchUp::default();
    if let Some(at_ms) = state.sync {
        catch_up.ask(at_ms);
    }
    let mut keeper = Keeper {
        started_ms: state.started_ms,
        runs: Runs::resume(state.runs, &mut inherited, &kit, directories)?,
        places: Places::resume(state.places, &mut inherited)?,
        kit,
        control,
        compressor: Compressor::resume(state.compressor),
        strays: state.strays,
        catch_up,
        shutdown: Shutdown::default(),
        signals,
        inbox: state.inbox,
        records: state.records,
        reexec: Reexec::after(state.execs),
        ended_child: None,
        // Signals of children may have been taken and not been acted on.
        reap_more: true,
        release_later: false,
    };
    watch_own(&mut keeper);
    keeper.places.look_soon(&mut keeper.kit);
    Ok((keeper, inherited))
}

/// The name of the process, which an exec by a descriptor changes.
fn name(control: &Control) -> CString {
    let name = control.path().file_name().unwrap_or_default();
    CString::new(name.as_encoded_bytes()).unwrap_or_default()
}

impl Keeper {
    /// Reports the outcome of the exec.
    fn say_who_runs(&mut self, went_back: Option<&str>) {
        let why = went_back.map(|why| {
            let unknown = |_| ResumeFailure::Step {
                step: "say why".to_owned(),
                error: why.to_owned(),
            };
            serde_json::from_str(why).unwrap_or_else(unknown)
        });
        if let Some(why) = why {
            self.keeper_not_replaced(KeeperRefusal::WentBack { why });
            return;
        }
        let version = crate::PROGRAM_VERSION.to_owned();
        say!("goes on as version {version}, with all that it held before");
        let execs = self.reexec.execs;
        self.tell(&Notice::KeeperReplaced { version, execs });
    }
}
