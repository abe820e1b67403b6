//! What a job has left as its result, as far as that is read.

use api::JobResult;
use engine::{Moment, ServiceId};

/// How far the result is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::control) enum Reading {
    /// Nobody has looked.
    #[default]
    Unread,
    /// It is being read.
    Asked,
    /// What there was of this request.
    Read(Option<JobResult>),
    /// It could not be read: why, and where it is.
    Unreadable(String),
}

impl Reading {
    /// What the job has left.
    pub(in crate::control) const fn said(&self) -> Option<&JobResult> {
        match self {
            Self::Read(result) => result.as_ref(),
            Self::Unread | Self::Asked | Self::Unreadable(_) => None,
        }
    }

    /// Why nobody knows what it has left.
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
    /// When the request came, if it has come to its end just now.
    pub(in crate::control) ended: Option<Moment>,
}

/// What there is in the place of a result; or why that is not known, and where it is.
pub(in crate::control) type Read = Result<Option<Box<JobResult>>, String>;
