//! The state of a service as clients know it, made from the engine's: the one place that pairs the
//! two. The wire type has the words, so that every message and answer says the same.

use api::ServiceState;
use engine::State;

/// A service's state, as clients get it.
pub(in crate::control) const fn service_state(state: &State) -> ServiceState {
    match state {
        State::Stopped => ServiceState::Stopped,
        State::Waiting { .. } => ServiceState::Waiting,
        // For clients a validator's run is part of the start that waits for it.
        State::Validating { .. } | State::Spawning { .. } => ServiceState::Spawning,
        State::Starting { .. } => ServiceState::Starting,
        State::Running { .. } => ServiceState::Running,
        State::Reloading { .. } => ServiceState::Reloading,
        State::Stopping { .. } => ServiceState::Stopping,
        State::Backoff { .. } => ServiceState::Backoff,
        State::Failed { .. } => ServiceState::Failed,
        State::Completed => ServiceState::Completed,
    }
}
