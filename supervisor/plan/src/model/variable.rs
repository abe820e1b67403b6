//! Variables of a service's environment.

use std::fmt;

use api::VariableSource;
use serde::{Deserialize, Serialize};

use super::hidden::HIDDEN;

/// One environment variable.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variable {
    /// Its value.
    pub value: String,
    /// Where it comes from.
    pub source: VariableSource,
    /// Never to be shown, wherever it may have got to.
    pub secret: bool,
    /// Not to be shown, since nothing says that it is harmless.
    #[serde(default)]
    pub private: bool,
}

impl Variable {
    /// Its value is not for everybody's eyes.
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
