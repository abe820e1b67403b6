//! Waits for the first line of a service that matches, from a moment on.

use std::{path::PathBuf, sync::Arc};

use tokio::sync::mpsc;

use super::{After, Filter, Query, client::Client, reader};
use crate::ask::LogPlace;

/// Lines under way: the first ends it, but ours (rotations, gaps) come along.
const LINES: usize = 16;

/// Returns once the service has logged such a line. It may wait for ever: drop it. The error says
/// why it cannot be waited for. To be called on a tokio runtime.
///
/// These do not count as clients: their number is that of the runs that are starting.
pub(crate) async fn await_line(
    service: String,
    dir: PathBuf,
    pattern: &str,
    since_unix_ms: u64,
) -> Result<(), String> {
    let since = text::rfc3339_micros(text::timestamp(since_unix_ms));
    let filter = Filter::new(Some(&since), None, Some(pattern), false)?;
    let place = LogPlace {
        service,
        dir,
        files: Vec::new(),
    };
    let query = Query {
        places: vec![place],
        files: false,
        lines: None,
        follow: true,
        filter: Arc::new(filter),
        after: After::default(),
    };
    let shared = super::shared()?;
    let (sender, mut lines) = mpsc::channel(LINES);
    reader::add(shared, Client::new(query, sender, None));
    while let Some(line) = lines.recv().await {
        if !line.marker {
            return Ok(());
        }
    }
    Err("nobody reads logs any more".to_owned())
}
