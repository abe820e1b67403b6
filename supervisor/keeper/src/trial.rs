//! A program on trial before it becomes the keeper's: it is run beside the keeper with a copy of the
//! state, and has to say that it can read the copy. The process that holds every child can be put
//! at risk only once.
//!
//! Owner: the keeper's main thread of the one trial; the program tried runs [`answer`]. Limits:
//! [`PATIENCE_MS`] for the answer and the end, [`ANSWER_BYTES_MAX`].

use std::{
    fs::File,
    io::Write,
    os::{
        fd::{AsRawFd, OwnedFd, RawFd},
        unix::ffi::OsStringExt,
    },
    path::Path,
    process::ExitCode,
};

use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    libc,
    unistd::{pipe2, read},
};
use serde::{Deserialize, Serialize};

use crate::{
    clock::now_ms,
    init,
    kit::Kit,
    message::{Exit, KeeperRefusal, SpawnStage, StateRefusal, VERSION},
    poller::Source,
    state, stderr_log,
    sys::{
        child::{ChildSpec, Program, SpawnError, c_string},
        inherited, pidfd,
    },
    timers::Timer,
};

/// The program has this long to answer and end.
const PATIENCE_MS: u64 = 5_000;
/// A longer answer is none.
const ANSWER_BYTES_MAX: usize = 4096;
/// Number of the copy's descriptor in the process on trial.
const COPY_FD: RawFd = 3;

/// What a program on trial says, as one JSON object.
#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    /// Its version.
    program: String,
    /// Version of the messages that it speaks with control processes.
    messages: u32,
    /// Why it cannot read the state, if it cannot.
    refusal: Option<StateRefusal>,
}

/// A trial that goes on.
#[derive(Debug)]
pub(crate) struct Trial {
    pid: i32,
    program: File,
    answer: OwnedFd,
    said: Vec<u8>,
    give_up_at: u64,
}

/// A program that has passed its trial.
#[derive(Debug)]
pub(crate) struct Passed {
    pub(crate) program: File,
    pub(crate) version: String,
    /// Version of the messages that it speaks.
    pub(crate) messages: u32,
}

impl Trial {
    /// Starts the program at this path with a copy of the state.
    pub(crate) fn start(
        kit: &mut Kit,
        path: &Path,
        stderr: RawFd,
        copy: &File,
    ) -> Result<Self, KeeperRefusal> {
        let shown = || path.display().to_string();
        let program = File::open(path).map_err(|error| KeeperRefusal::NotOpened {
            path: shown(),
            error: error.to_string(),
        })?;
        let started = start(kit, &program, stderr, copy);
        let (pid, answer) = started.map_err(|(stage, errno)| KeeperRefusal::NotStarted {
            path: shown(),
            stage,
            error: errno.to_string(),
        })?;
        kit.poller.watch(&answer, Source::Trial);
        let give_up_at = now_ms() + PATIENCE_MS;
        kit.timers.add(give_up_at, Timer::Trial);
        Ok(Self {
            pid,
            program,
            answer,
            said: Vec::new(),
            give_up_at,
        })
    }

    /// Whether this is its process.
    pub(crate) const fn is(&self, pid: i32) -> bool {
        self.pid == pid
    }

    /// Takes in what it says.
    pub(crate) fn read(&mut self, kit: &Kit) {
        let mut buffer = [0; ANSWER_BYTES_MAX];
        match read(&self.answer, &mut buffer) {
            Ok(count @ 1..) if self.said.len() + count <= ANSWER_BYTES_MAX => {
                self.said.extend_from_slice(&buffer[..count]);
            }
            Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EINTR) => {}
            // It has said all, or too much.
            _ => kit.poller.unwatch(&self.answer),
        }
    }

    /// Some: it has had its time. Its process is reaped later.
    pub(crate) fn is_late(&self) -> Option<KeeperRefusal> {
        (now_ms() >= self.give_up_at).then(|| {
            self.kill();
            KeeperRefusal::Silent {
                seconds: PATIENCE_MS / 1000,
            }
        })
    }

    /// Ends it early.
    pub(crate) fn kill(&self) {
        let _ = pidfd::kill(self.pid, libc::SIGKILL);
    }

    /// Its verdict, now that it has ended.
    pub(crate) fn ended(mut self, kit: &Kit, exit: Exit) -> Result<Passed, KeeperRefusal> {
        self.read(kit);
        kit.poller.unwatch(&self.answer);
        let answer: Result<Answer, _> = serde_json::from_slice(&self.said);
        let Ok(answer) = answer else {
            return Err(KeeperRefusal::Ended { exit });
        };
        match answer.refusal {
            Some(why) => Err(KeeperRefusal::State {
                program: answer.program,
                why,
            }),
            None if exit == Exit::Code(0) => Ok(Passed {
                program: self.program,
                version: answer.program,
                messages: answer.messages,
            }),
            None => Err(KeeperRefusal::Ended { exit }),
        }
    }
}

fn start(
    kit: &mut Kit,
    program: &File,
    stderr: RawFd,
    copy: &File,
) -> Result<(i32, OwnedFd), SpawnError> {
    let pipe = |errno| (SpawnStage::Pipe, errno);
    let (answer, theirs) = pipe2(OFlag::O_CLOEXEC).map_err(pipe)?;
    fcntl(&answer, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(pipe)?;
    let strings = kit.config.trial_argv.iter().cloned();
    let argv = strings.map(|one| c_string(one.into_vec()));
    let argv = argv
        .collect::<Result<_, _>>()
        .map_err(|errno| (SpawnStage::Arguments, errno))?;
    let env = init::environment_without().map_err(|errno| (SpawnStage::Arguments, errno))?;
    let plan = ChildSpec {
        argv,
        env,
        oom_score_adj: kit.original.oom_score_adj.clone(),
        // Up to COPY_FD.
        fds: vec![
            kit.null.as_raw_fd(),
            theirs.as_raw_fd(),
            stderr,
            copy.as_raw_fd(),
        ],
        ..ChildSpec::plain(Program::Fd(program.as_raw_fd()))
    };
    let pid = kit.make_own(&plan)?;
    Ok((pid, answer))
}

/// The program on trial: reads the copy of the state, and says whether it can.
pub(crate) fn answer() -> ExitCode {
    let unreadable = |error: std::io::Error| StateRefusal::Unreadable {
        error: error.to_string(),
    };
    let copy = inherited::take(COPY_FD).map_err(unreadable);
    let refusal = copy
        .and_then(|copy| state::read(&mut File::from(copy)))
        .err();
    let answer = Answer {
        program: crate::PROGRAM_VERSION.to_owned(),
        messages: VERSION,
        refusal,
    };
    let said = serde_json::to_vec(&answer).map_err(std::io::Error::other);
    let said = said.and_then(|text| std::io::stdout().write_all(&text));
    if let Err(error) = &said {
        stderr_log::error!("could not answer to the keeper: {error}");
    }
    ExitCode::from(u8::from(answer.refusal.is_some() || said.is_err()))
}
