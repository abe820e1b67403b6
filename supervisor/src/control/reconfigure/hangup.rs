//! SIGHUP: the files as they are are to be applied, once what is under way is over.
//!
//! Invariant: the keeper remembers a SIGHUP from the moment it is taken in until nothing is under
//! way any more that began with one, so a control process that takes over goes on with it.

use keeper::message::Hello;

use crate::control::{Context, record_keys::Key};

/// The state of the last SIGHUP.
#[derive(Debug, Default)]
pub(super) struct Hangup {
    /// Whether the keeper remembers a SIGHUP.
    remembered: bool,
    /// Whether a SIGHUP came while the files could not be applied.
    waits: bool,
}

impl Hangup {
    /// What the keeper remembers: an earlier control process may have died before it was through.
    pub(super) fn restore(hello: &Hello) -> Self {
        let record = Key::Hangup.of(&hello.records);
        Self {
            remembered: record.is_some_and(|it| !it.is_empty()),
            waits: false,
        }
    }

    /// Acts once more on a SIGHUP that the keeper remembers.
    pub(super) const fn go_on(&mut self) {
        self.waits = self.remembered;
    }

    pub(super) const fn is_remembered(&self) -> bool {
        self.remembered
    }

    /// A SIGHUP came. `waits`: the files cannot be applied now.
    pub(super) fn take_in(&mut self, cx: &mut Context, waits: bool) {
        if !std::mem::replace(&mut self.remembered, true) {
            cx.remember(Key::Hangup, "asked".to_owned());
        }
        self.waits = waits;
    }

    /// A SIGHUP came while the files could not be applied.
    pub(super) const fn waits(&self) -> bool {
        self.waits
    }

    /// Nothing is under way any more: has the keeper forget the SIGHUP, unless that still waits.
    pub(super) fn forget(&mut self, cx: &mut Context) {
        if !self.waits && std::mem::take(&mut self.remembered) {
            cx.remember(Key::Hangup, String::new());
        }
    }
}
