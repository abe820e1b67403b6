//! What `ctl` says if no supervisor answers, or the answer makes no sense.

use std::os::unix::net::UnixListener;

use crate::testing::{Answer, Fake, ctl, socket_of};

#[test]
fn no_socket_means_not_running_and_how_to_start_it() {
    let root = tempfile::tempdir().unwrap();
    for command in [
        "status",
        "start",
        "stop nginx",
        "logs",
        "events -f",
        "wait",
        "why x",
    ] {
        let ran = ctl(&format!("ctl --root {} {command}", root.path().display()));
        assert_eq!((ran.code, ran.out.as_str()), (5, ""), "{command}");
        assert!(
            ran.err.contains("not running: there is no /"),
            "{}",
            ran.err
        );
        assert!(
            ran.err.contains("systemctl start mattervisor"),
            "{}",
            ran.err
        );
        assert!(ran.err.contains("--root"), "{}", ran.err);
    }
}

#[test]
fn a_socket_without_a_listener_means_not_running() {
    let root = tempfile::tempdir().unwrap();
    drop(UnixListener::bind(socket_of(&root)).unwrap());
    let ran = ctl(&format!("ctl --root {} restart", root.path().display()));
    assert_eq!(ran.code, 5);
    assert!(ran.err.contains("nobody listens on"), "{}", ran.err);
}

#[test]
fn a_timeout_holds_for_looking_too() {
    let ran = Fake::new(vec![Answer::Silence]).ctl("status --timeout 50ms");
    assert_eq!(ran.code, 7);
    assert!(ran.err.contains("timed out after 50ms"), "{}", ran.err);
}

#[test]
fn an_answer_that_is_no_json_is_told() {
    let ran = Fake::new(vec![Answer::Whole(200, "<html>".into())]).ctl("status");
    assert_eq!(ran.code, 1);
    assert!(
        ran.err
            .contains("cannot understand the supervisor's answer"),
        "{}",
        ran.err
    );
    let ran = Fake::new(vec![Answer::Whole(500, "<html>".into())]).ctl("status");
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("HTTP 500"), "{}", ran.err);
}
