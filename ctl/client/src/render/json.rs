//! The types of the API as JSON: indented for a person, one line for a program.

use serde::Serialize;

use crate::error::{Error, Kind};

/// A value and a newline.
pub fn value<T: Serialize>(value: &T, pretty: bool) -> Result<String, Error> {
    let text = if pretty {
        serde_json::to_string_pretty(value)
    } else {
        serde_json::to_string(value)
    };
    text.map(|text| text + "\n")
        .map_err(|error| Error::new(Kind::Failed, format!("cannot write JSON: {error}")))
}

/// Values, each on a line of its own.
pub fn lines<T: Serialize>(values: &[T]) -> Result<String, Error> {
    values.iter().map(|item| value(item, false)).collect()
}
