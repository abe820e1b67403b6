//! Variables of a service's environment.

use std::fmt;

use api::VariableSource;
use serde::{Deserialize, Serialize};

use super::hidden::HIDDEN;

/// One environment variable.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variable {
    /// Value.
    pub value: String,
    /// Origin of the value.
    pub source: VariableSource,
    /// A secret: never shown, also not in values that it went into.
    pub secret: bool,
    /// Not shown, since nothing says that it is harmless.
    #[serde(default)]
    pub private: bool,
}

impl Variable {
    /// Whether the value is hidden.
    pub fn is_hidden(&self) -> bool {
        self.secret || self.private
    }
}

impl fmt::Debug for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = if self.is_hidden() {
            HIDDEN
        } else {
            &self.value
        };
        write!(f, "{value:?} ({:?})", self.source)
    }
}
