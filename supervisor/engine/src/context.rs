//! The input and output of one step of a service's machine, apart from the service itself.
//!
//! The machine knows no other service: [`Context`] holds all that the machine may know of the
//! others, worked out before the step.

use alloc::{boxed::Box, collections::BTreeSet, vec::Vec};

use crate::{
    backoff::Jitter,
    effect::Effect,
    ended::Ended,
    ids::{Moment, RunId, ServiceId},
    patience::Known,
    reasons::StopReason,
};

/// What one step of a service's machine sees of other services, and where the step puts effects.
pub(crate) struct Context<'a> {
    pub(crate) now: Moment,
    /// The engine has taken in everything that runs had said and done by this moment.
    pub(crate) heard: Moment,
    /// The service must not run now: the service or something that it requires is to go down.
    pub(crate) must_be_down: bool,
    /// The service is to run as soon as it can.
    pub(crate) up_wanted: bool,
    /// No dependent that has to stop first still runs.
    pub(crate) may_stop: bool,
    /// Dependencies that a start has to wait for.
    pub(crate) unmet: &'a BTreeSet<ServiceId>,
    /// Some service that this service is bound to is not up.
    pub(crate) bound_lost: bool,
    /// Why the service goes down, if this step tells it to.
    pub(crate) order: StopReason,
    pub(crate) next_run: &'a mut u64,
    pub(crate) jitter: &'a mut Jitter,
    pub(crate) out: &'a mut Vec<Effect>,
    /// The main run that this step has found to be over.
    pub(crate) ended: Option<Box<Ended>>,
}

impl Context<'_> {
    /// Returns a run number that was never used.
    pub(crate) fn allocate(&mut self) -> RunId {
        let run = RunId(*self.next_run);
        *self.next_run += 1;
        run
    }

    /// As [`Known::is_over`].
    pub(crate) fn is_over(&self, by: &mut Moment, patience_ms: u64) -> bool {
        let (now, heard) = (self.now, self.heard);
        Known { now, heard }.is_over(by, patience_ms)
    }
}
