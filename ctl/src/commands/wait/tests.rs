//! `ctl wait` against a fake supervisor with prepared answers.

use api::ServiceState;

use super::*;
use crate::testing::{Answer, Fake, every_state, service, supervisor};

fn reply(services: Vec<ServiceStatus>) -> Answer {
    let reply = StatusReply {
        supervisor: supervisor(),
        services,
    };
    Answer::Whole(200, serde_json::to_string(&reply).unwrap())
}

fn starting() -> ServiceStatus {
    ServiceStatus {
        state: ServiceState::Starting,
        ready: false,
        ..service("mattermost")
    }
}

fn events() -> Answer {
    let event = r#"{"seq":1,"at":"","service":"mattermost","kind":"state","state":"running","ready":true,"pid":1,"detail":""}"#;
    Answer::Cut(format!("{event}\n"))
}

#[test]
fn what_is_there_already_is_not_waited_for() {
    let ran = Fake::new(vec![events(), reply(vec![service("mattermost")])]).ctl("wait");
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert!(ran.out.contains("mattermost"));
}

#[test]
fn it_looks_again_when_something_has_happened() {
    let fake = Fake::new(vec![
        events(),
        reply(vec![starting()]),
        reply(vec![service("mattermost")]),
    ]);
    assert_eq!(fake.ctl("wait mattermost").code, 0);
    assert_eq!(
        fake.requests(),
        [
            "GET /v1/events?follow=true&n=0 HTTP/1.1",
            "GET /v1/services?services=mattermost HTTP/1.1",
            "GET /v1/services?services=mattermost HTTP/1.1",
        ]
    );
}

#[test]
fn a_timeout_is_7_and_names_what_is_missing() {
    let fake = Fake::new(vec![events(), reply(vec![starting()]), Answer::Silence]);
    let ran = fake.ctl("wait --timeout 150ms");
    assert_eq!(ran.code, 7);
    assert!(
        ran.err.contains("still waiting: mattermost (starting)"),
        "{}",
        ran.err
    );
}

#[test]
fn what_cannot_come_is_3_at_once() {
    for name in ["broken", "held", "redis"] {
        let mut services = every_state();
        services.retain(|service| service.name == name);
        let fake = Fake::new(vec![events(), reply(services)]);
        let ran = fake.ctl(&format!("wait {name}"));
        assert_eq!(ran.code, 3, "{name}");
        assert!(
            ran.err.contains(&format!("hint: see: ctl why {name}")),
            "{}",
            ran.err
        );
    }
}

#[test]
fn a_restarting_control_process_is_waited_through() {
    let ready = || reply(vec![service("mattermost")]);
    let fake = Fake::new(vec![
        Answer::Hangup,
        ready(),
        reply(vec![starting()]),
        events(),
        ready(),
    ]);
    assert_eq!(fake.ctl("wait").code, 0);
}

#[test]
fn stopped_is_waited_for_when_asked() {
    let stopping = ServiceStatus {
        state: ServiceState::Stopping,
        ready: false,
        ..service("mattermost")
    };
    let stopped = ServiceStatus {
        state: ServiceState::Stopped,
        pid: None,
        ..stopping.clone()
    };
    let fake = Fake::new(vec![events(), reply(vec![stopping]), reply(vec![stopped])]);
    assert_eq!(fake.ctl("wait --stopped mattermost").code, 0);
}

#[test]
fn the_exit_status_is_that_of_the_main_process() {
    let ended = |code, signal: Option<&str>| ServiceStatus {
        state: ServiceState::Completed,
        pid: None,
        last_exit: Some(api::LastExit {
            code,
            signal: signal.map(str::to_owned),
            reason: String::new(),
            at: String::new(),
        }),
        ..service("job")
    };
    let never = ServiceStatus {
        state: ServiceState::Stopped,
        pid: None,
        ..service("job")
    };
    for (status, code) in [
        (ended(Some(0), None), 0),
        (ended(Some(42), None), 42),
        (ended(None, Some("KILL")), 255),
        (never, 3),
    ] {
        let fake = Fake::new(vec![events(), reply(vec![status])]);
        let ran = fake.ctl("wait --stopped --exit-status job");
        assert_eq!((ran.code, ran.out.as_str()), (code, ""), "{}", ran.err);
    }
    for line in ["", " a b", " *"] {
        let ran = crate::testing::ctl(&format!("ctl wait --stopped --exit-status{line}"));
        assert_eq!(ran.code, 2, "{}", ran.err);
    }
    assert_eq!(crate::testing::ctl("ctl wait --exit-status job").code, 2);
}

#[test]
fn a_service_that_leaves_the_plan_is_not_waited_for() {
    let unknown = r#"{"kind":"unknown-service","message":"there is no service 'mattermost'"}"#;
    let gone = || Answer::Whole(404, unknown.into());
    let ran = Fake::new(vec![events(), reply(vec![starting()]), gone()]).ctl("wait mattermost");
    assert_eq!(ran.code, 4);
    assert!(ran.err.contains("has left the plan"), "{}", ran.err);
    let ran = Fake::new(vec![events(), gone()]).ctl("wait mattermost");
    assert_eq!(ran.code, 4);
    assert!(!ran.err.contains("has left"), "{}", ran.err);
}

#[test]
fn waiting_on_what_is_held_is_as_hopeless() {
    let mut services = every_state();
    for service in &mut services {
        if service.name == "waits" {
            service.waiting_on = vec!["held".into()];
        }
    }
    let waits = services
        .iter()
        .find(|service| service.name == "waits")
        .unwrap();
    assert!(prospect::is_hopeless(waits, Until::Ready, &services));
    assert!(
        !prospect::is_hopeless(&services[2], Until::Ready, &services),
        "backoff tries again"
    );
}

#[test]
fn degraded_is_ready_but_not_healthy() {
    let degraded = &every_state()[1];
    assert!(Until::Ready.is_so(degraded));
    assert!(!Until::Healthy.is_so(degraded));
    assert!(!Until::Stopped.is_so(degraded));
}
