//! Clients that are slow, broken, numerous or malicious.

use super::*;

const QUICK: Duration = Duration::from_millis(100);

#[tokio::test]
async fn two_requests_in_one_write_get_two_answers_in_order() {
    let server = Server::start(ROOT, Limits::REAL);
    let answers = server
        .send(
            b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n\
              GET /v1/services/web HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        )
        .await;
    let first = answers.find("\r\nok\n").unwrap();
    let second = answers.find(r#""name":"web""#).unwrap();
    assert!(first < second, "{answers}");
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 2);
}

#[tokio::test]
async fn a_body_that_is_too_long_is_413_whether_announced_or_not() {
    let mut server = Server::start(ROOT, Limits::REAL);
    let body = "x".repeat(api::BODY_BYTES_MAX + 1);
    let error = server.ask("POST", "/v1/services", &body).await.error(413);
    assert_eq!(error.kind, ErrorKind::Usage);
    let chunked = format!(
        "POST /v1/services HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    );
    Answer::parse(&server.send(chunked.as_bytes()).await).error(413);
    assert!(server.seen.try_recv().is_err(), "the loop was asked");
}

#[tokio::test]
async fn what_is_not_http_or_too_long_is_refused_and_closed() {
    let server = Server::start(ROOT, Limits::REAL);
    let answer = server.send(b"\x16\x03\x01\x02 hello\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    let long = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "x".repeat(128 << 10));
    let answer = server.send(long.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    let headers = "a: b\r\n".repeat(1000);
    let many = format!("GET /healthz HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
    let answer = server.send(many.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    assert_eq!(server.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn a_client_that_never_finishes_its_headers_is_hung_up_on() {
    let limits = Limits {
        head: QUICK,
        ..Limits::REAL
    };
    let server = Server::start(ROOT, limits);
    // No bytes; half of a head; a whole request and then nothing.
    for sent in [
        "",
        "GET /healthz HT",
        "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n",
    ] {
        let answer = server.send(sent.as_bytes()).await;
        let served = sent.ends_with("\r\n\r\n");
        assert_eq!(answer.contains("200 OK"), served, "{sent:?}: {answer}");
    }
}

#[tokio::test]
async fn a_client_that_never_finishes_its_body_is_told_and_hung_up_on() {
    let limits = Limits {
        body: QUICK,
        ..Limits::REAL
    };
    let mut server = Server::start(ROOT, limits);
    let half = b"POST /v1/services HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{\"id\":";
    let answer = Answer::parse(&server.send(half).await);
    answer.error(408);
    assert!(server.seen.try_recv().is_err(), "the loop was asked");
}

#[tokio::test]
async fn a_client_that_closes_its_side_early_takes_its_connection_along() {
    let server = Server::start(ROOT, Limits::REAL);
    let mut stream = server.connect().await;
    stream
        .write_all(b"POST /v1/services HTTP/1.1\r\n")
        .await
        .unwrap();
    stream.shutdown().await.unwrap();
    let mut rest = Vec::new();
    within(stream.read_to_end(&mut rest)).await.unwrap();
    assert_eq!(server.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn a_follower_that_goes_away_is_noticed_though_nothing_happens() {
    let mut server = Server::start(ROOT, Limits::REAL);
    let mut stream = server.connect().await;
    let request = b"GET /v1/events?follow=true&n=0 HTTP/1.1\r\nhost: x\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut head = [0; 1024];
    let n = within(stream.read(&mut head)).await.unwrap();
    assert!(
        head[..n].starts_with(b"HTTP/1.1 200"),
        "the head comes at once"
    );
    drop(stream);
    assert_eq!(server.saw().await, "reader gone");
}

#[tokio::test]
async fn a_reader_that_stops_reading_is_dropped() {
    let limits = Limits {
        write: QUICK,
        ..Limits::REAL
    };
    let mut server = Server::start(ROOT, limits);
    let mut stream = server.connect().await;
    let request = b"GET /v1/events?follow=true&n=1 HTTP/1.1\r\nhost: x\r\n\r\n";
    stream.write_all(request).await.unwrap();
    assert_eq!(server.saw().await, "reader gone");
    assert_eq!(server.get("/healthz").await.status, 200);
    drop(stream);
}

#[tokio::test]
async fn a_connection_too_many_is_told_so_and_the_next_is_served_once_one_has_gone() {
    let limits = Limits {
        connections: 2,
        reserve: 0,
        ..Limits::REAL
    };
    let server = Server::start(ROOT, limits);
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = server.connect().await;
        let request = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut answer = [0; 1024];
        let n = within(stream.read(&mut answer)).await.unwrap();
        assert!(answer[..n].starts_with(b"HTTP/1.1 200"));
        held.push(stream);
    }
    let error = server.get("/healthz").await.error(503);
    assert_eq!(error.kind, ErrorKind::Busy);
    held.pop();
    let served = async { while server.get("/healthz").await.status != 200 {} };
    within(served).await;
}

#[test]
fn nobody_can_take_all_connections_from_who_may_do_more() {
    let connection_limits = ConnectionLimits::new(Limits {
        connections: 5,
        reserve: 1,
        admin_reserve: 1,
        per_user: 3,
        ..Limits::REAL
    });
    let take = |uid, role| connection_limits.take(uid, role);
    let mut held: Vec<_> = (0..3).map(|_| take(1000, Role::Viewer).unwrap()).collect();
    assert!(take(1000, Role::Viewer).is_none(), "a user's own limit");
    held.push(take(1001, Role::Viewer).unwrap());
    assert!(take(1002, Role::Viewer).is_none(), "all viewers' limit");
    held.push(take(1003, Role::Admin).unwrap());
    assert!(take(1004, Role::Admin).is_none(), "everybody's limit");
    held.push(take(0, Role::Owner).unwrap());
    assert!(
        take(0, Role::Owner).is_none(),
        "the reserve has a limit too"
    );
    drop(held);
    assert!(take(1000, Role::Viewer).is_some(), "all are given back");
    assert!(take(1000, Role::None).is_none(), "nothing for strangers");
}
