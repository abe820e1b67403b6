//! Replacement of this control process: obstacles, and the work of this process meanwhile.

use api::{ErrorReply, Progress};
use keeper::message::{KeeperRefusal, Notice, Request};
use tokio::sync::mpsc;

use crate::{
    ask::{ReexecAsked, ReexecOf},
    control::{
        Control, Input, daemon::Daemon, operations::admission::Intent,
        succession::reexec::changes_nothing,
    },
};

impl Control {
    pub(super) fn ask_reexec(
        &mut self,
        asked: &ReexecAsked,
    ) -> Result<mpsc::Receiver<Progress>, ErrorReply> {
        let ReexecAsked { of, id, peer } = asked;
        let intent = match of {
            ReexecOf::Control => Intent::Reexec,
            ReexecOf::Keeper => Intent::KeeperReexec,
        };
        let admitted = self.under_way().admit(intent);
        let obstacle = admitted.err().map(|it| (it.clause(), it.reply()));
        let (cx, audit) = (&mut self.cx, &mut self.audit);
        let Daemon {
            reexec,
            keeper_reexec,
            ..
        } = &mut self.daemon;
        match of {
            ReexecOf::Control => reexec.ask(cx, audit, id, peer, obstacle),
            ReexecOf::Keeper => keeper_reexec.ask(cx, audit, id, peer, obstacle),
        }
    }

    /// The keeper has become the installed program.
    pub(in crate::control) fn on_keeper_replaced(&mut self, version: String, execs: u32) {
        let (cx, audit) = (&mut self.cx, &mut self.audit);
        self.daemon.keeper_reexec.done(cx, audit, version, execs);
    }

    /// The keeper has not become the installed program.
    pub(in crate::control) fn on_keeper_not_replaced(&mut self, why: KeeperRefusal) {
        let (cx, audit) = (&mut self.cx, &mut self.audit);
        self.daemon.keeper_reexec.refused(cx, audit, why);
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
