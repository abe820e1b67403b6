//! The list of operations, which every part of this folder adds its own methods to.
//!
//! Where `altered` is set, the keeper hears of the list at the end of the input (`report.rs`). What
//! it has not heard of, a successor of this process works out anew.

use std::collections::VecDeque;

use api::Progress;
use engine::Moment;

use crate::control::{api::answers::Answer, operations::operation::Operation};

/// Operations that are remembered, the unfinished ones included.
pub(super) const OPERATIONS_MAX: usize = 64;

/// All operations that are remembered, oldest first.
#[derive(Debug, Default)]
pub(in crate::control) struct Operations {
    pub(super) list: VecDeque<Operation>,
    /// The keeper has to hear of the list.
    pub(super) altered: bool,
    /// The keeper has heard of an operation that is in flight.
    pub(super) in_flight: bool,
}

impl Operations {
    /// Makes room for one more: the oldest that is over gives way, or the oldest of all.
    pub(super) fn make_room(&mut self) -> Option<Operation> {
        if self.list.len() < OPERATIONS_MAX {
            return None;
        }
        let over = self.list.iter().position(|it| it.finished);
        self.list.remove(over.unwrap_or(0))
    }

    /// When some operations are to be looked at again.
    pub(in crate::control) fn poll_timeout(&self) -> Option<Moment> {
        let open = self.list.iter().filter(|it| !it.finished);
        open.filter_map(|it| it.look_at).min()
    }

    /// How far an operation is, for its client if that is there.
    pub(in crate::control) fn progress(&mut self, id: &str, line: Progress) -> Option<Answer> {
        self.get(id)?.progress(line)
    }

    pub(super) fn get(&mut self, id: &str) -> Option<&mut Operation> {
        self.list.iter_mut().find(|it| it.id == id)
    }
}
