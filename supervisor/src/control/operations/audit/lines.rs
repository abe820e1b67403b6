//! Lines of the history, and their words.

use api::{ActionResult, GoneBack, Verdict};

use crate::{
    ask::Peer,
    control::{Context, text},
    history::{Line, Said},
};

/// The line for the request of an operation.
pub(in crate::control) fn asked(
    unix_ms: u64,
    id: &str,
    peer: &Peer,
    what: &str,
    services: &[String],
) -> Line {
    Line {
        at: text::time(unix_ms),
        id: id.to_owned(),
        said: Said::Asked {
            by: peer.name.clone(),
            uid: peer.uid,
            what: what.to_owned(),
            services: services.to_vec(),
        },
    }
}

/// The failures of an operation, one sentence per service.
pub(in crate::control) fn failures(results: &[ActionResult]) -> Vec<String> {
    let failed = results.iter().filter(|it| it.verdict == Verdict::Failed);
    let words = failed.map(|result| match result.detail.as_str() {
        "" => format!("{}: {}", result.service, result.full_state()),
        detail => format!("{}: {}: {detail}", result.service, result.full_state()),
    });
    words.collect()
}

/// How an operation was rolled back, in words.
pub(in crate::control) fn gone_back(it: &GoneBack) -> String {
    let (at, by) = (&it.to.at, &it.to.by);
    let failed = failures(&it.results).join("; ");
    match &it.refused {
        Some(why) => {
            format!("cannot go back to the configuration of {at}, asked for by {by}: {why}")
        }
        None if failed.is_empty() => {
            format!("gone back to the configuration of {at}, asked for by {by}")
        }
        None => format!(
            "gone back to the configuration of {at}, asked for by {by}, with which this failed: {failed}"
        ),
    }
}

/// A line of this moment.
pub(super) fn line(cx: &Context, id: &str, said: Said) -> Line {
    Line {
        at: text::time(cx.now.unix_ms),
        id: id.to_owned(),
        said,
    }
}
