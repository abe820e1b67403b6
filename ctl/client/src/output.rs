//! Where text goes: stdout gets what was asked for, stderr gets notes and errors. Colour and layout
//! depend on whether a person reads the stream; this module strips styles where nobody does.

use std::fmt::Write as _;

use std::io::{self, IsTerminal, Write};

use crate::{
    error::{Error, Kind},
    render::{HINT, RED_BOLD, shown_lines},
};

/// Both output streams, and what reads them.
pub struct Output {
    out: Box<dyn Write>,
    err: Box<dyn Write>,
    out_colour: bool,
    err_colour: bool,
    /// Stdout is a terminal: lay out for a person.
    pub terminal: bool,
    /// Stderr is a terminal: show progress.
    pub progress: bool,
}

impl Output {
    /// The process's own streams. `NO_COLOR`, `CLICOLOR` and `TERM` are honoured.
    pub fn standard() -> Self {
        let coloured = |choice| choice != anstream::ColorChoice::Never;
        Self {
            out_colour: coloured(anstream::AutoStream::choice(&io::stdout())),
            err_colour: coloured(anstream::AutoStream::choice(&io::stderr())),
            terminal: io::stdout().is_terminal(),
            progress: io::stderr().is_terminal(),
            out: Box::new(io::stdout()),
            err: Box::new(io::stderr()),
        }
    }

    /// Streams of a test: no terminal, no colour.
    #[cfg(any(test, feature = "testing"))]
    pub fn to(out: Box<dyn Write>, err: Box<dyn Write>) -> Self {
        Self {
            out,
            err,
            out_colour: false,
            err_colour: false,
            terminal: false,
            progress: false,
        }
    }

    /// Writes styled text to stdout with one write.
    pub fn text(&mut self, text: &str) -> Result<(), Error> {
        write(&mut *self.out, self.out_colour, text).map_err(|error| Error::output(&error))
    }

    /// Writes one styled line to stderr. A failed write has nowhere to be reported.
    pub fn note(&mut self, line: &str) {
        let _ = write(&mut *self.err, self.err_colour, &format!("{line}\n"));
    }

    /// Prints an error and its hints.
    pub fn error(&mut self, error: &Error) {
        if error.kind == Kind::OutputClosed {
            return;
        }
        let message = shown_lines(&error.message);
        let mut text = format!("{RED_BOLD}error:{RED_BOLD:#} {message}");
        for hint in &error.hints {
            let hint = shown_lines(hint);
            let _ = write!(text, "\n{HINT}hint:{HINT:#} {hint}");
        }
        self.note(&text);
    }
}

fn write(to: &mut dyn Write, colour: bool, text: &str) -> io::Result<()> {
    if colour {
        to.write_all(text.as_bytes())?;
    } else {
        to.write_all(anstream::adapter::strip_str(text).to_string().as_bytes())?;
    }
    to.flush()
}
