//! The server over a real socket, with raw requests, before a loop with fixed answers.

use std::{io, path::Path, sync::Arc, time::Duration};

use api::{
    DaemonState, ErrorKind, ErrorReply, EventKind, Outcome, Progress, ServiceEvent, ServiceState,
    StatusReply, Unstored, Why, WhyStep,
};
use keeper::message::LogStats;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    sync::{mpsc, watch},
};

use super::{
    Access, Limits, Shared, Who, accept_all,
    access::{Credentials, Role, UserNames},
    connection_limits::ConnectionLimits,
    listeners::Listeners,
    paths::ROUTES,
};
use crate::{
    ask::{Ask, Exits, LogPlace, ReconfigureOptions},
    metrics_snapshot::{EventCounts, ProbeTally, Scrape, ServiceSchedule, ServiceTally},
    peer_stream::Closer,
};

/// Longest wait of a test for any answer.
const DEADLINE: Duration = Duration::from_secs(20);

#[expect(clippy::unnecessary_wraps, reason = "the real one can fail")]
fn user(uid: u32, gid: u32) -> io::Result<Credentials> {
    Ok(Credentials {
        uid,
        pid: 0,
        groups: vec![gid],
    })
}

const ROOT: Who = |_| user(0, 0);
const ADMIN: Who = |_| user(3_999_999_001, 10);
const VIEWER: Who = |_| user(3_999_999_002, 20);
const STRANGER: Who = |_| user(3_999_999_003, 30);

/// A server on a socket of its own; it ends with the test's runtime.
struct Server {
    dir: tempfile::TempDir,
    /// Requests to the loop, and what the loop saw of its readers.
    seen: mpsc::UnboundedReceiver<String>,
}

fn shared(asks: mpsc::Sender<Ask>, limits: Limits) -> Arc<Shared> {
    let (sender, access) = watch::channel(Access {
        own_uid: 900,
        admin_gids: vec![10],
        viewer_gids: vec![20],
        known: true,
        closed: false,
    });
    drop(sender);
    Arc::new(Shared {
        asks,
        access,
        names: UserNames::default(),
        limits,
        orphaned: Arc::default(),
        closer: Closer::new("the control socket", watch::channel(0).0),
        meter: Arc::default(),
    })
}

/// Listeners with this one and no later one.
fn only(listener: UnixListener) -> Listeners {
    Listeners::new(listener, mpsc::unbounded_channel().1)
}

impl Server {
    fn start(who: Who, limits: Limits) -> Self {
        let (asks, to_loop) = mpsc::channel(16);
        let (tell, seen) = mpsc::unbounded_channel();
        tokio::spawn(fixed_loop(to_loop, tell));
        Self::start_with(who, shared(asks, limits), seen)
    }

    fn start_with(who: Who, shared: Arc<Shared>, seen: mpsc::UnboundedReceiver<String>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("s")).unwrap();
        tokio::spawn(accept_all(only(listener), shared, who));
        Self { dir, seen }
    }

    async fn connect(&self) -> UnixStream {
        UnixStream::connect(self.dir.path().join("s"))
            .await
            .unwrap()
    }

    /// Sends these bytes on a new connection and reads until the server closes it.
    async fn send(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        let (mut read, mut write) = stream.split();
        let mut answer = Vec::new();
        let both = async {
            // The server may hang up before it has read everything.
            tokio::join!(write.write_all(bytes), async {
                while let Ok(1..) = read.read_buf(&mut answer).await {}
            })
        };
        let _ = within(both).await;
        String::from_utf8(answer).unwrap()
    }

    async fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        Answer::parse(&self.send(request.as_bytes()).await)
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, "").await
    }

    async fn saw(&mut self) -> String {
        within(self.seen.recv()).await.unwrap()
    }
}

async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(DEADLINE, future).await.unwrap()
}

#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn parse(text: &str) -> Self {
        let (head, raw) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let head = head.to_ascii_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let body = if head.contains("transfer-encoding: chunked") {
            unchunk(raw)
        } else {
            raw.to_owned()
        };
        Self { status, head, body }
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// The error reply of an answer with this status.
    fn error(&self, status: u16) -> ErrorReply {
        assert_eq!(self.status, status, "{self:?}");
        let error: ErrorReply = serde_json::from_str(&self.body).unwrap();
        assert!(error.hint.is_some(), "{error:?}");
        error
    }
}

fn unchunk(mut raw: &str) -> String {
    let mut body = String::new();
    while let Some((size, rest)) = raw.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        body.push_str(&rest[..size]);
        raw = &rest[size + 2..];
    }
    body
}

fn service(name: &str, ready: bool) -> api::ServiceStatus {
    serde_json::from_value(serde_json::json!({
        "name": name, "description": "", "enabled": name != "off", "goal": "up", "held": null,
        "state": "running", "ready": ready, "healthy": null, "pid": 7, "since": null,
        "uptime_seconds": 1, "restarts": 0, "last_exit": null, "last_reload": null, "reason": null, "waiting_on": [],
        "next_try_ms": null, "cpu_percent": null, "memory_bytes": null, "user": null,
        "status_text": null
    }))
    .unwrap()
}

/// Status of three services: `web` is ready, `db` is not, `off` is disabled; any other name is
/// unknown.
fn status(names: &[String]) -> Result<StatusReply, ErrorReply> {
    let all = [
        service("db", false),
        service("off", false),
        service("web", true),
    ];
    if let Some(name) = names
        .iter()
        .find(|name| !all.iter().any(|it| it.name == **name))
    {
        return Err(unknown(name));
    }
    Ok(StatusReply {
        supervisor: api::SupervisorStatus {
            version: "1".to_owned(),
            pid: 2,
            keeper_pid: 1,
            uptime_seconds: 3,
            control_restarts: 0,
            root: "/".to_owned(),
            state: DaemonState::Running,
            warnings: Vec::new(),
            maintenance: None,
        },
        services: all
            .into_iter()
            .filter(|it| names.is_empty() || names.contains(&it.name))
            .collect(),
    })
}

/// Metrics of a service with restarts and failed probes.
fn scrape() -> Scrape {
    let probe = ProbeTally {
        last: Duration::from_millis(3),
        sum: Duration::from_millis(1500),
        count: 500,
        failures: 2,
    };
    let web = ServiceTally {
        restarts: 4,
        exits: [
            (("exited", "1".to_owned()), 3),
            (("killed", "KILL".to_owned()), 1),
        ]
        .into(),
        probes: [("health", probe)].into(),
        ..ServiceTally::default()
    };
    Scrape {
        status: status(&[]).unwrap(),
        tallies: [("web".to_owned(), web)].into(),
        schedules: [(
            "job".to_owned(),
            ServiceSchedule {
                good: Some(1_500),
                next_run: None,
                overdue: true,
                failed: false,
            },
        )]
        .into(),
        logs: vec![LogStats {
            service: "web".to_owned(),
            bytes: 1234,
            dropped_lines: 5,
        }],
        events: EventCounts::default(),
    }
}

fn unknown(name: &str) -> ErrorReply {
    ErrorReply {
        kind: ErrorKind::UnknownService,
        message: format!("no service is named `{name}`"),
        hint: Some("did you mean `web`?".to_owned()),
    }
}

fn finished(id: &str) -> mpsc::Receiver<Progress> {
    let (lines, answer) = mpsc::channel(4);
    let accepted = Progress::Accepted {
        services: Vec::new(),
        notes: Vec::new(),
        unstored: Unstored::default(),
    };
    let done = Progress::Done(Outcome {
        job: None,
        rollback: None,
        gone_back: None,
        unstored: Unstored::default(),
        id: id.to_owned(),
        finished: true,
        results: Vec::new(),
    });
    lines.try_send(accepted).unwrap();
    lines.try_send(done).unwrap();
    answer
}

/// Sends the backlog. A follower of a backlog then gets a flood, a follower without backlog
/// nothing.
async fn send_events(
    backlog: usize,
    follow: bool,
    lines: mpsc::Sender<ServiceEvent>,
    tell: mpsc::UnboundedSender<String>,
) {
    let event = |seq: usize| ServiceEvent {
        seq: seq as u64,
        at: String::new(),
        service: "web".to_owned(),
        kind: EventKind::State,
        state: Some(ServiceState::Running),
        ready: true,
        pid: None,
        detail: "x".repeat(1000),
        by: None,
        exit: None,
    };
    for seq in 0..backlog {
        if lines.send(event(seq)).await.is_err() {
            break;
        }
    }
    if follow {
        while backlog > 0 && lines.send(event(0)).await.is_ok() {}
        lines.closed().await;
        let _ = tell.send("reader gone".to_owned());
    }
}

/// The options in words, after a space; empty for the default.
fn how(wanted: ReconfigureOptions) -> String {
    if wanted == ReconfigureOptions::default() {
        return String::new();
    }
    format!(" {wanted:?}")
}

fn finished_outcome(id: &str) -> Outcome {
    Outcome {
        job: None,
        rollback: None,
        gone_back: None,
        unstored: Unstored::default(),
        id: id.to_owned(),
        finished: true,
        results: Vec::new(),
    }
}

async fn fixed_loop(mut asks: mpsc::Receiver<Ask>, tell: mpsc::UnboundedSender<String>) {
    while let Some(ask) = asks.recv().await {
        match ask {
            Ask::Status { names, reply } => drop(reply.send(status(&names))),
            Ask::Act {
                request,
                peer,
                reply,
            } => {
                let lines = finished(&request.id);
                let _ = tell.send(format!("{} {request:?}", peer.name));
                let refused = request.services.iter().find(|it| *it == "nope");
                let _ = reply.send(refused.map_or(Ok(lines), |it| Err(unknown(it))));
            }
            Ask::Reconfigure {
                id,
                wanted,
                peer,
                reply,
            } => {
                let how = how(wanted);
                let _ = tell.send(format!("{} reconfigure {id}{how}", peer.name));
                let _ = reply.send(Ok(finished(&id)));
            }
            Ask::Work {
                id, wish, reply, ..
            } => {
                let _ = tell.send(format!("{wish:?}"));
                drop(reply.send(Ok(finished(&id))));
            }
            Ask::Reexec { reply, .. } => {
                let (_, progress) = mpsc::channel(1);
                drop(reply.send(Ok(progress)));
            }
            Ask::Outcome { id, reply } => {
                let outcome = (id == "known").then(|| finished_outcome(&id));
                let _ = reply.send(outcome);
            }
            Ask::Events {
                backlog,
                follow,
                filter: _,
                reply,
            } => {
                let (lines, answer) = mpsc::channel(16);
                let _ = reply.send(Ok(answer));
                tokio::spawn(send_events(backlog, follow, lines, tell.clone()));
            }
            Ask::SetMaintenance {
                wanted,
                peer,
                reply,
                ..
            } => {
                let _ = tell.send(format!("{} {wanted:?}", peer.name));
                drop(reply.send(maintenance(wanted)));
            }
            Ask::RotateLogs {
                names, peer, reply, ..
            } => {
                let unknown = names.iter().find(|it| *it == "nope").map(|it| unknown(it));
                let _ = tell.send(format!("{} rotate {}", peer.name, names.join(" ")));
                let _ = reply.send(unknown.map_or(Ok(names), Err));
            }
            look => answer(look),
        }
    }
}

/// The reply to a maintenance request, which takes effect immediately.
fn maintenance(wanted: Option<api::MaintenanceRequest>) -> api::MaintenanceReply {
    api::MaintenanceReply {
        maintenance: wanted.map(|it| api::Maintenance {
            message: it.message,
            since: "2026-11-30T12:00:00.000Z".to_owned(),
            by: "root".to_owned(),
        }),
        files: Vec::new(),
        told_by: std::collections::BTreeMap::new(),
        unwritten: None,
        unstored: None,
    }
}

/// Answers requests that change nothing and are not recorded.
fn answer(look: Ask) {
    match look {
        Ask::Why { name, reply } => {
            let _ = reply.send(Ok(Why {
                chain: vec![WhyStep {
                    service: service(&name, false),
                    depth: 0,
                    root: true,
                    sentence: "it fails".to_owned(),
                    notes: Vec::new(),
                    hints: Vec::new(),
                    history: Vec::new(),
                    log: Vec::new(),
                    exits: Vec::new(),
                    restart: None,
                }],
            }));
        }
        Ask::History { names, reply } => {
            let unknown = names.first().map(|it| unknown(it));
            let _ = reply.send((std::path::PathBuf::from("/nonexistent"), unknown));
        }
        Ask::Exits { names, reply } => drop(reply.send(Exits {
            state_dir: std::path::PathBuf::from("/nonexistent"),
            unwritten: Vec::new(),
            unknown: names.first().map(|it| unknown(it)),
        })),
        Ask::Maintenance { reply } => drop(reply.send(maintenance(None))),
        Ask::Scrape { reply } => drop(reply.send(Ok(scrape()))),
        Ask::Plan { reply, .. } => drop(reply.send(Ok(api::PlanReply {
            site: Vec::new(),
            services: Vec::new(),
        }))),
        Ask::Tools { reply } => drop(reply.send(api::ToolsReply::default())),
        Ask::Diff { reply, .. } => drop(reply.send(Ok(api::DiffReply {
            site: vec!["control changed".to_owned()],
            services: Vec::new(),
        }))),
        Ask::Check { reply } => drop(reply.send(api::CheckReply {
            ok: true,
            problems: Vec::new(),
        })),
        Ask::LogPlaces { names, reply } => {
            let place = |service| LogPlace {
                service,
                dir: Path::new("/nonexistent/mattervisor").to_owned(),
                files: Vec::new(),
            };
            let _ = reply.send(Ok(names.into_iter().map(place).collect()));
        }
        // No service ever leaves the plan.
        Ask::Departures { reply } => {
            let _ = reply.send(tokio::sync::watch::Sender::new(()).subscribe());
        }
        _ => unreachable!("the loop answers this one"),
    }
}

mod api_page;
mod change;
mod descriptors;
mod hostile;
mod look;
mod openapi;
mod role;
