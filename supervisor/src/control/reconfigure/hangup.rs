//! SIGHUP: the files as they are are to be applied, once what is under way is over.
//!
//! Invariant: the keeper remembers a SIGHUP from the moment it is taken in until nothing is under way any more that
//! began with one, so a control process that takes over goes on with it.

use keeper::message::Hello;

use crate::control::{Context, reconfigure::Reconfigure, record_keys::Key};

/// What is known of the last SIGHUP.
#[derive(Debug, Default)]
pub(super) struct Hangup {
    /// The keeper remembers one.
    remembered: bool,
    /// One came while the files could not be applied.
    waits: bool,
}

impl Hangup {
    /// An earlier control process may have taken one in and died before it was through with it.
    pub(super) fn restore(hello: &Hello) -> Self {
        let record = Key::Hangup.of(&hello.records);
        Self {
            remembered: record.is_some_and(|it| !it.is_empty()),
            waits: false,
        }
    }

    /// The one that an earlier control process had taken in is acted on once more.
    pub(super) const fn go_on(&mut self) {
        self.waits = self.remembered;
    }

    pub(super) const fn is_remembered(&self) -> bool {
        self.remembered
    }
}

impl Reconfigure {
    /// Takes one in. True: the files are to be applied now; false: later.
    pub(super) fn take_hangup(&mut self, cx: &mut Context) -> bool {
        if !std::mem::replace(&mut self.hangup.remembered, true) {
            cx.remember(Key::Hangup, "asked".to_owned());
        }
        let now = self.attempt.stage.is_idle() && !cx.engine.has_leases();
        self.hangup.waits = !now;
        now
    }

    /// One waits.
    pub(super) const fn hangup_waits(&self) -> bool {
        self.hangup.waits
    }

    /// One has waited for a job to give services back, and may begin.
    pub(super) fn hangup_is_due(&self, cx: &Context) -> bool {
        self.hangup.waits && self.attempt.stage.is_idle() && !cx.engine.has_leases()
    }

    /// Nothing is under way any more that began with one?
    pub(super) fn forget_hangup_when_idle(&mut self, cx: &mut Context) {
        let idle = self.attempt.stage.is_idle() && !self.hangup.waits;
        if idle && std::mem::take(&mut self.hangup.remembered) {
            cx.remember(Key::Hangup, String::new());
        }
    }
}
