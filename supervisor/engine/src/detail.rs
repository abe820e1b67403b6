//! What is said of a service that does not get up: why its last start failed, or what its start
//! waits for.
//!
//! Invariant: the engine keeps a detail and decides nothing by it. Reason and hint stay apart until
//! somebody says them to people, so that whoever says the hint elsewhere can leave it out.

use alloc::{borrow::ToOwned, string::String};

use serde::{Deserialize, Serialize};

/// What is said of a service that does not get up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detail {
    /// What happened, in words for people; may be empty.
    pub what: String,
    /// What to do about it, in words for people; may be empty.
    pub hint: String,
    /// An address that the service is to listen on is in use by another process.
    pub address_in_use: bool,
}

impl Detail {
    /// Nothing.
    pub const NONE: Self = Self {
        what: String::new(),
        hint: String::new(),
        address_in_use: false,
    };

    /// There is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.what.is_empty()
    }
}

impl From<String> for Detail {
    fn from(what: String) -> Self {
        Self { what, ..Self::NONE }
    }
}

impl From<&str> for Detail {
    fn from(what: &str) -> Self {
        what.to_owned().into()
    }
}
