//! Errors of `ctl`: one sentence, hints what to do, and an exit code.

use std::io;

use api::{ErrorKind, ErrorReply};

/// Kind of an error. The kind alone decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The reader of our output has gone, which is not a failure.
    OutputClosed,
    /// The supervisor did not do what was asked.
    Failed,
    /// The command line is wrong.
    Usage,
    /// A service is not running or not ready.
    NotReady,
    /// No service has this name.
    UnknownService,
    /// Nothing answers at the socket.
    Unreachable,
    /// The caller may not do this.
    NotAllowed,
    /// `--timeout` has passed.
    TimedOut,
    /// Ctrl-C.
    Interrupted,
}

impl Kind {
    /// The exit code, as `ctl help` lists them.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::OutputClosed => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotReady => 3,
            Self::UnknownService => 4,
            Self::Unreachable => 5,
            Self::NotAllowed => 6,
            Self::TimedOut => 7,
            Self::Interrupted => 130,
        }
    }
}

/// A failure that ends the command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// The kind, which decides the exit code.
    pub kind: Kind,
    /// What could not be done, lower case, no full stop.
    pub message: String,
    /// What to do next, one sentence each.
    pub hints: Vec<String>,
}

impl Error {
    /// A failure without a hint.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            hints: Vec::new(),
        }
    }

    /// Adds a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The error of a failed write to stdout.
    pub fn output(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::new(Kind::OutputClosed, "the output was closed");
        }
        Self::new(Kind::Failed, format!("cannot write the output: {error}"))
    }
}

impl From<ErrorReply> for Error {
    fn from(reply: ErrorReply) -> Self {
        let kind = match reply.kind {
            ErrorKind::Usage => Kind::Usage,
            ErrorKind::UnknownService => Kind::UnknownService,
            ErrorKind::NotAllowed => Kind::NotAllowed,
            ErrorKind::Refused
            | ErrorKind::JobRuns
            | ErrorKind::Leased
            | ErrorKind::Configuration
            | ErrorKind::Busy
            | ErrorKind::Internal => Kind::Failed,
        };
        Self {
            kind,
            message: reply.message,
            hints: reply.hint.into_iter().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_reply_has_its_exit_code() {
        let code = |kind| {
            Error::from(ErrorReply {
                kind,
                message: "m".into(),
                hint: Some("h".into()),
            })
            .kind
            .exit_code()
        };
        assert_eq!(code(ErrorKind::Usage), 2);
        assert_eq!(code(ErrorKind::UnknownService), 4);
        assert_eq!(code(ErrorKind::NotAllowed), 6);
        assert_eq!(code(ErrorKind::Refused), 1);
        assert_eq!(code(ErrorKind::Configuration), 1);
        assert_eq!(code(ErrorKind::Busy), 1);
        assert_eq!(code(ErrorKind::Internal), 1);
    }

    /// Every kind. The match fails to compile when one is missing.
    fn kinds() -> [Kind; 9] {
        let all = [
            Kind::OutputClosed,
            Kind::Failed,
            Kind::Usage,
            Kind::NotReady,
            Kind::UnknownService,
            Kind::Unreachable,
            Kind::NotAllowed,
            Kind::TimedOut,
            Kind::Interrupted,
        ];
        for kind in all {
            match kind {
                Kind::OutputClosed
                | Kind::Failed
                | Kind::Usage
                | Kind::NotReady
                | Kind::UnknownService
                | Kind::Unreachable
                | Kind::NotAllowed
                | Kind::TimedOut
                | Kind::Interrupted => {}
            }
        }
        all
    }

    #[test]
    fn the_document_has_the_exit_codes_and_no_others() {
        let document = include_str!("../../../docs/exit-codes.md");
        let section = document.split("\n## ").find(|it| it.starts_with("ctl\n"));
        let rows = section.unwrap().lines();
        let listed = rows.filter_map(|row| row.strip_prefix("| ")?.split(' ').next()?.parse().ok());
        let listed: Vec<u8> = listed.collect();
        assert_eq!(listed, kinds().map(Kind::exit_code));
    }

    #[test]
    fn a_closed_pipe_is_not_a_failure() {
        let closed = Error::output(&io::ErrorKind::BrokenPipe.into());
        assert_eq!(closed.kind.exit_code(), 0);
        let full = Error::output(&io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!(full.kind.exit_code(), 1);
    }
}
