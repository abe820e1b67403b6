//! The beginning of each replacement that a client asks for: the request is in the history before
//! anything else happens, also one that is refused.

use api::{ErrorReply, EventKind};

use crate::{
    ask::Peer,
    control::{
        Context,
        operations::audit::{self, AuditLog},
    },
    history::Line,
};

/// A request by its name in the history, and what is said when it cannot be carried out.
pub(super) struct Request<'a> {
    pub(super) id: &'a str,
    pub(super) what: &'a str,
    pub(super) cannot: &'a str,
}

/// Notes and tells the request; refuses it if something stands against it.
pub(super) fn note(
    cx: &mut Context,
    audit_log: &mut AuditLog,
    request: &Request<'_>,
    peer: &Peer,
    obstacle: Option<(String, ErrorReply)>,
) -> Result<Line, ErrorReply> {
    let Request { id, what, cannot } = request;
    let asked = audit::asked(cx.now.unix_ms, id, peer, what, &[]);
    audit_log.add(asked.clone());
    if let Some((why, reply)) = obstacle {
        audit_log.refused(cx, id, Some(asked), &why);
        return Err(ErrorReply {
            message: format!("{cannot}: {why}"),
            ..reply
        });
    }
    cx.publish("", EventKind::Change, what, Some(&peer.name));
    tracing::info!(by = peer.name, "{what}");
    Ok(asked)
}
