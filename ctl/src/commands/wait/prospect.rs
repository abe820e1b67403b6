//! Judges whether the condition of a wait is met, or cannot come about by itself.

use api::{Goal, ServiceState, ServiceStatus, StatusReply};
use client::{
    Context, Error, Kind,
    operation::DOWN_ENDS,
    render::{shown, table},
};

/// The condition that a wait is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    Ready,
    Healthy,
    Stopped,
}

impl Until {
    /// Whether the service meets the condition.
    pub(super) fn is_so(self, service: &ServiceStatus) -> bool {
        match self {
            Self::Ready => service.ready,
            Self::Healthy => service.ready && service.healthy != Some(false),
            Self::Stopped => DOWN_ENDS.contains(&service.state),
        }
    }
}

/// The services of the reply, and all others if a service waits on one that the reply lacks.
pub(super) async fn causes(
    context: &Context,
    reply: &StatusReply,
) -> Result<Vec<ServiceStatus>, Error> {
    let asked = &reply.services;
    let known = |name: &String| asked.iter().any(|service| service.name == *name);
    if asked
        .iter()
        .flat_map(|service| &service.waiting_on)
        .all(known)
    {
        return Ok(asked.clone());
    }
    let all: StatusReply = context.client.get("/v1/services").await?;
    Ok(all.services)
}

/// Whether nothing that is under way will make the service ready: somebody has to act.
pub(super) fn is_hopeless(service: &ServiceStatus, until: Until, all: &[ServiceStatus]) -> bool {
    until != Until::Stopped && will_not_be_ready(service, all, 0)
}

fn will_not_be_ready(service: &ServiceStatus, all: &[ServiceStatus], depth: usize) -> bool {
    let lost = |name: &String| {
        let found = all.iter().find(|other| other.name == *name && !other.ready);
        found.is_some_and(|other| will_not_be_ready(other, all, depth + 1))
    };
    match service.state {
        ServiceState::Failed => true,
        ServiceState::Stopped => service.goal == Goal::Down,
        // The graph has no cycles; the depth is a guard against a server that says otherwise.
        ServiceState::Waiting => depth < all.len() && service.waiting_on.iter().any(lost),
        _ => !service.enabled,
    }
}

/// The error for a service that does not meet the condition by itself.
pub(super) fn never(service: &ServiceStatus, until: Until) -> Error {
    let name = shown(&service.name);
    let what = if until == Until::Healthy {
        "healthy"
    } else {
        "ready"
    };
    let why = match (&service.held, &service.reason) {
        (Some(held), _) => format!("stopped by {} at {}", held.by, held.at),
        (_, Some(reason)) if !reason.is_empty() => format!("{}: {reason}", service.state),
        _ if service.waiting_on.is_empty() => table::state(service).to_owned(),
        _ => format!("{} on {}", service.state, service.waiting_on.join(", ")),
    };
    Error::new(
        Kind::NotReady,
        format!("{name} does not become {what} by itself: {why}"),
    )
    .hint(format!("see: ctl why {name}"))
}
