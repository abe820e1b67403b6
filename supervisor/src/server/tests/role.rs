//! Which callers may make which requests.

use super::*;

#[tokio::test]
async fn an_admin_may_act_and_is_named() {
    let mut server = Server::start(ADMIN, Limits::REAL);
    assert_eq!(
        server.ask("POST", "/v1/services/web/stop", "").await.status,
        200
    );
    assert!(server.saw().await.starts_with("uid 3999999001 "));
    assert_eq!(server.get("/v1/services").await.status, 200);
}

#[tokio::test]
async fn a_viewer_may_look_but_not_act() {
    let mut server = Server::start(VIEWER, Limits::REAL);
    for path in [
        "/v1/services",
        "/v1/events",
        "/v1/logs?services=web",
        "/v1/why/web",
        "/healthz",
    ] {
        assert_eq!(server.get(path).await.status, 200, "{path}");
    }
    for path in [
        "/v1/services/web/stop",
        "/v1/services",
        "/v1/logs/rotate",
        "/v1/reconfigure",
        "/v1/reexec",
    ] {
        let error = server.ask("POST", path, "").await.error(403);
        assert_eq!(error.kind, ErrorKind::NotAllowed);
        assert!(error.message.contains("uid 3999999002"), "{error:?}");
        assert!(error.hint.unwrap().contains("control.admin_group"));
    }
    for method in ["PUT", "DELETE"] {
        let error = server.ask(method, "/v1/maintenance", "{}").await.error(403);
        assert_eq!(error.kind, ErrorKind::NotAllowed);
    }
    assert_eq!(server.get("/v1/maintenance").await.status, 200);
    assert!(server.seen.try_recv().is_err(), "the loop was asked");
}

#[tokio::test]
async fn a_stranger_may_not_even_look() {
    let server = Server::start(STRANGER, Limits::REAL);
    for path in ["/v1/services", "/healthz", "/nowhere"] {
        let error = server.get(path).await.error(403);
        assert_eq!(error.kind, ErrorKind::NotAllowed);
        assert!(error.message.contains("uid 3999999003"), "{error:?}");
    }
}

#[tokio::test]
async fn a_new_plan_decides_about_connections_that_are_open() {
    let (asks, to_loop) = mpsc::channel(16);
    let (tell, seen) = mpsc::unbounded_channel();
    tokio::spawn(fixed_loop(to_loop, tell));
    let (plan, access) = watch::channel(Access {
        viewer_gids: vec![20],
        known: true,
        ..Access::default()
    });
    let shared = Arc::new(Shared {
        asks,
        access,
        names: UserNames::default(),
        orphaned: Arc::default(),
        closer: Closer::new("the control socket", watch::channel(0).0),
        meter: Arc::default(),
        limits: Limits::REAL,
    });
    let server = Server::start_with(VIEWER, shared, seen);
    let mut stream = server.connect().await;
    let request = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut answer = [0; 1024];
    for (groups, status) in [(vec![20], "200"), (vec![], "403"), (vec![20], "200")] {
        plan.send_modify(|access| access.viewer_gids = groups);
        stream.write_all(request).await.unwrap();
        let n = within(stream.read(&mut answer)).await.unwrap();
        let answer = String::from_utf8_lossy(&answer[..n]);
        assert_eq!(answer.split(' ').nth(1), Some(status), "{answer}");
    }
}

#[tokio::test]
async fn strangers_take_no_places() {
    let limits = Limits {
        connections: 1,
        reserve: 0,
        admin_reserve: 0,
        ..Limits::REAL
    };
    // Only the admin's end of the connection has a name, which tells the two callers apart.
    let by_turns: Who = |stream| match stream.peer_addr()?.as_pathname() {
        Some(_) => ADMIN(stream),
        None => STRANGER(stream),
    };
    let server = Server::start(by_turns, limits);
    let mut silent = Vec::new();
    for _ in 0..40 {
        silent.push(server.connect().await);
    }
    let from = server.dir.path().join("admin");
    let socket = tokio::net::UnixSocket::new_stream().unwrap();
    socket.bind(&from).unwrap();
    let mut admin = socket.connect(server.dir.path().join("s")).await.unwrap();
    let request = b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    admin.write_all(request).await.unwrap();
    let mut answer = String::new();
    within(admin.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_member_waits_until_the_groups_are_known() {
    let (asks, to_loop) = mpsc::channel(16);
    let (tell, seen) = mpsc::unbounded_channel();
    tokio::spawn(fixed_loop(to_loop, tell));
    let (plan, access) = watch::channel(Access::default());
    let shared = Arc::new(Shared {
        asks,
        access,
        names: UserNames::default(),
        orphaned: Arc::default(),
        closer: Closer::new("the control socket", watch::channel(0).0),
        meter: Arc::default(),
        limits: Limits::REAL,
    });
    let server = Server::start_with(VIEWER, shared, seen);
    let mut stream = server.connect().await;
    let request = b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    plan.send_modify(|access| {
        access.viewer_gids = vec![20];
        access.known = true;
    });
    let mut answer = String::new();
    within(stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
