//! `ctl reexec`: hands all over to another control process, or goes on if that will not do.
//!
//! It is asked for, then waited a moment until nothing is under way that the other could not know
//! of, then the keeper is asked for the other. From that word on this process changes nothing: what
//! comes is held back, questions are answered from memory, and new clients wait in the backlog.
//! Either the keeper ends this process, or says that the other has failed; then all that was held
//! back is handled as if it came now. Limits: [`PATIENCE_MS`], [`ASKS_MAX`].

use std::collections::VecDeque;

use api::{ErrorKind, ErrorReply, Progress};
use engine::Moment;
use keeper::message::{Notice, Request};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::{
    ask::{ASKS_MAX, Ask, Peer},
    control::{
        Control, Input,
        api::answers::Answer,
        input::Output,
        on_disk::Durability,
        operations::{admission::Intent, audit},
        record_keys::Key,
    },
    history::Line,
};

/// Lookups (a user, a program, who holds a port) may hold it up this long: they can hang.
const PATIENCE_MS: u64 = 2_000;
/// Lines of the answer: that it is accepted, and that it failed.
const LINES: usize = 2;

/// How far it is.
#[derive(Debug, Default)]
pub(in crate::control) struct Reexec {
    stage: Stage,
}

#[derive(Debug, Default)]
enum Stage {
    /// Nobody has asked.
    #[default]
    None,
    /// As soon as nothing is under way, or at this moment.
    Asked { by: Moment, client: Client },
    /// Another is being started.
    Frozen {
        held: VecDeque<Input>,
        asks: usize,
        client: Client,
    },
}

/// Who has asked.
#[derive(Debug)]
struct Client {
    asked: Line,
    progress: mpsc::Sender<Progress>,
}

/// What the keeper remembers of it.
#[derive(Debug, Serialize, Deserialize)]
struct Asked {
    line: Line,
    /// Another control process has been asked for.
    handed_over: bool,
}

impl Reexec {
    pub(in crate::control) const fn is_frozen(&self) -> bool {
        matches!(self.stage, Stage::Frozen { .. })
    }

    pub(in crate::control) const fn poll_timeout(&self) -> Option<Moment> {
        match self.stage {
            Stage::Asked { by, .. } => Some(by),
            Stage::None | Stage::Frozen { .. } => None,
        }
    }

    /// Somebody has asked for another control process.
    pub(in crate::control) const fn is_asked(&self) -> bool {
        !matches!(self.stage, Stage::None)
    }
}

impl Control {
    /// A client wants it.
    pub(in crate::control) fn ask_reexec(
        &mut self,
        id: &str,
        peer: &Peer,
    ) -> Result<mpsc::Receiver<Progress>, ErrorReply> {
        let admitted = self.under_way().admit(Intent::Reexec);
        let asked = audit::asked(self.cx.now.unix_ms, id, peer, "reexec", &[]);
        self.audit.add(asked.clone());
        if let Err(obstacle) = admitted {
            let why = obstacle.clause();
            self.audit.refused(&mut self.cx, id, Some(asked), &why);
            return Err(ErrorReply {
                message: format!("cannot start another control process: {why}"),
                ..obstacle.reply()
            });
        }
        self.cx.publish("", "change", "reexec", Some(&peer.name));
        tracing::info!(by = peer.name, "reexec");
        let (progress, stream) = mpsc::channel(LINES);
        self.remember_reexec(&asked, false);
        self.reexec.stage = Stage::Asked {
            by: self.cx.now.moment.after(PATIENCE_MS),
            client: Client { asked, progress },
        };
        Ok(stream)
    }

    /// Asks the keeper for another, once it can know all that this one knows. Called last of all
    /// that follows an input: nothing may be asked after it.
    pub(in crate::control) fn hand_over_when_quiet(&mut self) {
        let Stage::Asked { by, .. } = self.reexec.stage else {
            return;
        };
        let busy = self.starts.is_looking_up()
            || self.holds.are_awaited()
            || self.audit.are_awaited()
            || self.exits.are_awaited()
            || self.running.are_being_written()
            || self.maintenance.is_awaited()
            || !self.reconfigure.is_idle();
        if busy && self.cx.now.moment < by {
            return;
        }
        let Stage::Asked { client, .. } = std::mem::take(&mut self.reexec.stage) else {
            return;
        };
        if self.lifecycle.is_stopping() || !self.reconfigure.is_idle() {
            self.refuse_reexec(client, "something else has come in between");
            return;
        }
        self.cx.output(Output::LetIn(false));
        self.accept_reexec(&client);
        self.remember_reexec(&client.asked, true);
        self.cx.tell(Request::Reexec);
        self.reexec.stage = Stage::Frozen {
            held: VecDeque::new(),
            asks: 0,
            client,
        };
    }

    /// Takes in what comes while another is being started.
    pub(in crate::control) fn handle_frozen(&mut self, input: Input) {
        match input {
            Input::Notice(Notice::NotReplaced { why }) => self.go_on(&why),
            Input::Notice(Notice::AreYouThere) => self.cx.tell(Request::Here),
            Input::Ask(ask) if changes_nothing(&ask) => self.on_ask(ask),
            input => self.hold_back(input),
        }
    }

    fn hold_back(&mut self, input: Input) {
        let Stage::Frozen { held, asks, .. } = &mut self.reexec.stage else {
            return;
        };
        if matches!(input, Input::Ask(_)) {
            if *asks == ASKS_MAX {
                // Its client hears that nobody answers.
                return;
            }
            *asks += 1;
        }
        held.push_back(input);
    }

    /// The other will not do.
    fn go_on(&mut self, why: &str) {
        let Stage::Frozen { held, client, .. } = std::mem::take(&mut self.reexec.stage) else {
            return;
        };
        tracing::error!("the new control process does not take over, so this one goes on: {why}");
        // An answer would be about what the other was told.
        self.watermark.forget_question();
        self.cx.output(Output::LetIn(true));
        self.refuse_reexec(client, why);
        for input in held {
            self.handle(self.cx.now, input);
        }
        self.handle(self.cx.now, Input::Timeout);
    }

    /// Who takes over says in the history how it ended.
    fn remember_reexec(&mut self, asked: &Line, handed_over: bool) {
        let asked = Asked {
            line: asked.clone(),
            handed_over,
        };
        let record = serde_json::to_string(&asked).expect("it is plain data");
        self.cx.remember(Key::Reexec, record);
    }

    fn forget_reexec(&mut self) {
        self.cx.remember(Key::Reexec, String::new());
    }

    /// It was asked for, and here we are.
    pub(in crate::control) fn restore_reexec(&mut self, record: Option<&String>) {
        let asked = record.and_then(|it| serde_json::from_str::<Asked>(it).ok());
        let Some(Asked { line, handed_over }) = asked else {
            return;
        };
        if handed_over {
            self.audit.done(&mut self.cx, line);
        } else {
            self.audit.add(line.clone());
            let why = "the control process died before it could hand over";
            self.audit
                .refused(&mut self.cx, &line.id.clone(), Some(line), why);
        }
        self.forget_reexec();
    }

    /// Says so, and whether it is in the history: nothing is on its way there any more.
    fn accept_reexec(&mut self, client: &Client) {
        let history = match self.audit.standing(&client.asked.id) {
            Durability::Stored => None,
            Durability::Awaited => Some("the disk has not answered yet".to_owned()),
            Durability::Unstored(why) => Some(why),
        };
        let accepted = Progress::Accepted {
            services: Vec::new(),
            notes: Vec::new(),
            unstored: api::Unstored {
                history,
                ..api::Unstored::default()
            },
        };
        self.cx
            .answer(Answer::Progress(client.progress.clone(), accepted));
    }

    fn refuse_reexec(&mut self, client: Client, why: &str) {
        let Client { asked, progress } = client;
        self.audit
            .refused(&mut self.cx, &asked.id.clone(), Some(asked), why);
        self.forget_reexec();
        self.cx
            .publish("", "daemon", &format!("reexec failed: {why}"), None);
        let refused = Progress::Refused(ErrorReply {
            kind: ErrorKind::Internal,
            message: format!("no other control process has taken over: {why}"),
            hint: Some("the old one goes on, and no service has noticed".to_owned()),
        });
        self.cx.answer(Answer::Progress(progress, refused));
    }
}

/// It is answered from memory, or by a job that only reads.
const fn changes_nothing(ask: &Ask) -> bool {
    !matches!(
        ask,
        Ask::Act { .. }
            | Ask::Reconfigure { .. }
            | Ask::RotateLogs { .. }
            | Ask::Reexec { .. }
            | Ask::SetMaintenance { .. }
    )
}
