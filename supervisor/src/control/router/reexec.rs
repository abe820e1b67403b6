//! Replacement of this control process: obstacles, and the work of this process meanwhile.

use api::{ErrorReply, Progress};
use keeper::message::{Notice, Request};
use tokio::sync::mpsc;

use crate::{
    ask::Peer,
    control::{Control, Input, operations::admission::Intent, succession::reexec::changes_nothing},
};

impl Control {
    pub(super) fn ask_reexec(
        &mut self,
        id: &str,
        peer: &Peer,
    ) -> Result<mpsc::Receiver<Progress>, ErrorReply> {
        let admitted = self.under_way().admit(Intent::Reexec);
        let obstacle = admitted.err().map(|it| (it.clause(), it.reply()));
        self.daemon
            .reexec
            .ask(&mut self.cx, &mut self.audit, id, peer, obstacle)
    }

    /// Hands over once nothing is under way. The last step after an input.
    pub(in crate::control) fn hand_over_when_quiet(&mut self) {
        let idle = self.reconfigure.is_idle();
        let busy = self.starts.is_looking_up()
            || self.holds.are_awaited()
            || self.audit.are_awaited()
            || self.exits.are_awaited()
            || self.running.are_being_written()
            || self.maintenance.is_awaited()
            || !idle;
        let refused = self.cx.is_stopping() || !idle;
        self.daemon
            .reexec
            .hand_over_when_quiet(&mut self.cx, &mut self.audit, busy, refused);
    }

    /// Takes in what comes while another control process is being started.
    pub(in crate::control) fn handle_frozen(&mut self, input: Input) {
        match input {
            Input::Notice(Notice::NotReplaced { why }) => self.go_on(&why),
            Input::Notice(Notice::AreYouThere) => self.cx.tell(Request::Here),
            Input::Ask(ask) if changes_nothing(&ask) => self.on_ask(ask),
            input => self.daemon.reexec.hold_back(input),
        }
    }

    /// Goes on, since the successor has failed.
    fn go_on(&mut self, why: &str) {
        // An answer would be about what the other was told.
        self.daemon.watermark.forget_question();
        let held = self
            .daemon
            .reexec
            .give_up(&mut self.cx, &mut self.audit, why);
        for input in held {
            self.handle(self.cx.now, input);
        }
        self.handle(self.cx.now, Input::Timeout);
    }
}
