//! The progress of reading a job's result.

use api::JobResult;
use engine::{Moment, ServiceId};

/// How far the reading of a result has come.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::control) enum Reading {
    /// The reading has not begun.
    #[default]
    Unread,
    /// A job of the control process reads it.
    Asked,
    /// The result, if the job has left one of this request.
    Read(Option<JobResult>),
    /// The result could not be read: why, and where it is.
    Unreadable(String),
}

impl Reading {
    /// The result, if there is one.
    pub(in crate::control) const fn said(&self) -> Option<&JobResult> {
        match self {
            Self::Read(result) => result.as_ref(),
            Self::Unread | Self::Asked | Self::Unreadable(_) => None,
        }
    }

    /// Why the result is not known, in words.
    pub(in crate::control) fn unreadable(&self) -> Option<&str> {
        match self {
            Self::Unreadable(why) => Some(why),
            Self::Unread | Self::Asked | Self::Read(_) => None,
        }
    }
}

/// A result that is to be read.
#[derive(Debug)]
pub(in crate::control) struct Due {
    /// The job.
    pub(in crate::control) service: ServiceId,
    /// The request.
    pub(in crate::control) id: String,
    /// When the request came, if its work has ended just now.
    pub(in crate::control) ended: Option<Moment>,
}

/// The result in the job's directory, if there is one; or why it is not known, and where it is.
pub(in crate::control) type Read = Result<Option<Box<JobResult>>, String>;
