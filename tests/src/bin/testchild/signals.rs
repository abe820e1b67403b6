//! Taking signals without handlers: they are blocked, and read from a descriptor while waiting.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    str::FromStr,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, raise, sigaction},
        signalfd::{SfdFlags, SignalFd},
    },
};

/// An effect of a signal.
pub(crate) enum Action {
    /// End with this code.
    Exit(i32),
    /// Print a line.
    Print(String),
    /// Speak on the notify socket.
    Notify(String),
    /// Append a stamp to a file.
    Stamp(String),
    /// Copy a file to another place, unless a word is in it.
    Copy {
        from: String,
        to: String,
        unless: Option<String>,
    },
    /// Let time pass without reacting to any signal.
    Pause(Duration),
}

/// The signals that are taken, and their effects in order.
pub(crate) struct Signals {
    actions: Vec<(Signal, Action)>,
    mask: SigSet,
    descriptor: Option<SignalFd>,
}

impl Default for Signals {
    fn default() -> Self {
        Self {
            actions: Vec::new(),
            mask: SigSet::empty(),
            descriptor: None,
        }
    }
}

impl Signals {
    /// Adds an effect of a signal.
    pub(crate) fn take(&mut self, signal: Signal, action: Action) -> io::Result<()> {
        self.mask.add(signal);
        self.mask.thread_block()?;
        match &mut self.descriptor {
            Some(descriptor) => descriptor.set_mask(&self.mask)?,
            None => {
                self.descriptor = Some(SignalFd::with_flags(&self.mask, SfdFlags::SFD_CLOEXEC)?);
            }
        }
        self.actions.push((signal, action));
        Ok(())
    }

    /// Waits until a moment (`None`: for ever) or for input, and performs the effects of signals
    /// meanwhile. Returns true if there is input.
    pub(crate) fn wait(
        &mut self,
        until: Option<Instant>,
        input: Option<BorrowedFd<'_>>,
    ) -> io::Result<bool> {
        loop {
            let timeout = match until {
                None => PollTimeout::NONE,
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Ok(false);
                    }
                    // Rounded up, so that the last millisecond is not spent polling.
                    PollTimeout::try_from(left + Duration::from_millis(1))
                        .unwrap_or(PollTimeout::MAX)
                }
            };
            let descriptors = [self.descriptor.as_ref().map(AsFd::as_fd), input];
            let mut polled: Vec<PollFd<'_>> = descriptors
                .into_iter()
                .flatten()
                .map(|descriptor| PollFd::new(descriptor, PollFlags::POLLIN))
                .collect();
            match poll(&mut polled, timeout) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
            let ready: Vec<bool> = polled
                .iter()
                .map(|one| one.any().unwrap_or(false))
                .collect();
            drop(polled);
            if self.descriptor.is_some() && ready.first() == Some(&true) {
                self.answer()?;
            }
            if input.is_some() && ready.last() == Some(&true) {
                return Ok(true);
            }
        }
    }

    fn answer(&self) -> io::Result<()> {
        let Some(info) = self
            .descriptor
            .as_ref()
            .map(SignalFd::read_signal)
            .transpose()?
            .flatten()
        else {
            return Ok(());
        };
        let came = i32::try_from(info.ssi_signo).unwrap_or(0);
        for (signal, action) in &self.actions {
            if *signal as i32 == came {
                perform(action)?;
            }
        }
        Ok(())
    }
}

fn perform(action: &Action) -> io::Result<()> {
    match action {
        Action::Exit(code) => std::process::exit(*code),
        Action::Print(text) => crate::print(&format!("{text}\n")),
        Action::Notify(message) => crate::notify(message),
        Action::Stamp(path) => crate::stamp(path),
        Action::Copy { from, to, unless } => {
            let text = std::fs::read_to_string(from)?;
            match unless.as_ref().filter(|word| text.contains(*word)) {
                Some(word) => crate::print(&format!("{from} not taken: {word}\n")),
                None => crate::write_whole(to, &text),
            }
        }
        Action::Pause(time) => Signals::default()
            .wait(Some(Instant::now() + *time), None)
            .map(|_| ()),
    }
}

/// A signal by its name, `TERM` or `SIGTERM`.
pub(crate) fn by_name(name: &str) -> io::Result<Signal> {
    let name = name.to_uppercase();
    let full = if name.starts_with("SIG") {
        name
    } else {
        format!("SIG{name}")
    };
    Ok(Signal::from_str(&full)?)
}

/// Ignores a signal from now on.
pub(crate) fn ignore(signal: Signal) -> io::Result<()> {
    set(signal, SigHandler::SigIgn)
}

/// Sends this process a signal with its default effect, whatever was set before.
pub(crate) fn kill_self(signal: Signal) -> io::Result<()> {
    if !matches!(signal, Signal::SIGKILL | Signal::SIGSTOP) {
        reset(signal)?;
    }
    Ok(raise(signal)?)
}

/// Gives a signal its default effect, and unblocks it.
pub(crate) fn reset(signal: Signal) -> io::Result<()> {
    set(signal, SigHandler::SigDfl)?;
    let mut mask = SigSet::empty();
    mask.add(signal);
    Ok(mask.thread_unblock()?)
}

#[expect(
    unsafe_code,
    reason = "sigaction can install handlers; here it never does"
)]
fn set(signal: Signal, handler: SigHandler) -> io::Result<()> {
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    // SAFETY: no handler function is installed, only "ignore" or "default".
    unsafe { sigaction(signal, &action) }?;
    Ok(())
}
