//! `ctl reexec --keeper`: has the keeper become the program that is installed now.
//!
//! Owner: the client that waits for the outcome. This process goes on meanwhile, for its link
//! outlives the exec; the keeper answers once the new program runs, or says why it does not. The
//! request is remembered: a control process that follows writes its outcome to the history.

use api::{ErrorKind, ErrorReply, EventKind, Outcome, Progress, Unstored};
use keeper::message::{Hello, KeeperRefusal, Request};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::{
    ask::Peer,
    control::{
        Context, api::answers::Answer, operations::audit::AuditLog, record_keys::Key,
        succession::requested,
    },
    history::Line,
};

/// Lines of the answer: acceptance, and outcome.
const LINES: usize = 2;

/// The replacement of the keeper's program that is under way, if one is.
#[derive(Debug, Default)]
pub(in crate::control) struct KeeperReexec {
    client: Option<Client>,
}

/// The client that has asked.
#[derive(Debug)]
struct Client {
    asked: Line,
    progress: mpsc::Sender<Progress>,
}

/// The keeper's record of the request.
#[derive(Debug, Serialize, Deserialize)]
struct Asked {
    line: Line,
    /// How often the keeper had become another program until then.
    execs: u32,
}

impl KeeperReexec {
    /// Whether a client waits for the outcome.
    pub(in crate::control) const fn is_asked(&self) -> bool {
        self.client.is_some()
    }

    /// A client asks for it. `obstacle`: what stands against it, as a client hears it.
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
            what: "reexec keeper",
            cannot: "cannot replace the keeper's program",
        };
        let asked = requested::note(cx, audit_log, &request, peer, obstacle)?;
        let record = Asked {
            line: asked.clone(),
            execs: cx.keeper.execs,
        };
        let record = serde_json::to_string(&record).expect("it is plain data");
        cx.remember(Key::KeeperReexec, record);
        cx.tell(Request::ReexecKeeper);
        let (progress, stream) = mpsc::channel(LINES);
        let accepted = Progress::Accepted {
            services: Vec::new(),
            notes: Vec::new(),
            unstored: Unstored::default(),
        };
        cx.answer(Answer::Progress(progress.clone(), accepted));
        self.client = Some(Client { asked, progress });
        Ok(stream)
    }

    /// The keeper has become the installed program.
    pub(in crate::control) fn done(
        &mut self,
        cx: &mut Context,
        audit_log: &mut AuditLog,
        version: String,
        execs: u32,
    ) {
        let text = format!("the keeper runs version {version}");
        cx.publish("", EventKind::Daemon, &text, None);
        tracing::info!("{text}");
        cx.keeper.version = version;
        cx.keeper.execs = execs;
        cx.keeper.refusal = None;
        let Some(Client { asked, progress }) = self.client.take() else {
            return;
        };
        let outcome = Outcome {
            id: asked.id.clone(),
            finished: true,
            results: Vec::new(),
            rollback: None,
            gone_back: None,
            job: None,
            unstored: Unstored::default(),
        };
        audit_log.done(cx, asked);
        forget(cx);
        cx.answer(Answer::Progress(progress, Progress::Done(outcome)));
    }

    /// The keeper goes on with the program that it has.
    pub(in crate::control) fn refused(
        &mut self,
        cx: &mut Context,
        audit_log: &mut AuditLog,
        why: KeeperRefusal,
    ) {
        let message = format!("the keeper goes on with the program that it has: {why}");
        tracing::error!("{message}");
        cx.publish("", EventKind::Daemon, &message, None);
        if let Some(Client { asked, progress }) = self.client.take() {
            audit_log.refused(cx, &asked.id.clone(), Some(asked), &why.to_string());
            forget(cx);
            let hint =
                "no service has noticed; install a program that works, and give the command again";
            let refused = Progress::Refused(ErrorReply {
                kind: ErrorKind::Internal,
                message,
                hint: Some(hint.to_owned()),
            });
            cx.answer(Answer::Progress(progress, refused));
        }
        if why.is_about_the_program() {
            cx.keeper.refusal = Some(why);
        }
    }
}

/// This process has taken over: says in the history how that ended which was asked of the earlier
/// one.
pub(in crate::control) fn conclude(cx: &mut Context, audit_log: &mut AuditLog, hello: &Hello) {
    let record = Key::KeeperReexec.of(&hello.records);
    let asked = record.and_then(|it| serde_json::from_str::<Asked>(it).ok());
    let Some(Asked { line, execs }) = asked else {
        return;
    };
    if hello.keeper_execs > execs {
        audit_log.done(cx, line);
    } else {
        audit_log.add(line.clone());
        let why = "the control process died before the keeper had answered";
        audit_log.refused(cx, &line.id.clone(), Some(line), why);
    }
    forget(cx);
}

fn forget(cx: &mut Context) {
    cx.remember(Key::KeeperReexec, String::new());
}
