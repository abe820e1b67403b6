//! The last message to the client of an attempt that has changed nothing.

use api::{ErrorKind, ErrorReply, Preview};

/// The last word of an attempt.
#[derive(Debug)]
pub(in crate::control) enum LastWord {
    Refused(ErrorReply),
    Preview(Box<Preview>),
}

/// Refuses the files: nothing has changed.
pub(super) fn refused(message: String, hint: &str) -> LastWord {
    LastWord::Refused(ErrorReply {
        kind: ErrorKind::Configuration,
        message,
        hint: Some(hint.to_owned()),
    })
}
