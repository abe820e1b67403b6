//! Whether the host is in maintenance.

use api::{MAINTENANCE_MESSAGE_CHARACTERS_MAX, MaintenanceRequest};
use axum::{Extension, extract::State};
use serde::Deserialize;

use super::{
    Shared,
    access::Credentials,
    extract::{JsonBody, NoBody, NoParams, Params, check_id},
    handler::{Answer, Caller, Loop, fresh_id},
    reply::{Failure, json},
};
use crate::ask::Ask;

#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct MaintenanceQuery {
    id: Option<String>,
}

pub(super) async fn maintained(
    State(shared): Loop,
    Params(NoParams {}): Params<NoParams>,
) -> Answer {
    let reply = shared.ask(|reply| Ask::Maintenance { reply }).await?;
    Ok(json(&reply))
}

pub(super) async fn begin(
    State(shared): Loop,
    Extension(peer): Caller,
    Params(query): Params<MaintenanceQuery>,
    JsonBody(request): JsonBody<MaintenanceRequest>,
) -> Answer {
    if let Some(message) = &request.message {
        check_message(message)?;
    }
    set(&shared, &peer, query, Some(request)).await
}

pub(super) async fn end(
    State(shared): Loop,
    Extension(peer): Caller,
    Params(query): Params<MaintenanceQuery>,
    _: NoBody,
) -> Answer {
    set(&shared, &peer, query, None).await
}

async fn set(
    shared: &Shared,
    peer: &Credentials,
    query: MaintenanceQuery,
    wanted: Option<MaintenanceRequest>,
) -> Answer {
    let id = query.id.unwrap_or_else(fresh_id);
    check_id(&id)?;
    let peer = shared.peer(peer.uid).await;
    let ask = |reply| Ask::SetMaintenance {
        id,
        wanted,
        peer,
        reply,
    };
    Ok(json(&shared.ask(ask).await?))
}

/// A message appears on pages, in logs and on terminals.
fn check_message(message: &str) -> Result<(), Failure> {
    let length = message.chars().count();
    if message.trim().is_empty() {
        return Err(Failure::usage(
            "the message to users is empty",
            "leave it out: users are told that there is maintenance",
        ));
    }
    if length > MAINTENANCE_MESSAGE_CHARACTERS_MAX {
        return Err(Failure::usage(
            format!(
                "the message to users has {length} characters, more than {MAINTENANCE_MESSAGE_CHARACTERS_MAX}"
            ),
            "say it in fewer words",
        ));
    }
    if message.chars().any(char::is_control) {
        return Err(Failure::usage(
            "the message to users has a control character in it",
            "write it in one line, of text alone",
        ));
    }
    Ok(())
}
