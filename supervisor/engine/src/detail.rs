//! Why a service does not come up: why its last start failed, or what its start waits for.
//!
//! Invariant: the engine keeps a detail and decides nothing by it. Reason and hint stay separate
//! until they are shown, so that a caller which shows the hint elsewhere can leave it out here.

use alloc::{borrow::ToOwned, string::String};

use serde::{Deserialize, Serialize};

/// Why a service does not come up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detail {
    /// What happened, in words for people; may be empty.
    pub what: String,
    /// What to do about it, in words for people; may be empty.
    pub hint: String,
    /// Whether another process uses an address that the service is to listen on.
    pub address_in_use: bool,
}

impl Detail {
    /// No reason and no hint.
    pub const NONE: Self = Self {
        what: String::new(),
        hint: String::new(),
        address_in_use: false,
    };

    /// Whether there is neither a reason nor a hint.
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
