//! Reads newline-delimited JSON from a response while the response arrives.

use std::marker::PhantomData;

use api::ErrorReply;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::de::DeserializeOwned;

use crate::{
    error::{Error, Kind},
    transport_error::{TransportError, not_understood},
};

/// Longest line of a stream, in bytes.
const LINE_BYTES_MAX: usize = 4 << 20;

/// A stream of JSON values, one per line.
pub struct Lines<T> {
    body: Incoming,
    rest: Vec<u8>,
    of: PhantomData<T>,
}

impl<T: DeserializeOwned> Lines<T> {
    /// Reads values from this body.
    pub fn new(body: Incoming) -> Self {
        Self {
            body,
            rest: Vec::new(),
            of: PhantomData,
        }
    }

    /// The values that have arrived since the last call, at least one; `None` at the end of the
    /// stream.
    pub async fn next(&mut self) -> Result<Option<Vec<T>>, TransportError> {
        while let Some(frame) = self.body.frame().await {
            let frame = frame.map_err(|error| TransportError::Broken(error.to_string()))?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            self.rest.extend_from_slice(&data);
            let values = self.complete()?;
            if !values.is_empty() {
                return Ok(Some(values));
            }
            if self.rest.len() > LINE_BYTES_MAX {
                let message = "the supervisor sent a line without end";
                return Err(TransportError::Replied(Error::new(Kind::Failed, message)));
            }
        }
        Ok(None)
    }

    fn complete(&mut self) -> Result<Vec<T>, TransportError> {
        let Some(end) = self.rest.iter().rposition(|&byte| byte == b'\n') else {
            return Ok(Vec::new());
        };
        let mut values = Vec::new();
        for line in self.rest[..end].split(|&byte| byte == b'\n') {
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            values.push(value(line).map_err(TransportError::Replied)?);
        }
        self.rest.drain(..=end);
        Ok(values)
    }
}

fn value<T: DeserializeOwned>(line: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(line).map_err(|error| {
        serde_json::from_slice::<ErrorReply>(line)
            .map_or_else(|_| not_understood(&error), Error::from)
    })
}
