//! `[maintenance]`: how the supervisor checks that users are told.

use api::PlanImpact;

use super::Machine;
use crate::{Ask, compare::describe};

const WEB: &str = "command = ['/bin/web']\n[maintenance]\nhttp = 'http://chat/ping'\n\
    unix = '/run/web.sock'\nstatus = [503]\nbody = 'maintenance'\n";

fn machine(text: &str) -> Machine {
    let mut machine = Machine::new();
    machine.shipped("web", text);
    machine
}

#[test]
fn a_service_is_asked_what_users_are_told() {
    let plan = machine(WEB).plan();
    let confirm = plan.services["web"].maintenance.clone().unwrap();
    assert_eq!(
        (confirm.timeout_ms, confirm.probe.interval_ms),
        (5_000, 250)
    );
    let asked = Ask::Http {
        url: "http://chat/ping".to_owned(),
        socket: Some("/run/web.sock".into()),
        status: vec![503],
        body: Some("maintenance".to_owned()),
    };
    assert_eq!(confirm.probe.ask, asked);
    let keys = describe::service(&plan.services["web"]);
    let value = |key: &str| keys.iter().find(|it| it.key == key).unwrap().value.clone();
    assert_eq!(value("maintenance.timeout"), "5s");
    // A change of these keys stops no process.
    let other = WEB.replace("/ping", "/other");
    let change = &crate::changes(&plan, &machine(&other).plan())["web"];
    assert_eq!(change.impact, PlanImpact::InPlace);
    assert_eq!(change.reasons, ["maintenance changed"]);
}

#[test]
fn what_is_asked_can_be_answered_in_time() {
    let with = |lines: &str| {
        let text = format!("command = ['/bin/web']\n[maintenance]\n{lines}");
        machine(&text).errors()
    };
    for (lines, said) in [
        ("status = [503]", "maintenance: does not say what is asked"),
        (
            "exec = ['/bin/ask']",
            "maintenance.exec: does not say what users are told",
        ),
        (
            "tcp = '127.0.0.1:1'",
            "maintenance.tcp: does not say what users are told",
        ),
        (
            "http = 'http://a/'\ntimeout = '1m'",
            "maintenance: whoever asks for maintenance waits for this: at most 15 s",
        ),
        ("http = 'http://a/'\nretries = 2", "maintenance.retries"),
    ] {
        let errors = with(lines);
        assert!(errors.contains(said), "{lines}: {errors}");
    }
}
