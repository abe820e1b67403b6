//! The engine itself: goals over the graph. (Signatures; the bodies are to be written.)

use crate::*;
use alloc::{string::String, vec::Vec};

// impl Engine {
//     /// `seed` feeds the jitter; `next_run` comes from the keeper.
//     pub fn new(seed: u64, next_run: RunId) -> Self;
//     pub fn handle(&mut self, now: Moment, event: Event) -> Result<Accepted, Refusal>;
//     pub fn poll_effect(&mut self) -> Option<Effect>;
//     pub fn poll_timeout(&self) -> Option<Moment>;
//     /// A number for a run that the engine does not decide about (an exec probe).
//     pub fn allocate_run(&mut self) -> RunId;
//     pub fn view(&self, service: ServiceId) -> Option<View>;
//     pub fn settled(&self, service: ServiceId) -> Option<Settled>;
//     pub fn main_run(&self, service: ServiceId) -> Option<RunId>;
//     /// The service a run belongs to (main run, validator or reload command), while the engine cares for it.
//     pub fn service_of(&self, run: RunId) -> Option<ServiceId>;
//     /// Goal, hold, state, counters: what must survive the control process.
//     pub fn record(&self, service: ServiceId) -> Option<Record>;
//     /// Before the first `Apply`: takes back what an earlier control process knew of a service.
//     pub fn restore(&mut self, service: ServiceId, record: Record);
//     /// Services in reverse start order, for the stop without a keeper.
//     pub fn stop_order(&self) -> Vec<ServiceId>;
// }
