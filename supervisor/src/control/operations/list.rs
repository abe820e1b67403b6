//! The list of operations; every part of this folder adds its own methods.
//!
//! Where `altered` is set, the keeper hears of the list at the end of the input (`report.rs`). A
//! successor of this process works out anew what the keeper has not heard.

use std::collections::VecDeque;

use api::Progress;
use engine::Moment;

use crate::control::{api::answers::Answer, operations::operation::Operation};

/// Most operations remembered, including unfinished ones.
pub(super) const OPERATIONS_MAX: usize = 64;

/// All operations that are remembered, oldest first.
#[derive(Debug, Default)]
pub(in crate::control) struct Operations {
    pub(super) list: VecDeque<Operation>,
    /// Whether the keeper has to hear of the list.
    pub(super) altered: bool,
    /// Whether the keeper has heard of an operation in flight.
    pub(super) in_flight: bool,
}

impl Operations {
    /// Makes room for one operation: drops the oldest that is over, or else the oldest of all.
    pub(super) fn make_room(&mut self) -> Option<Operation> {
        if self.list.len() < OPERATIONS_MAX {
            return None;
        }
        let over = self.list.iter().position(|it| it.finished);
        self.list.remove(over.unwrap_or(0))
    }

    /// When some operations need another look.
    pub(in crate::control) fn poll_timeout(&self) -> Option<Moment> {
        let open = self.list.iter().filter(|it| !it.finished);
        open.filter_map(|it| it.look_at).min()
    }

    /// Reports progress to the client of an operation, if the client is there.
    pub(in crate::control) fn progress(&mut self, id: &str, line: Progress) -> Option<Answer> {
        self.get(id)?.progress(line)
    }

    pub(super) fn get(&mut self, id: &str) -> Option<&mut Operation> {
        self.list.iter_mut().find(|it| it.id == id)
    }
}
