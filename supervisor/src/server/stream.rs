//! NDJSON: one line of JSON per thing that happens, sent as soon as it is there.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, header},
    response::Response,
};
use hyper::body::Frame;
use serde::Serialize;
use tokio::sync::mpsc;

/// Lines that wait already are sent together, up to about this many bytes.
const FRAME_BYTES: usize = 32 << 10;

/// A response body from a channel. Ends with the channel; a client that goes away drops it.
struct Lines<T>(mpsc::Receiver<T>);

/// 200 with everything that comes out of this channel, a line each.
pub(super) fn ndjson<T: Serialize + Send + 'static>(lines: mpsc::Receiver<T>) -> Response {
    let mut response = Response::new(Body::new(Lines(lines)));
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/x-ndjson"),
    );
    response
}

impl<T: Serialize> hyper::body::Body for Lines<T> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(first) = ready!(self.0.poll_recv(cx)) else {
            return Poll::Ready(None);
        };
        let mut frame = Vec::new();
        write_line(&mut frame, &first);
        while frame.len() < FRAME_BYTES
            && let Ok(line) = self.0.try_recv()
        {
            write_line(&mut frame, &line);
        }
        Poll::Ready(Some(Ok(Frame::data(frame.into()))))
    }
}

fn write_line(frame: &mut Vec<u8>, line: &impl Serialize) {
    let start = frame.len();
    match serde_json::to_writer(&mut *frame, line) {
        Ok(()) => frame.push(b'\n'),
        Err(err) => {
            frame.truncate(start);
            tracing::error!("cannot write a line of an answer as JSON: {err}");
        }
    }
}
