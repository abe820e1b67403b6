//! `ctl reexec`: hands everything over to another control process, or continues if that one fails.
//!
//! Owns the progress of the replacement, and the inputs that arrive meanwhile. A client asks for
//! the replacement; this process waits a moment until nothing is under way that a successor could
//! not know of, and then asks the keeper for the successor. From that request on this process is
//! frozen, so that the two never act at once: it changes nothing, holds back inputs, answers
//! queries from memory, and new clients wait in the backlog. Either the keeper ends this process,
//! or reports that the successor has failed; then all held-back inputs are handled as if they came
//! now. Limits: [`PATIENCE_MS`], [`ASKS_MAX`].

use std::collections::VecDeque;

use api::{ErrorKind, ErrorReply, EventKind, Progress};
use engine::Moment;
use keeper::message::Request;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::{
    ask::{ASKS_MAX, Ask, Peer},
    control::{
        Context, Input, api::answers::Answer, input::Output, on_disk::Durability,
        operations::audit::AuditLog, record_keys::Key, succession::requested,
    },
    history::Line,
};

/// Longest wait for lookups (a user, a program, the holder of a port), which can hang.
const PATIENCE_MS: u64 = 2_000;
/// Lines of the answer: acceptance, and failure.
const LINES: usize = 2;

/// The progress of a replacement of this process.
#[derive(Debug, Default)]
pub(in crate::control) struct Reexec {
    stage: Stage,
}

#[derive(Debug, Default)]
enum Stage {
    /// No client has asked.
    #[default]
    None,
    /// Requested: begins as soon as nothing is under way, or at this moment.
    Asked { by: Moment, client: Client },
    /// The successor is being started.
    Frozen {
        held: VecDeque<Input>,
        asks: usize,
        client: Client,
    },
}

/// The client that has asked.
#[derive(Debug)]
struct Client {
    asked: Line,
    progress: mpsc::Sender<Progress>,
}

/// The keeper's record of a reexec.
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

impl Reexec {
    /// A client wants another control process. `obstacle`: what stands against it, as a client
    /// hears it.
    pub(in crate::control) fn ask(
        &mut self,
        cx: &mut Context,
        audit_log: &mut AuditLog,
        id: &str,
        peer: &Peer,
        obstacle: Option<(String, ErrorReply)>,
    ) -> Result<mpsc::Receiver<Progress>, ErrorReply> {
        let request = requested::Request {
            id,
            what: "reexec",
            cannot: "cannot start another control process",
        };
        let asked = requested::note(cx, audit_log, &request, peer, obstacle)?;
        let (progress, stream) = mpsc::channel(LINES);
        remember(cx, &asked, false);
        self.stage = Stage::Asked {
            by: cx.now.moment.after(PATIENCE_MS),
            client: Client { asked, progress },
        };
        Ok(stream)
    }

    /// Asks the keeper for another control process, once that can know all that this one knows.
    /// Called last of all that follows an input: nothing may be asked after it. `busy`: something
    /// is under way that the other could not know of; `refused`: something that excludes it has
    /// come in between.
    pub(in crate::control) fn hand_over_when_quiet(
        &mut self,
        cx: &mut Context,
        audit_log: &mut AuditLog,
        busy: bool,
        refused: bool,
    ) {
        let Stage::Asked { by, .. } = self.stage else {
            return;
        };
        if busy && cx.now.moment < by {
            return;
        }
        let Stage::Asked { client, .. } = std::mem::take(&mut self.stage) else {
            return;
        };
        if refused {
            let why = "something else has come in between";
            refuse(cx, audit_log, client, why);
            return;
        }
        cx.output(Output::LetIn(false));
        accept(cx, audit_log, &client);
        remember(cx, &client.asked, true);
        cx.tell(Request::Reexec);
        self.stage = Stage::Frozen {
            held: VecDeque::new(),
            asks: 0,
            client,
        };
    }

    /// Keeps what comes while another control process is being started. One question too many is
    /// dropped: its client hears that nobody answers.
    pub(in crate::control) fn hold_back(&mut self, input: Input) {
        let Stage::Frozen { held, asks, .. } = &mut self.stage else {
            return;
        };
        if matches!(input, Input::Ask(_)) {
            if *asks == ASKS_MAX {
                return;
            }
            *asks += 1;
        }
        held.push_back(input);
    }

    /// The other control process does not take over. Returns what was held back.
    pub(in crate::control) fn give_up(
        &mut self,
        cx: &mut Context,
        audit_log: &mut AuditLog,
        why: &str,
    ) -> VecDeque<Input> {
        let Stage::Frozen { held, client, .. } = std::mem::take(&mut self.stage) else {
            return VecDeque::new();
        };
        tracing::error!("the new control process does not take over, so this one goes on: {why}");
        cx.output(Output::LetIn(true));
        refuse(cx, audit_log, client, why);
        held
    }
}

/// This process has taken over: says in the history how that ended which was asked of the earlier
/// one.
pub(in crate::control) fn conclude(
    cx: &mut Context,
    audit_log: &mut AuditLog,
    record: Option<&String>,
) {
    let asked = record.and_then(|it| serde_json::from_str::<Asked>(it).ok());
    let Some(Asked { line, handed_over }) = asked else {
        return;
    };
    if handed_over {
        audit_log.done(cx, line);
    } else {
        audit_log.add(line.clone());
        let why = "the control process died before it could hand over";
        audit_log.refused(cx, &line.id.clone(), Some(line), why);
    }
    forget(cx);
}

/// Has the keeper remember the request: the successor writes its outcome to the history.
fn remember(cx: &mut Context, asked: &Line, handed_over: bool) {
    let asked = Asked {
        line: asked.clone(),
        handed_over,
    };
    let record = serde_json::to_string(&asked).expect("it is plain data");
    cx.remember(Key::Reexec, record);
}

fn forget(cx: &mut Context) {
    cx.remember(Key::Reexec, String::new());
}

/// Says so, and whether it is in the history: nothing is on its way there any more.
fn accept(cx: &mut Context, audit_log: &AuditLog, client: &Client) {
    let history = match audit_log.standing(&client.asked.id) {
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
    cx.answer(Answer::Progress(client.progress.clone(), accepted));
}

fn refuse(cx: &mut Context, audit_log: &mut AuditLog, client: Client, why: &str) {
    let Client { asked, progress } = client;
    audit_log.refused(cx, &asked.id.clone(), Some(asked), why);
    forget(cx);
    cx.publish(
        "",
        EventKind::Daemon,
        &format!("reexec failed: {why}"),
        None,
    );
    let refused = Progress::Refused(ErrorReply {
        kind: ErrorKind::Internal,
        message: format!("no other control process has taken over: {why}"),
        hint: Some("the old one goes on, and no service has noticed".to_owned()),
    });
    cx.answer(Answer::Progress(progress, refused));
}

/// Whether a request is answered from memory, or by a job that only reads.
pub(in crate::control) const fn changes_nothing(ask: &Ask) -> bool {
    !matches!(
        ask,
        Ask::Act { .. }
            | Ask::Reconfigure { .. }
            | Ask::RotateLogs { .. }
            | Ask::Reexec { .. }
            | Ask::SetMaintenance { .. }
    )
}
