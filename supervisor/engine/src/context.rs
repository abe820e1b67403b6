//! What one step of a service's machine is given of the rest, and where it leaves what it wants
//! done.
//!
//! The machine knows no other service: all that it may ask of them is in a [`Context`], worked out
//! before the step.

use alloc::{boxed::Box, collections::BTreeSet, vec::Vec};

use crate::{
    backoff::Jitter,
    effect::Effect,
    ended::Ended,
    ids::{Moment, RunId, ServiceId},
    order::Order,
    patience::Known,
};

/// What one step of a service's machine sees of the rest, and where it puts what it wants done.
pub(crate) struct Context<'a> {
    pub(crate) now: Moment,
    /// All that runs had said and done by this moment has been taken in.
    pub(crate) heard: Moment,
    /// The service must not run now: it, or something that it requires, is to go down.
    pub(crate) must_be_down: bool,
    /// The service is to run as soon as it can.
    pub(crate) up_wanted: bool,
    /// No dependent that has to stop first still runs.
    pub(crate) may_stop: bool,
    /// Dependencies that a start has to wait for.
    pub(crate) unmet: &'a BTreeSet<ServiceId>,
    /// Something that the service is bound to is not up.
    pub(crate) bound_lost: bool,
    /// Why the service goes down, if this step tells it to.
    pub(crate) order: Order,
    pub(crate) next_run: &'a mut u64,
    pub(crate) jitter: &'a mut Jitter,
    pub(crate) out: &'a mut Vec<Effect>,
    /// The main run that this step has found to be over.
    pub(crate) ended: Option<Box<Ended>>,
}

impl Context<'_> {
    /// A run number that was never used.
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
