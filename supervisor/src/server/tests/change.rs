//! Requests that change something.

use super::*;

#[tokio::test]
async fn a_change_by_path_is_asked_for_with_its_id_and_streams_its_progress() {
    let mut server = Server::start(ROOT, Limits::REAL);
    let answer = server
        .ask("POST", "/v1/services/web/restart?id=c-1&wait=false", "")
        .await;
    assert!(answer.head.contains("content-type: application/x-ndjson"));
    let lines: Vec<Progress> = answer
        .body
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(
        matches!(&lines[1], Progress::Done(outcome) if outcome.id == "c-1"),
        "{lines:?}"
    );
    assert_eq!(
        server.saw().await,
        r#"root ActionRequest { id: "c-1", action: Restart, services: ["web"], except: [], wait: false }"#
    );
}

#[tokio::test]
async fn a_change_without_an_id_gets_one_of_its_own() {
    let mut server = Server::start(ROOT, Limits::REAL);
    let mut ids = Vec::new();
    for _ in 0..2 {
        let answer = server.ask("POST", "/v1/reconfigure", "").await;
        assert_eq!(answer.status, 200);
        ids.push(server.saw().await);
    }
    assert!(ids[0].starts_with("root reconfigure unnamed-"), "{ids:?}");
    assert_ne!(ids[0], ids[1]);
}

#[tokio::test]
async fn signals_are_named_as_people_name_them() {
    let mut server = Server::start(ROOT, Limits::REAL);
    for name in ["hup", "SIGHUP", "HUP"] {
        let path = format!("/v1/services/web/signal/{name}");
        assert_eq!(server.ask("POST", &path, "").await.status, 200);
        assert!(server.saw().await.contains(r#"Signal("HUP")"#));
    }
    let body = r#"{"id":"a","action":{"signal":"usr1"},"services":["web"],"wait":true}"#;
    assert_eq!(server.ask("POST", "/v1/services", body).await.status, 200);
    assert!(server.saw().await.contains(r#"Signal("USR1")"#));
    let error = server.ask("POST", "/v1/services/web/signal/HUPP", "").await;
    assert!(error.error(400).message.contains("HUPP"));
}

#[tokio::test]
async fn an_unknown_action_names_the_nearest() {
    let mut server = Server::start(ROOT, Limits::REAL);
    let error = server
        .ask("POST", "/v1/services/web/restrat", "")
        .await
        .error(404);
    assert!(error.hint.unwrap().contains("/v1/services/web/restart"));
    server
        .ask("POST", "/v1/services/web/dance", "")
        .await
        .error(404);
    assert!(server.seen.try_recv().is_err(), "the loop was asked");
}

#[tokio::test]
async fn what_the_loop_refuses_is_an_error_and_not_a_stream() {
    let server = Server::start(ROOT, Limits::REAL);
    let error = server
        .ask("POST", "/v1/services/nope/start", "")
        .await
        .error(404);
    assert_eq!(error, unknown("nope"));
}

#[tokio::test]
async fn bodies_that_are_not_understood_never_reach_the_loop() {
    let mut server = Server::start(ROOT, Limits::REAL);
    let many = format!(
        r#"{{"id":"a","action":"stop","services":[{}"x"],"wait":true}}"#,
        r#""n","#.repeat(api::NAMES_MAX)
    );
    for (body, word) in [
        ("", "JSON"),
        ("{", "JSON"),
        ("[]", "JSON"),
        (
            r#"{"id":"a","action":"dance","services":[],"wait":true}"#,
            "dance",
        ),
        (
            r#"{"id":"a","action":"stop","services":[],"wait":true,"force":1}"#,
            "force",
        ),
        (r#"{"id":"a","action":"stop","services":[]}"#, "wait"),
        (
            r#"{"id":"","action":"stop","services":[],"wait":true}"#,
            "id",
        ),
        (
            r#"{"id":"a/b","action":"stop","services":[],"wait":true}"#,
            "id",
        ),
        (&many, "names"),
    ] {
        let error = server.ask("POST", "/v1/services", body).await.error(400);
        assert!(error.message.contains(word), "{body:.80}: {error:?}");
    }
    let error = server.ask("POST", "/v1/services/web/stop", "{}").await;
    assert!(error.error(400).message.contains("takes no body"));
    assert!(server.seen.try_recv().is_err(), "the loop was asked");
}

#[tokio::test]
async fn the_outcome_of_a_change_that_never_arrived_is_404() {
    let server = Server::start(ROOT, Limits::REAL);
    assert_eq!(
        server.get("/v1/changes/known").await.json()["finished"],
        true
    );
    let error = server.get("/v1/changes/other").await.error(404);
    assert_eq!(error.kind, ErrorKind::Refused);
}
