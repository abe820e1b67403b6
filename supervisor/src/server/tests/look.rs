//! Requests that change nothing.

use super::*;

#[tokio::test]
async fn every_route_of_the_table_is_there_and_no_other_method_is() {
    let server = Server::start(ROOT, Limits::REAL);
    for (method, route) in ROUTES.iter().map(|(method, route)| (method, *route)) {
        let path = route
            .replace("{name}", "web")
            .replace("{action}", "stop")
            .replace("{signal}", "HUP")
            .replace("{id}", "known");
        let body = match (method.as_str(), route) {
            ("POST", "/v1/services") => r#"{"id":"a","action":"start","services":[],"wait":true}"#,
            ("POST", "/v1/jobs/{name}") => r#"{"id":"a","wait":true}"#,
            ("POST", "/v1/leases") => r#"{"job":"work","services":["web"]}"#,
            ("DELETE", "/v1/leases") => r#"{"job":"work"}"#,
            ("PUT", "/v1/maintenance") => "{}",
            _ => "",
        };
        let answer = server.ask(method.as_str(), &path, body).await;
        let expected = if route == "/readyz" { 503 } else { 200 };
        assert_eq!(answer.status, expected, "{method} {route}: {answer:?}");

        let error = server.ask("PATCH", &path, "").await;
        assert!(error.head.contains("\r\nallow: "), "{error:?}");
        let error = error.error(405);
        assert_eq!(error.kind, ErrorKind::Usage);
        assert!(error.hint.unwrap().contains(&format!("{method} {route}")));
    }
}

#[tokio::test]
async fn status_is_json_with_its_length() {
    let server = Server::start(ROOT, Limits::REAL);
    let all = server.get("/v1/services").await;
    assert!(all.head.contains("content-type: application/json"));
    assert!(all.head.contains("content-length: "), "{all:?}");
    let all: StatusReply = serde_json::from_value(all.json()).unwrap();
    assert_eq!(all, status(&[]).unwrap());
    let some = server.get("/v1/services?services=web,%20db").await;
    assert_eq!(some.json()["services"].as_array().unwrap().len(), 2);
    let one = server.get("/v1/services/w%65b").await;
    assert_eq!(one.json()["name"], "web");
}

#[tokio::test]
async fn an_unknown_service_is_404_with_the_loops_own_words() {
    let server = Server::start(ROOT, Limits::REAL);
    for path in ["/v1/services/wbe", "/v1/services?services=web,wbe"] {
        assert_eq!(server.get(path).await.error(404), unknown("wbe"));
    }
}

#[tokio::test]
async fn an_unknown_path_names_the_nearest_route() {
    let server = Server::start(ROOT, Limits::REAL);
    for (path, near) in [
        ("/v1/service", Some("GET /v1/services")),
        ("/v1/services/", Some("GET /v1/services")),
        ("/v1/evnts", Some("GET /v1/events")),
        ("/v1/wy/web", Some("GET /v1/why/{name}")),
        ("/healthy", Some("GET /healthz")),
        ("/api/v4/system/ping/of/another/program", None),
    ] {
        let error = server.get(path).await.error(404);
        assert_eq!(error.kind, ErrorKind::Usage);
        let hint = error.hint.unwrap();
        match near {
            Some(near) => assert!(hint.contains(near), "{path}: {hint}"),
            None => assert!(!hint.contains("did you mean"), "{path}: {hint}"),
        }
    }
    let long = format!("/v1/{}", "x".repeat(4000));
    server.get(&long).await.error(404);
}

#[tokio::test]
async fn a_query_that_is_not_understood_is_an_error_that_names_the_key() {
    let server = Server::start(ROOT, Limits::REAL);
    for (path, word) in [
        ("/v1/services?serivces=web", "serivces"),
        ("/v1/services/web?x=1", "x"),
        ("/v1/events?folow=true", "folow"),
        ("/v1/events?n=many", "digit"),
        ("/v1/events?n=10001", "10001"),
        ("/v1/events?since=yesterday", "yesterday"),
        ("/v1/changes?follow=true", "follow"),
        ("/v1/changes?until=10:00", "10:00"),
        ("/v1/changes?n=100001", "100001"),
        ("/v1/logs?follow=maybe", "true"),
        ("/v1/logs?lines=1000001", "1000001"),
        ("/v1/logs?since=yesterday", "yesterday"),
        ("/v1/logs?grep=(", "unclosed"),
        ("/v1/logs?after=web~1.2", "web~1.2"),
        ("/v1/logs?follow=true&until=2026-11-22T10:00:00Z", "follow"),
        ("/v1/check?x", "x"),
        ("/healthz?x", "x"),
        ("/v1/services/%ff", "%ff"),
    ] {
        let error = server.get(path).await.error(400);
        assert!(error.message.contains(word), "{path}: {error:?}");
    }
    let many = vec!["n"; api::NAMES_MAX + 1].join(",");
    let error = server.get(&format!("/v1/services?services={many}")).await;
    error.error(400);
}

#[tokio::test]
async fn changes_of_nobody_are_404_and_none_are_no_line() {
    let server = Server::start(ROOT, Limits::REAL);
    let answer = server.get("/v1/changes?since=2026-11-22T10:00:00Z").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    assert_eq!(
        server.get("/v1/changes?services=wbe").await.error(404),
        unknown("wbe")
    );
}

#[tokio::test]
async fn events_stream_as_lines_and_end_without_follow() {
    let server = Server::start(ROOT, Limits::REAL);
    let answer = server.get("/v1/events?n=300").await;
    assert!(answer.head.contains("content-type: application/x-ndjson"));
    let seqs: Vec<u64> = answer
        .body
        .lines()
        .map(|line| serde_json::from_str::<ServiceEvent>(line).unwrap().seq)
        .collect();
    assert_eq!(seqs, (0..300).collect::<Vec<_>>());
    assert_eq!(server.get("/v1/events").await.body.lines().count(), 10);
}

#[tokio::test]
async fn readiness_names_who_is_not_ready_and_leaves_out_the_disabled() {
    let server = Server::start(ROOT, Limits::REAL);
    for (path, accept, status, body) in [
        ("/readyz", "*/*", 503, "not ready: db\n"),
        (
            "/readyz?verbose",
            "*/*",
            503,
            "[-]db failed: running\n[+]web ok\nreadyz check failed\n",
        ),
        ("/healthz", "*/*", 200, "ok\n"),
        (
            "/healthz?verbose",
            "*/*",
            200,
            "[+]control ok\nhealthz check passed\n",
        ),
        ("/healthz", "application/json", 200, "{\"healthy\":true}\n"),
        (
            "/readyz",
            "text/html, application/json;q=0.9",
            503,
            "{\"kind\":\"refused\",\"message\":\"not ready: db\",\"hint\":\"`ctl why db` says why\"}\n",
        ),
    ] {
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\naccept: {accept}\r\n\r\n"
        );
        let answer = Answer::parse(&server.send(request.as_bytes()).await);
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (status, body),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_loop_that_does_not_answer_or_is_gone_is_told_apart() {
    let (asks, mut to_loop) = mpsc::channel(1);
    let limits = Limits {
        answer: Duration::from_millis(50),
        ..Limits::REAL
    };
    let (_tell, seen) = mpsc::unbounded_channel();
    let shared = shared(asks, limits);
    let orphaned = Arc::clone(&shared.orphaned);
    let server = Server::start_with(ROOT, shared, seen);
    let error = server.get("/healthz").await.error(503);
    assert_eq!(error.kind, ErrorKind::Busy);
    assert!(error.message.contains("did not answer"), "{error:?}");
    // The first request still stands in the queue, which has room for one.
    let error = server.get("/v1/services").await.error(503);
    assert!(error.message.contains("too many requests"), "{error:?}");
    assert!(to_loop.recv().await.is_some());
    drop(to_loop);
    let error = server.get("/v1/services").await.error(500);
    assert_eq!(error.kind, ErrorKind::Internal);
    assert!(error.hint.unwrap().contains("takes over"));
    orphaned.store(true, std::sync::atomic::Ordering::Relaxed);
    let error = server.get("/v1/services").await.error(500);
    assert!(
        error.message.contains("every service is being stopped"),
        "{error:?}"
    );
}
