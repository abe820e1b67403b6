//! How long a service without a `[ready]` of its own has to stay up before its readiness counts.
//!
//! Operations and the probation of a plan both use this time, so the module stands below both.

use engine::{Goal, Moment, ServiceId, State};
use plan::ReadyKind;

use crate::control::Context;

/// Least time up: a service that ends right after it was ready has not worked.
pub(super) const PROOF_MS: u64 = 5_000;

/// A service without a `[ready]` of its own is ready as soon as it executes, which says little of a
/// new configuration: until when it has to stay so for an operation to be done. `heard`: all that
/// runs had said and done by then is known.
pub(super) fn stable_at(cx: &Context, heard: Moment, service: ServiceId) -> Option<Moment> {
    let planned = cx.service(service)?;
    let view = cx.engine.view(service)?;
    let tells_nothing = planned.ready.kind == ReadyKind::Exec && !planned.oneshot;
    let runs = matches!(view.state, State::Running { .. }) && view.goal == Goal::Up;
    let until = view.since.after(PROOF_MS);
    (tells_nothing && runs && until > heard).then_some(until)
}
