//! Actions (`ctl start` and the like) against a fake supervisor with prepared answers.

use api::{ErrorKind, ErrorReply, Progress, ServiceState, Unstored};

use super::*;
use crate::testing::{Answer, Fake, ctl_unread, result};

fn lines(progress: &[Progress]) -> String {
    json::lines(progress).unwrap()
}

fn accepted(notes: &[&str]) -> Progress {
    Progress::Accepted {
        services: vec!["mattermost".into(), "nginx".into()],
        notes: notes.iter().map(|&note| note.into()).collect(),
        unstored: Unstored::default(),
    }
}

fn outcome(verdict: Verdict, state: ServiceState) -> Outcome {
    Outcome {
        job: None,
        rollback: None,
        gone_back: None,
        unstored: Unstored::default(),
        id: "x".into(),
        finished: verdict != Verdict::Pending,
        results: vec![result("mattermost", verdict, state, Some(123))],
    }
}

fn done(verdict: Verdict, state: ServiceState) -> Progress {
    Progress::Done(outcome(verdict, state))
}

fn request(line: &str) -> ActionRequest {
    let body = line.split_once("HTTP/1.1 ").unwrap().1;
    serde_json::from_str(body).unwrap()
}

#[test]
fn a_start_prints_the_notes_and_the_truth() {
    let text = lines(&[
        accepted(&["lifts the hold of postgresql"]),
        Progress::State {
            service: "mattermost".into(),
            state: ServiceState::Running,
            detail: String::new(),
        },
        done(Verdict::Done, ServiceState::Running),
    ]);
    let fake = Fake::new(vec![Answer::Whole(200, text)]);
    let ran = fake.ctl("start mattermost nginx");
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(
        ran.out,
        "lifts the hold of postgresql\nmattermost: running (pid 123), ready\n"
    );
    let asked = request(&fake.requests()[0]);
    assert_eq!(asked.action, Action::Start);
    assert_eq!(asked.services, ["mattermost", "nginx"]);
    assert!(asked.wait);
}

#[test]
fn a_failure_is_1_and_says_where_to_look() {
    let text = lines(&[accepted(&[]), done(Verdict::Failed, ServiceState::Failed)]);
    let ran = Fake::new(vec![Answer::Whole(200, text)]).ctl("restart mattermost");
    assert_eq!(ran.code, 1);
    assert_eq!(ran.out, "");
    assert_eq!(
        ran.err,
        "mattermost: failed: exit code 1; see: ctl why mattermost\n"
    );
}

#[test]
fn all_but_some_are_named_to_the_supervisor() {
    let text = lines(&[accepted(&[]), done(Verdict::Done, ServiceState::Stopped)]);
    let fake = Fake::new(vec![Answer::Whole(200, text)]);
    let ran = fake.ctl("stop-except postgresql web* --format runit");
    assert_eq!(
        ran.out,
        "Stopping all services except: postgresql, web*.\n\
         ok: run: mattermost: (pid 123) 1s, want down\n"
    );
    let asked = request(&fake.requests()[0]);
    assert_eq!(asked.action, Action::Stop);
    assert_eq!(asked.services, [""; 0]);
    assert_eq!(asked.except, ["postgresql", "web*"]);
}

#[test]
fn once_is_asked_for_and_sv_says_nothing_of_it() {
    let text = lines(&[accepted(&[]), done(Verdict::Done, ServiceState::Running)]);
    let fake = Fake::new(vec![Answer::Whole(200, text)]);
    let ran = fake.ctl("once mattermost --format runit");
    assert_eq!((ran.code, ran.out.as_str()), (0, ""));
    assert_eq!(request(&fake.requests()[0]).action, Action::Once);
}

#[test]
fn no_wait_is_content_with_pending() {
    let text = lines(&[
        accepted(&[]),
        done(Verdict::Pending, ServiceState::Starting),
    ]);
    let fake = Fake::new(vec![Answer::Whole(200, text)]);
    let ran = fake.ctl("start --no-wait mattermost");
    assert_eq!(ran.code, 0);
    assert!(!request(&fake.requests()[0]).wait);
}

#[test]
fn signals_are_sent_by_name() {
    let text = lines(&[done(Verdict::Done, ServiceState::Running)]);
    let fake = Fake::new(vec![Answer::Whole(200, text)]);
    let ran = fake.ctl("usr1 nginx");
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (0, "mattermost: SIGUSR1 sent to pid 123\n")
    );
    assert_eq!(
        request(&fake.requests()[0]).action,
        Action::Signal("USR1".into())
    );
}

#[test]
fn every_refusal_has_its_exit_code() {
    for (kind, status, code) in [
        (ErrorKind::UnknownService, 404, 4),
        (ErrorKind::NotAllowed, 403, 6),
        (ErrorKind::Refused, 409, 1),
        (ErrorKind::Usage, 400, 2),
    ] {
        let reply = ErrorReply {
            kind,
            message: "it is so".into(),
            hint: None,
        };
        let body = serde_json::to_string(&reply).unwrap();
        let ran = Fake::new(vec![Answer::Whole(status, body)]).ctl("stop x");
        assert_eq!((ran.code, ran.err.as_str()), (code, "error: it is so\n"));
        let line = lines(&[Progress::Refused(reply)]);
        let ran = Fake::new(vec![Answer::Whole(200, line)]).ctl("stop x");
        assert_eq!((ran.code, ran.err.as_str()), (code, "error: it is so\n"));
    }
}

#[test]
fn after_a_broken_connection_the_outcome_is_asked_for_and_nothing_sent_twice() {
    let pending =
        serde_json::to_string(&outcome(Verdict::Pending, ServiceState::Starting)).unwrap();
    let ended = serde_json::to_string(&outcome(Verdict::Done, ServiceState::Running)).unwrap();
    let fake = Fake::new(vec![
        Answer::Cut(lines(&[accepted(&[])])),
        Answer::Hangup,
        Answer::Whole(200, pending),
        Answer::Whole(200, ended),
    ]);
    let ran = fake.ctl("restart mattermost");
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (0, "mattermost: running (pid 123), ready\n")
    );
    let requests = fake.requests();
    let id = request(&requests[0]).id;
    for later in &requests[1..] {
        assert_eq!(later, &format!("GET /v1/changes/{id} HTTP/1.1"));
    }
}

const UNKNOWN: &str = r#"{"kind":"usage","message":"no such change"}"#;

#[test]
fn a_change_that_never_arrived_is_sent_again_as_the_same() {
    let fake = Fake::new(vec![
        Answer::Hangup,
        Answer::Whole(404, UNKNOWN.into()),
        Answer::Whole(
            200,
            lines(&[accepted(&[]), done(Verdict::Done, ServiceState::Stopped)]),
        ),
    ]);
    let ran = fake.ctl("stop mattermost");
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let requests = fake.requests();
    assert_eq!(requests.len(), 3);
    assert_eq!(request(&requests[0]), request(&requests[2]));
}

#[test]
fn a_change_that_never_arrives_is_given_up_and_that_is_said() {
    let once = || [Answer::Hangup, Answer::Whole(404, UNKNOWN.into())];
    let fake = Fake::new((0..8).flat_map(|_| once()).collect());
    let ran = fake.ctl("stop mattermost");
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("nothing was done"), "{}", ran.err);
    assert_eq!(fake.requests().len(), 16);
}

#[test]
fn what_is_on_no_disk_is_said_in_every_format_and_is_no_failure() {
    let unstored = Unstored {
        holds: Some("No space left on device".into()),
        history: Some("the disk has not answered for 5 s".into()),
    };
    let text = lines(&[
        accepted(&[]),
        Progress::Done(Outcome {
            job: None,
            unstored: unstored.clone(),
            ..outcome(Verdict::Done, ServiceState::Stopped)
        }),
    ]);
    for format in ["table", "json", "runit"] {
        let fake = Fake::new(vec![Answer::Whole(200, text.clone())]);
        let ran = fake.ctl(&format!("stop mattermost --format {format}"));
        assert_eq!(ran.code, 0);
        assert_eq!(
            ran.err,
            "warning: not stored, so a restart of the supervisor would forget it: No space left on device\n\
             warning: not in the history of changes: the disk has not answered for 5 s\n\
             hint: see to it that the state directory can be written; it is tried again until it works, and ctl status warns meanwhile\n"
        );
        if format == "json" {
            let back: Outcome = serde_json::from_str(&ran.out).unwrap();
            assert_eq!(back.unstored, unstored);
        }
    }
}

#[test]
fn an_accepted_change_that_was_forgotten_is_not_called_undone() {
    let fake = Fake::new(vec![
        Answer::Cut(lines(&[accepted(&[])])),
        Answer::Whole(404, UNKNOWN.into()),
    ]);
    let ran = fake.ctl("stop mattermost");
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("it had been accepted"), "{}", ran.err);
}

#[test]
fn a_timeout_is_7_and_names_what_is_pending() {
    let text = lines(&[
        accepted(&[]),
        Progress::State {
            service: "nginx".into(),
            state: ServiceState::Running,
            detail: String::new(),
        },
        Progress::State {
            service: "mattermost".into(),
            state: ServiceState::Starting,
            detail: "waits for READY=1".into(),
        },
    ]);
    let fake = Fake::new(vec![Answer::Stall(text)]);
    let ran = fake.ctl("start --timeout 200ms");
    assert_eq!(ran.code, 7);
    assert_eq!(
        ran.err,
        "error: timed out after 200ms, still waiting for mattermost (starting: waits for READY=1)\n\
         hint: the action goes on; to wait for it: ctl wait mattermost\n"
    );
}

#[test]
fn a_closed_stdout_does_not_hide_the_result() {
    let text = lines(&[
        accepted(&["note"]),
        done(Verdict::Failed, ServiceState::Failed),
    ]);
    let fake = Fake::new(vec![Answer::Whole(200, text)]);
    let root = fake.root().display();
    assert_eq!(
        ctl_unread(&format!("ctl --root {root} start mattermost")),
        1
    );
}

#[test]
fn json_is_the_outcome() {
    let text = lines(&[
        accepted(&["a note"]),
        done(Verdict::Done, ServiceState::Running),
    ]);
    let ran = Fake::new(vec![Answer::Whole(200, text)]).ctl("start --format json mattermost");
    let back: Outcome = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(back, outcome(Verdict::Done, ServiceState::Running));
    assert_eq!(ran.err, "a note\n");
}

#[test]
fn runit_lines_for_those_who_parse_them() {
    let text = lines(&[
        accepted(&["a note"]),
        done(Verdict::Done, ServiceState::Running),
    ]);
    let ran = Fake::new(vec![Answer::Whole(200, text)]).ctl("start --format runit mattermost");
    assert_eq!(ran.out, "ok: run: mattermost: (pid 123) 1s\n");
    assert_eq!(ran.err, "a note\n");
}
