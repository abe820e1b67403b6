//! SIGHUP: the files as they are are to be applied, once what is under way is over.
//!
//! Invariant: the keeper remembers a SIGHUP from the moment it is taken in until nothing is under
//! way any more that began with one, so a control process that takes over goes on with it.

use keeper::message::Hello;

use crate::{
    ask::Peer,
    control::{
        Context,
        reconfigure::{Reconfigure, ReconfigureRequest},
        record_keys::Key,
    },
};

/// What is known of the last SIGHUP.
#[derive(Debug, Default)]
pub(super) struct Hangup {
    /// The keeper remembers a SIGHUP.
    remembered: bool,
    /// A SIGHUP came while the files could not be applied.
    waits: bool,
}

/// A SIGHUP as if a client had asked for it.
#[derive(Debug)]
pub(super) struct HangupRequest {
    /// Of the operation.
    pub(super) id: String,
    pub(super) request: ReconfigureRequest,
    pub(super) peer: Peer,
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

    /// A SIGHUP that is remembered is acted on once more.
    pub(super) const fn go_on(&mut self) {
        self.waits = self.remembered;
    }

    pub(super) const fn is_remembered(&self) -> bool {
        self.remembered
    }
}

impl Reconfigure {
    /// Takes a SIGHUP in. Returns what is to begin now; none: later, or never, since everything is
    /// being stopped.
    pub(super) fn take_hangup(
        &mut self,
        cx: &mut Context,
        stopping: bool,
    ) -> Option<HangupRequest> {
        if !std::mem::replace(&mut self.hangup.remembered, true) {
            cx.remember(Key::Hangup, "asked".to_owned());
        }
        let now = self.attempt.stage.is_idle() && !cx.engine.has_leases();
        self.hangup.waits = !now;
        if !now || stopping {
            return None;
        }
        // Nobody can say who sent the signal.
        let peer = Peer {
            uid: nix::unistd::Uid::effective().as_raw(),
            name: "SIGHUP".to_owned(),
        };
        let number = cx.engine.allocate_run().0;
        Some(HangupRequest {
            id: format!("sighup-{}-{number}", cx.now.unix_ms),
            request: ReconfigureRequest {
                unattended: true,
                ..ReconfigureRequest::of(cx, &peer.name)
            },
            peer,
        })
    }

    /// A SIGHUP waits.
    pub(super) const fn hangup_waits(&self) -> bool {
        self.hangup.waits
    }

    /// A SIGHUP has waited for a job to give services back, and may begin.
    pub(super) fn hangup_is_due(&self, cx: &Context) -> bool {
        self.hangup.waits && self.attempt.stage.is_idle() && !cx.engine.has_leases()
    }

    /// Has the keeper forget the SIGHUP if nothing is under way any more that began with it.
    pub(super) fn forget_hangup_when_idle(&mut self, cx: &mut Context) {
        let idle = self.attempt.stage.is_idle() && !self.hangup.waits;
        if idle && std::mem::take(&mut self.hangup.remembered) {
            cx.remember(Key::Hangup, String::new());
        }
    }
}
