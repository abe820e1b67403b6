//! Borrows the terminal. Invariant: the terminal gets back its former state however the program
//! ends, by a panic or a signal too.

use std::{io, os::unix::net::UnixStream as StdUnixStream};

use client::{Error, Kind};
use crossterm::event::{self, Event};
use ratatui::{DefaultTerminal, Frame};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use tokio::{io::AsyncReadExt, net::UnixStream, sync::mpsc, task::JoinHandle};

use super::model::Msg;

/// The screen. Given back when dropped; by a panic, before its message.
pub(crate) struct Screen(DefaultTerminal);

impl Screen {
    /// Takes the whole screen and every key.
    pub(crate) fn take() -> Result<Self, Error> {
        ratatui::try_init()
            .map(Self)
            .map_err(|error| failed(&error))
    }

    /// Draws one picture.
    pub(crate) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> Result<(), Error> {
        match self.0.draw(draw) {
            Ok(_) => Ok(()),
            Err(error) => Err(failed(&error)),
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing back.
        let _ = ratatui::try_restore();
    }
}

fn failed(error: &io::Error) -> Error {
    Error::new(
        Kind::Failed,
        format!("cannot draw on the terminal: {error}"),
    )
}

/// Whether the terminal cannot move its cursor.
pub(crate) fn is_dumb() -> bool {
    std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb")
}

/// Whether the locale uses UTF-8.
pub(crate) fn speaks_unicode() -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    locale.is_some_and(|value| {
        let value = value.to_ascii_lowercase();
        value.contains("utf-8") || value.contains("utf8")
    })
}

/// Keys, read on a thread of their own, which ends with the process.
pub(crate) fn read_keys(to: mpsc::Sender<Msg>) {
    std::thread::spawn(move || {
        loop {
            let message = match event::read() {
                Ok(Event::Key(key)) => Msg::Key(key),
                Ok(Event::Resize(..)) => Msg::Resized,
                Ok(_) => continue,
                // The terminal is gone.
                Err(_) => Msg::Signal(u8::try_from(SIGHUP).unwrap_or(1)),
            };
            let end = matches!(message, Msg::Signal(_));
            if to.blocking_send(message).is_err() || end {
                return;
            }
        }
    });
}

/// Signals that end us, as messages, so that the terminal is given back first.
pub(crate) fn signals(to: mpsc::Sender<Msg>) -> Result<JoinHandle<()>, Error> {
    let watch = |signal: i32| -> io::Result<UnixStream> {
        let (ours, handlers) = StdUnixStream::pair()?;
        ours.set_nonblocking(true)?;
        signal_hook::low_level::pipe::register(signal, handlers)?;
        UnixStream::from_std(ours)
    };
    let watched = |signal| {
        watch(signal)
            .map_err(|error| Error::new(Kind::Failed, format!("cannot watch for signals: {error}")))
    };
    let (mut term, mut hup) = (watched(SIGTERM)?, watched(SIGHUP)?);
    let (mut int, mut quit) = (watched(SIGINT)?, watched(SIGQUIT)?);
    Ok(tokio::spawn(async move {
        let number = tokio::select! {
            _ = term.read_u8() => SIGTERM,
            _ = hup.read_u8() => SIGHUP,
            _ = int.read_u8() => SIGINT,
            _ = quit.read_u8() => SIGQUIT,
        };
        let _ = to
            .send(Msg::Signal(u8::try_from(number).unwrap_or(1)))
            .await;
    }))
}
